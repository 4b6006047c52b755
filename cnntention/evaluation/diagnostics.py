"""Measures of attention modules of any kind, by forward hooks.

All kinds: the effect on the features. Further measures depend on what the module's `maps(x)` returns: "attention"
(B, heads, L, L) of dot-product attention; "channel" (B, C) and "spatial" (B, H, W) gates. Of a module that multiplies
and returns no gates, those it has in effect are measured.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

from cnntention.config import Alive
from cnntention.evaluation.effective import EffectiveGate
from cnntention.models.attention import CBAM
from cnntention.models.controls import Constant, Shut, uncontrolled
from cnntention.models.registry import attention_modules
from cnntention.models.resnet import ResNet
from cnntention.results.words import State

Batch = tuple[Tensor, Tensor]
"""(B, C, H, W) normalized images and (B,) labels."""

MAP_ELEMENTS = 2**24  # attention weights in memory at a time: 64 MiB; those of an image can be 32 MiB
GATES = ("channel", "spatial")


@dataclass(frozen=True)
class Measured:
    """A module's measures over all images."""

    relative_change: float
    """Mean over images of ||module(x) - x|| / ||x||."""
    mean_effect: Tensor
    """(C, H, W): mean over images of module(x) - x."""
    gates: dict[str, Tensor]
    """Gate values of all images: "channel" (N, C), "spatial" (N, H, W); empty for other kinds."""
    attention: dict[str, Tensor]
    """Means of `attention_measures` over the mapped images, and "uniform_distance"; empty for other kinds."""
    gate: Tensor | None = None
    """(C, H, W): mean gate of a module that multiplies; None for CBAM, which has `gates`, and for modules that add."""
    spread: float | None = None
    """How much the effective gate varies between images; 0 for `control: constant`, None if not measured."""


