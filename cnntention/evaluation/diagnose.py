"""The diagnose step: is the attention of one run alive, and what does it look at?"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntention import files, plan
from cnntention.config import Diagnostics, Run, Study
from cnntention.data.augment import Batches
from cnntention.evaluation.ablation import INTACT, WITHOUT_ALL, Recorded, ablate, compare, record
from cnntention.evaluation.diagnostics import Batch, Measured, describe, measure, state
from cnntention.models.attention import KINDS
from cnntention.models.registry import attention_modules, attention_state
from cnntention.seeding import generator
from cnntention.storage import Opened

BATCH_SIZE = 100
RECORDED = 2**28  # bytes: what of the first pass over the images is kept for the second


def diagnose_run(study: Study, run: Run, opened: Opened) -> None:
    """Write attention.json into the run's folder; fp32, whatever the recipe's precision."""
    settings = study.diagnostics
    batches = sample(opened.batches, settings)
    result = diagnose(opened.model, batches, settings, lambda what: shown(batches, f"{run.name}: {what}"))
    key = plan.diagnosis_key(study, run, opened.record["weights_sha256"])
    files.write_json(Path(run.folder) / "attention.json", {"key": key} | result)


def sample(batches: Batches, settings: Diagnostics) -> list[Batch]:
    """A seeded sample of the split, the same for every model, in batches on the device."""
    order = torch.randperm(len(batches), generator=generator(settings.seed, "diagnostics"))
    index = order[: settings.images].to(batches.device)
    return [(batches.normalized(batches.plain(i)), batches.labels[i]) for i in index.split(BATCH_SIZE)]


def shown(batches: list[Batch], what: str) -> Iterator[Batch]:
    """The batches; after each a line that says how far it is."""
    done, total, start = 0, sum(len(labels) for _, labels in batches), time.perf_counter()
    for images, labels in batches:
        yield images, labels
        done += len(labels)
        left = (time.perf_counter() - start) / done * (total - done)
        print(f"{what} {done}/{total} images  {left / 60:.1f} min left", flush=True)


def diagnose(
    net: nn.Module,
    batches: list[Batch],
    settings: Diagnostics,
    passes: Callable[[str], Iterable[Batch]] | None = None,
) -> dict:
    """What attention.json says, but its key; `passes(what)` gives the batches again for each pass over them.

    Accuracies and drops are shares of the sample. attention_alive: whether any module is; None if there is none.
    """
    passes = passes or (lambda what: batches)
    kept = Kept(net)
    found = measure(net, passes("measured"), settings.map_images, kept.run) if any(attention_modules(net)) else {}
    hits = ablate(net, passes("ablated"), found, kept.batches)
    images = len(hits[INTACT])
    modules = {name: describe_module(net, name, measured, hits, settings) for name, measured in found.items()}
    alive = sum(module["state"] == "alive" for module in modules.values())
    result = {
        "images": images,
        "map_images": min(settings.map_images, images),
        "thresholds": settings.alive.model_dump(mode="json"),
        "accuracy": hits[INTACT].double().mean().item(),
        "attention_alive": alive > 0 if modules else None,
        "modules_alive": alive,
        "modules": modules,
        "without_all": compare(hits[WITHOUT_ALL], hits[INTACT]) if modules else None,
    }
    return rounded(result)


class Kept:
    """What a network computed of the batches it was run on, the first ones, up to RECORDED bytes."""

    def __init__(self, net: nn.Module):
        self.net, self.left = net, RECORDED
        self.batches: list[Recorded] = []

    def run(self, images: Tensor) -> None:
        recorded = record(self.net, images)
        self.left -= recorded.size
        if self.left >= 0:
            self.batches.append(recorded)


def describe_module(
    net: nn.Module, name: str, measured: Measured, hits: dict[tuple[str, str], Tensor], settings: Diagnostics
) -> dict:
    """One module: what it is, its state, its weights, its effect, its ablations, its maps."""
    described = describe(measured)
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in attention_state(net).items() if key.startswith(prefix)}
    head = {
        "kind": {cls: kind for kind, cls in KINDS.items()}[type(dict(attention_modules(net))[name])],
        "state": state(described, settings.alive),
        "gate": own.pop("gate", None),
        "norms": own,
    }
    drops = {trial: compare(found, hits[INTACT]) for (owner, trial), found in hits.items() if owner == name}
    if described["attention"]:
        for number, one in enumerate(described["attention"]["heads"]):
            one |= drops.pop(f"head {number}", {})
    return head | {"without": drops["identity"], "mean_effect": drops["mean"]} | described


def rounded(value: Any) -> Any:
    """Every float to six significant digits."""
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
