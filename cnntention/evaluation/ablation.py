"""Accuracy when an attention module, or one of its heads, is ablated."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnntention.evaluation.diagnostics import Batch, Measured
from cnntention.models.attention import CBAM, MultiHead
from cnntention.models.registry import attention_modules
from cnntention.models.resnet import ResNet

Patch = tuple[nn.Module, str, Callable[[Tensor], Tensor]]
"""A module, the name of one of its methods, and the function that replaces it."""

INTACT, WITHOUT_ALL = ("", "intact"), ("", "without all")


@dataclass(frozen=True)
class Recorded:
    """What a network computed for a batch."""

    logits: Tensor
    outputs: dict[nn.Module, Tensor]
    """Outputs of the stem, the blocks and the attention modules, in the order of computation."""
    mixed: dict[nn.Module, Tensor]
    """The heads' outputs of each multi-head module, before its projection: (B, C, H, W)."""

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(value.nbytes for value in (self.logits, *self.outputs.values(), *self.mixed.values()))


@torch.no_grad()
def ablate(
    net: ResNet, batches: Iterable[Batch], measured: dict[str, Measured], recorded: Iterable[Recorded] = ()
) -> dict[tuple[str, str], Tensor]:
    """Which images are classified correctly under each ablation: (N,) booleans by (module name, ablation).

    `recorded`: cached results of the first batches.

    Ablations of a module: "identity", it returns its input; "mean", it has its average effect on every image; "head 0",
    "head 1", ..., that head's output is zero (multi-head). Of the network: INTACT, and WITHOUT_ALL modules, each
    replaced by the identity.
    """
    hits: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    modules = dict(attention_modules(net))
    known = iter(recorded)
    for images, labels in batches:
        intact = next(known, None) or record(net, images)
        hits[INTACT].append(intact.logits.argmax(1) == labels)
        if modules:
            trials = {
                (name, ablation): (*replayed(intact.outputs, module), patch)
                for name, module in modules.items()
                for ablation, patch in ablations(module, measured[name], intact.mixed.get(module)).items()
            }
            first, *_ = modules.values()
            trials[WITHOUT_ALL] = (*replayed(intact.outputs, first), *map(identity, modules.values()))
            for trial, patches in trials.items():
                with patched(*patches):
                    hits[trial].append(net(images).argmax(1) == labels)
    return {trial: torch.cat(parts).cpu() for trial, parts in hits.items()}


def ablations(module: nn.Module, measured: Measured, mixed: Tensor | None) -> dict[str, Patch]:
    """The ablations of a module; `mixed`: its heads' outputs, (B, C, H, W), if it has several heads."""
    patches = {"identity": identity(module), "mean": mean_effect(module, measured)}
    if mixed is not None:
        patches |= {f"head {head}": without_head(module, mixed, head) for head in range(module.heads)}
    return patches


def identity(module: nn.Module) -> Patch:
    return module, "forward", lambda x: x


def mean_effect(module: nn.Module, measured: Measured) -> Patch:
    """x + the mean of module(x) - x; x times the mean gate of modules that multiply.

    For CBAM attend(x) is x times the means of its two gates.
    """
    if isinstance(module, CBAM):
        factor = measured.gates["channel"].mean(0)[:, None, None] * measured.gates["spatial"].mean(0)  # (C, H, W)
        return module, "attend", lambda x: x * factor
    if measured.gate is not None:
        return module, "forward", lambda x: x * measured.gate
    return module, "forward", lambda x: x + measured.mean_effect


def without_head(module: MultiHead, mixed: Tensor, head: int) -> Patch:
    """The module with zero output from one head; `mixed`, (B, heads x d, H, W): the cached outputs of all heads."""
    kept = mixed.unflatten(1, (module.heads, -1)).clone()  # (B, heads, d, H, W)
    kept[:, head] = 0
    return module, "attend", lambda x: module.out(kept.flatten(1, 2))


@torch.no_grad()
def record(net: ResNet, images: Tensor) -> Recorded:
    """What the network computes for (B, C, H, W) images, to be reused by `replayed`."""
    outputs: dict[nn.Module, Tensor] = {}
    mixed: dict[nn.Module, Tensor] = {}
    modules = [module for _, module in attention_modules(net)]
    blocks = [block for stage in net.stages.values() for block in stage]
    with ExitStack() as hooks:
        for part in (net.conv1, net.bn1, *blocks, *modules):
            hooks.enter_context(part.register_forward_hook(lambda part, _, y: outputs.__setitem__(part, y)))
        for module in modules:
            if isinstance(module, MultiHead) and module.heads > 1:
                keep = module.out.register_forward_pre_hook(lambda _, x, module=module: mixed.__setitem__(module, x[0]))
                hooks.enter_context(keep)
        return Recorded(net(images), outputs, mixed)


def replayed(outputs: dict[nn.Module, Tensor], module: nn.Module) -> Iterator[Patch]:
    """Reuse recorded outputs up to the ablated module; recompute only what follows."""
    for part, output in outputs.items():
        if part is module:
            return
        yield part, "forward", lambda *_, output=output: output


@contextmanager
def patched(*patches: Patch) -> Iterator[None]:
    """Replace methods of modules in the block. Hooks still run, and so does `forward` if `attend` is replaced."""
    for module, method, function in patches:
        setattr(module, method, function)
    try:
        yield
    finally:
        for module, method, _ in patches:
            delattr(module, method)


def compare(hits: Tensor, intact: Tensor) -> dict[str, float]:
    """Accuracy under an ablation, the drop from intact, and the standard error of the drop; all are shares.

    The same images are classified twice, so the error is that of paired proportions (as in McNemar's test): sd over
    images of the difference of hits / sqrt(N).
    """
    drops = intact.double() - hits.double()
    error = drops.std(correction=0) / len(drops) ** 0.5
    return {"accuracy": hits.double().mean().item(), "drop": drops.mean().item(), "drop_se": error.item()}
