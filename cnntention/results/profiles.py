"""The profile of a dataset's models, and the tables made of it. Times in ms, memory in bytes, energy in joules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cnntention import provenance
from cnntention.config import Study
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.records import Parameters, Provenance
from cnntention.results.rows import Record
from cnntention.results.tables import TIMES, CostRow, RoundRow


class ModelProfile(Record):
    """What a model costs."""

    parameters: Parameters
    macs: int
    """Multiply-accumulates of one image's forward pass."""
    attention_matrix_bytes: int
    """One image's attention matrices, were they stored in fp32."""
    latency_ms: list[list[float]]
    """Forward pass of one image: of each process its rounds, each the median of its calls."""
    inference_ms: list[list[float]]
    """Forward pass of a batch."""
    training_step_ms: list[list[float]]
    """Training step of a batch."""
    training_memory_bytes: int
    """What a first training step adds to memory at its peak."""
    memory_source: str
    """Where that was read."""
    inference_joules: float | None
    """Of one image's forward pass."""
    training_step_joules: float | None


class Profile(Record):
    """results/profiles/<study>/<dataset>/<key>.json: all models of a dataset, measured in turn."""

    key: str
    """Its file's name."""
    dataset: str
    image: tuple[int, int, int]
    """Channels, height, width."""
    settings: dict[str, Any]
    """`profiling`."""
    energy: str
    """Where the energy was read, or why it was not."""
    models: dict[str, ModelProfile]
    made: str
    provenance: Provenance


def profiles(study: Study, whole: Study | None) -> Iterator[tuple[str, Profile]]:
    """Each dataset and its profile; of a part of a study only where that is there."""
    for dataset in study.datasets_used():
        path = Path(paths.profile_path(whole or study, dataset))
        if whole and not path.exists():
            continue
        profile = Profile.read(path)
        if profile.key != path.stem:
            raise UserError(f"{path}: is another profile, of key {profile.key}; delete it and run snakemake again.")
        yield dataset, profile


def round_rows(study: Study, whole: Study | None = None) -> Iterator[RoundRow]:
    for dataset, profile in profiles(study, whole):
        for name in study.models_on(dataset):
            times = [getattr(profile.models[name], column) for column in TIMES]
            for i, process in enumerate(zip(*times, strict=True), 1):
                for j, values in enumerate(zip(*process, strict=True), 1):
                    known = dict(zip(TIMES, values, strict=True))
                    yield RoundRow(dataset=dataset, model=name, process=i, round=j, **known)


def cost_rows(study: Study, whole: Study | None = None) -> list[CostRow]:
    rows = []
    for dataset, profile in profiles(study, whole):
        names = study.models_on(dataset)
        base = next((profile.models[name] for name in names if not study.models[name].modules), None)
        batch = profile.settings["batch_size"]
        facts = {"dataset": dataset, "image": "x".join(map(str, profile.image)), "batch_size": batch}
        facts |= {"energy": profile.energy, "hardware": provenance.hardware(profile.provenance)}
        facts |= {"commit": profile.provenance.commit}
        rows += [CostRow(model=name, **facts, **costs(profile.models[name], base, batch)) for name in names]
    return rows


def costs(model: ModelProfile, base: ModelProfile | None, batch: int) -> dict[str, Any]:
    """A model's columns. Ratios to the base are of the same round: what slows a whole round is not in them."""
    ratios = np.divide(model.training_step_ms, base.training_step_ms) if base else None
    return {
        "parameters": model.parameters.total,
        "attention_parameters": model.parameters.attention,
        "macs": model.macs,
        "macs_ratio": model.macs / base.macs if base else None,
        "attention_matrix_bytes": model.attention_matrix_bytes,
        "latency_ms": np.median(model.latency_ms),
        "training_step_ms": np.median(model.training_step_ms),
        **quartiles("training_step_ratio", ratios),
        "inference_images_per_s": 1e3 * batch / np.median(model.inference_ms),
        "training_images_per_s": 1e3 * batch / np.median(model.training_step_ms),
        "training_memory_bytes": model.training_memory_bytes,
        "inference_joules": model.inference_joules,
        "training_step_joules": model.training_step_joules,
    }


def quartiles(name: str, rounds: Any) -> dict[str, float | None]:
    """The median of a measurement's rounds, under its name, and their quartiles."""
    low, median, high = (None,) * 3 if rounds is None else np.percentile(rounds, (25, 50, 75)).tolist()
    return {name: median, f"{name}_q25": low, f"{name}_q75": high}