class Watch:
    """A forward hook that collects a module's measures; attention maps only for the first `map_images` images."""

    def __init__(self, module: nn.Module, map_images: int):
        multiplies = getattr(uncontrolled(module), "multiplies", False) and not isinstance(module, CBAM | Shut)
        self.effective = EffectiveGate() if multiplies else None
        self.constant = isinstance(module, Constant)
        self.map_images, self.mapped = map_images, 0
        self.changes: list[Tensor] = []
        self.effect: Tensor | float = 0.0
        self.gates: dict[str, list[Tensor]] = defaultdict(list)
        self.attention: dict[str, list[Tensor]] = defaultdict(list)

    def __call__(self, module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        (x,) = args
        effect = output - x
        self.changes.append(norms(effect) / norms(x).clamp_min(1e-12))
        self.effect = self.effect + effect.sum(0)
        if self.effective is not None:
            self.effective.add(x, output)
        kinds = module.maps(x[:1]) if hasattr(module, "maps") else {}
        if "attention" in kinds:
            self.measure_maps(module, x[: self.map_images - self.mapped], MAP_ELEMENTS // kinds["attention"].numel())
        if gates := [name for name in GATES if name in kinds]:
            maps = module.maps(x)
            for name in gates:
                self.gates[name].append(maps[name])

    def measure_maps(self, module: nn.Module, x: Tensor, images: int) -> None:
        """Measure the attention maps of (B, C, H, W) inputs, `images` at a time, at least one."""
        distances = grid_distances(*x.shape[2:]).to(x.device)
        for part in x.split(max(1, images)) if len(x) else ():
            for name, values in attention_measures(module.maps(part)["attention"], distances).items():
                self.attention[name].append(values)
        self.attention["uniform_distance"] = [distances.mean()[None]]
        self.mapped += len(x)

    def result(self) -> Measured:
        changes = torch.cat(self.changes)
        gates = {name: torch.cat(values) for name, values in self.gates.items()}
        attention = {name: torch.cat(values).mean(0).cpu() for name, values in self.attention.items()}
        gate, spread = None, 0.0 if self.constant else None
        if self.effective is not None:
            gate = self.effective.mean()
            if not gates:
                gates, spread = self.effective.gates(), self.effective.spread()
        return Measured(changes.mean().item(), self.effect / len(changes), gates, attention, gate, spread)


@torch.no_grad()
def measure(
    net: ResNet, batches: Iterable[Batch], map_images: int, run: Callable[[Tensor], object] | None = None
) -> dict[str, Measured]:
    """Measure all attention modules of `net` while it classifies the batches; name -> measures.

    `run`: called with each batch's images instead of `net`; it must call `net`.
    """
    run = run or net
    watches: dict[str, Watch] = {}
    with ExitStack() as hooks:
        for name, module in attention_modules(net):
            watches[name] = Watch(module, map_images)
            hooks.enter_context(module.register_forward_hook(watches[name]))
        for images, _ in batches:
            run(images)
    return {name: watch.result() for name, watch in watches.items()}


def norms(x: Tensor) -> Tensor:
    """(B, ...) -> (B,): L2 norm of each image's values."""
    return x.flatten(1).norm(dim=1)


# --- attention maps ---------------------------------------------------------------------------------------------


def grid_distances(height: int, width: int) -> Tensor:
    """(L, L): distance between the cells of a grid, row by row, as a share of the distance of opposite corners."""
    cells = torch.cartesian_prod(torch.arange(height), torch.arange(width)).float()  # (L, 2)
    return torch.cdist(cells, cells) / cells[-1].norm()


def entropies(p: Tensor) -> Tensor:
    """(..., L) -> (...): entropy of distributions, nats."""
    return torch.special.entr(p).sum(-1)


def attention_measures(maps: Tensor, distances: Tensor) -> dict[str, Tensor]:
    """Measures of (B, heads, L, L) attention maps, whose rows sum to 1, and (L, L) distances; means over queries.

    entropy (B, heads): -sum a ln a / ln L; 1 is uniform. distance (B, heads): sum of a_ij d_ij.
    With several heads also, where H is the entropy and a_h a query's row in head h,
    divergence (B,): mean Jensen-Shannon divergence between two heads, base 2, from 0 (equal) to 1 (disjoint; Lin 1991,
    IEEE Trans. Inf. Theory 37:145), and information (B,): H(mean of a_h) - mean of H(a_h), nats, that of all heads.
    """
    heads, length = maps.shape[1], maps.shape[-1]
    entropy = entropies(maps)  # (B, heads, L)
    result = {
        "entropy": entropy.mean(-1) / torch.log(torch.tensor(float(length))),
        "distance": (maps * distances).sum(-1).mean(-1),
    }
    if heads == 1:
        return result
    pairs = [
        entropies((maps[:, i] + maps[:, j]) / 2) - (entropy[:, i] + entropy[:, j]) / 2
        for i, j in combinations(range(heads), 2)
    ]  # of (B, L)
    # clamped: by rounding a difference of entropies can be slightly negative
    result["divergence"] = torch.stack(pairs).clamp_min(0).mean(dim=(0, 2)) / torch.log(torch.tensor(2.0))
    result["information"] = (entropies(maps.mean(1)) - entropy.mean(1)).clamp_min(0).mean(-1)
    return result


# --- summary -----------------------------------------------------------------------------------------


def describe(measured: Measured, alive: Alive) -> dict[str, float | State | None]:
    """The columns of `tables.ModuleState` that need no ablation.

    head_diversity and effective_heads: only with several heads. effective_heads is exp of the heads' mean information,
    from 1 (all equal) to the number of heads (disjoint): how many disjoint heads with equal weights have the same
    diversity (Jost 2007, Ecology 88:2427, beta of order 1).
    """
    maps, gates = measured.attention, measured.gates
    result = {"state": state(measured, alive), "relative_change": measured.relative_change}
    result |= {name: maps[name].mean().item() if maps else None for name in ("entropy", "distance", "uniform_distance")}
    result["head_diversity"] = maps["divergence"].item() if "divergence" in maps else None
    result["effective_heads"] = maps["information"].exp().item() if "information" in maps else None
    return result | {
        f"{name}_spread": gates[name].std(correction=0).item() if name in gates else None for name in GATES
    }


def state(measured: Measured, alive: Alive) -> State:
    """Off if it hardly changes the features, constant if no gate depends on the image, uniform if all heads are.

    Gates in effect are judged by `spread`: as means over places or channels they vary with the features alone.
    """
    if measured.relative_change < alive.relative_change:
        return State.OFF
    spreads = [values.std(dim=0, correction=0).mean().item() for values in measured.gates.values()]
    if measured.spread is not None:
        spreads = [measured.spread]
    if spreads and all(spread < alive.gate_spread for spread in spreads):
        return State.CONSTANT
    if measured.attention and (measured.attention["entropy"] > alive.entropy).all():
        return State.UNIFORM
    return State.ALIVE
