"""The diagnose step: is the attention of a run alive, is it used, and how is it distributed?"""

import time
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from cnntention.config import Diagnostics, Run, Study
from cnntention.data.augment import Batches
from cnntention.evaluation.ablation import INTACT, WITHOUT_ALL, Recorded, ablate, compare, record
from cnntention.evaluation.diagnostics import Batch, Measured, describe, measure
from cnntention.models.attention import KINDS
from cnntention.models.controls import uncontrolled
from cnntention.models.registry import attention_modules, attention_state
from cnntention.results.records import Diagnosis
from cnntention.results.tables import ModuleState
from cnntention.seeding import generator
from cnntention.storage import Opened

BATCH_SIZE = 100
RECORDED = 2**28  # bytes of the first pass over the images that are cached for the second


def diagnose_run(study: Study, run: Run, opened: Opened) -> None:
    """Write attention.json; fp32, whatever the recipe's precision."""
    settings = study.diagnostics
    batches = sample(opened.batches, settings)
    result = diagnose(opened.model, batches, settings, lambda what: shown(batches, f"{run.name}: {what}"))
    Diagnosis(weights_sha256=opened.record.weights_sha256, **result).write(opened.out / "attention.json")


def sample(batches: Batches, settings: Diagnostics) -> list[Batch]:
    """A seeded sample of the split, the same for every model, in batches on the device."""
    order = torch.randperm(len(batches), generator=generator(settings.seed, "diagnostics"))
    index = order[: settings.images].to(batches.device)
    return [(batches.normalized(batches.plain(i)), batches.labels[i]) for i in index.split(BATCH_SIZE)]


def shown(batches: list[Batch], what: str) -> Iterator[Batch]:
    """The batches; prints the progress after each."""
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
    """The fields of `records.Diagnosis` except the hash; `passes(what)` returns the batches for each pass."""
    passes = passes or (lambda what: batches)
    kept = Kept(net)
    measured = measure(net, passes("measured"), settings.map_images, kept.run) if any(attention_modules(net)) else {}
    hits = ablate(net, passes("ablated"), measured, kept.batches)
    images = len(hits[INTACT])
    return {
        "images": images,
        "map_images": min(settings.map_images, images),
        "thresholds": settings.alive.model_dump(mode="json"),
        "accuracy": hits[INTACT].double().mean().item(),
        "modules": [describe_module(net, name, of, hits, settings) for name, of in measured.items()],
        "without_all": compare(hits[WITHOUT_ALL], hits[INTACT]) if measured else None,
    }


class Kept:
    """Caches what a network computes for its first batches, up to RECORDED bytes."""

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
) -> ModuleState:
    drops = {trial: compare(of, hits[INTACT]) for (owner, trial), of in hits.items() if owner == name}
    weights, module = attention_state(net), uncontrolled(dict(attention_modules(net))[name])
    kind = next(kind for kind, cls in KINDS.items() if cls is type(module))
    row = {"module": name, "kind": kind, "gate": weights.get(f"{name}.gate")}
    row |= {f"norm_{part}": weights.get(f"{name}.{part}") for part in ("query", "key", "value")}
    for ablation in ("identity", "mean"):
        row |= {f"drop_{ablation}": drops[ablation]["drop"], f"drop_{ablation}_se": drops[ablation]["drop_se"]}
    heads = [drop["drop"] for trial, drop in drops.items() if trial.startswith("head")]
    return ModuleState(**row, drop_head=max(heads, default=None), **describe(measured, settings.alive))
