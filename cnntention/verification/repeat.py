"""Train and examine a run again, in a folder of its own, and compare it with what is recorded."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from cnntention import files, provenance
from cnntention.config import Run, Study
from cnntention.evaluation.command import evaluate_run
from cnntention.examination import examine_run
from cnntention.results import paths
from cnntention.results.records import Metrics, RunRecord
from cnntention.results.verification import Outcome, Repeat
from cnntention.storage import open_run
from cnntention.training.command import train_run

TIMES = {"seconds", "images_per_s"}  # columns of history.csv that no two trainings share
MAY_DIFFER = {"commit", "cores", "python", "snakemake", "dvc", "pandas"}  # and yet the same bytes are promised
SCORES = ("top2", "nll", "brier", "ece")
WIDTH = 3  # standard deviations; at most 0.8 were measured, see docs/verify.md


@dataclass(frozen=True)
class Copy(Run):
    """A run that is repeated in another folder."""

    place: str

    @property
    def folder(self) -> str:
        return self.place


@dataclass(frozen=True)
class Told:
    """A run as it is recorded."""

    weights_sha256: str | None
    history: pd.DataFrame
    scores: Mapping[str, float | None]
    """top1 and SCORES."""
    images: int
    """Of the test split."""
    machine: Mapping[str, str | None]
    threads: int
    device: str
    others: list[float]
    """Test accuracies of the cell's runs, as far as they are known."""
    examination: Path | None
    """Its folder, if there is one."""


def told_by_files(study: Study, run: Run) -> Told:
    """What the run's folder says."""
    made, folder = RunRecord.of(run), Path(paths.examination_folder(study, run))
    scores = Metrics.read(folder / "metrics.json")
    cell = [one for one in study.runs() if (one.dataset, one.model, one.recipe) == (run.dataset, run.model, run.recipe)]
    known = [path for one in cell if (path := Path(paths.examination_folder(study, one), "metrics.json")).exists()]
    return Told(
        weights_sha256=made.weights_sha256,
        history=files.read_csv(f"{run.folder}/history.csv", sha256=made.history_sha256),
        scores={name: getattr(scores, name) for name in ("top1", *SCORES)},
        images=scores.images,
        machine=machine(made),
        threads=made.provenance.threads,
        device=made.provenance.device,
        others=[Metrics.read(path).top1 for path in known],
        examination=folder,
    )


def told_by_tables(runs: pd.DataFrame, epochs: pd.DataFrame, run: Run) -> Told:
    """What a study's tables say, such as published ones: no hash, no instruction set."""

    def of(table: pd.DataFrame, *names: str) -> pd.DataFrame:
        return table[(table[list(names)] == [getattr(run, name) for name in names]).all(axis=1)]

    cell = of(runs, "dataset", "model", "recipe")
    (row,) = cell[cell["seed"] == run.seed].to_dict("records")
    history = of(epochs, "dataset", "model", "recipe", "seed").drop(columns=["dataset", "model", "recipe", "seed"])
    return Told(
        weights_sha256=None,
        history=history.astype(float).reset_index(drop=True),
        scores={"top1": row["test_accuracy"]} | {name: None if pd.isna(row[name]) else row[name] for name in SCORES},
        images=row["test_images"],
        machine={name: str(row[name]) for name in ("commit", "hardware", "device", "torch")} | {"isa": None},
        threads=row["threads"],
        device=row["device"],
        others=cell["test_accuracy"].tolist(),
        examination=None,
    )


def machine(made: RunRecord) -> dict[str, str | None]:
    """What may change a run's bytes, and the commit, as words."""
    facts, own = made.provenance, ("commit", "python", "system", "cores", "isa", "device")
    words = {name: str(getattr(facts, name)) for name in own} | facts.libraries
    return words | {"hardware": provenance.hardware(facts, made.precision)}


def repeat(study: Study, run: Run, told: Told) -> Repeat:
    """Train and examine the run again, with as many threads as then, on such a device if there is one here."""
    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    device = told.device if here[told.device] else "auto"
    with tempfile.TemporaryDirectory(prefix="cnntention-verify-") as scratch:
        copy = Copy(**asdict(run), place=f"{scratch}/run")
        train_run(study, copy, Path(scratch, "state.pt"), told.threads, device)
        if told.examination:
            examine_run(study, copy, 1, device)
        else:
            evaluate_run(study, copy, open_run(study, copy, 1, device))
        return compare(run, told, told_by_files(study, copy))


def compare(run: Run, then: Told, now: Told) -> Repeat:
    """What differs, and whether it may."""
    here = now.machine
    differing = {name: (was, here.get(name)) for name, was in then.machine.items() if was != here.get(name)}
    promised = not set(differing) - MAY_DIFFER
    first, loss, accuracy = differences(then.history, now.history)
    scores = {name: (was, now.scores[name]) for name, was in then.scores.items() if not equal(was, now.scores[name])}
    same = then.weights_sha256 == now.weights_sha256 if then.weights_sha256 else None
    changed = changed_files(then.examination, now.examination) if same else []
    test, allowed = now.scores["top1"] - then.scores["top1"], tolerance(then)
    outcome = Outcome.IDENTICAL
    if same is False or first or scores or changed:
        outcome = Outcome.CLOSE if not promised and abs(test) <= allowed else Outcome.DIFFERENT
    return Repeat(
        run=run.name,
        outcome=outcome,
        same_weights=same,
        first_epoch=first,
        loss_difference=loss,
        accuracy_difference=accuracy,
        test_difference=test,
        tolerance=allowed,
        metrics=scores,
        files=changed,
        machine=differing,
        promised=promised,
    )


def changed_files(then: Path, now: Path) -> list[str]:
    """Names of an examination's files whose bytes differ; arrays may be absent."""
    present = [name for name in paths.EXAMINATION_FILES if (then / name).exists()]
    return [name for name in present if files.sha256(then / name) != files.sha256(now / name)]


def equal(one: Any, other: Any) -> Any:
    """Equal but for the last digit, which pandas may lose when it reads a CSV; NaN equals NaN."""
    return np.isclose(np.asarray(one, float), np.asarray(other, float), rtol=1e-13, atol=0, equal_nan=True)


def differences(then: pd.DataFrame, now: pd.DataFrame) -> tuple[int | None, float, float]:
    """The first epoch that differs, and the largest absolute differences of losses and of accuracies."""
    both = min(len(then), len(now))
    columns = [name for name in now if name in then and name not in TIMES]
    old, new = (table[columns].astype(float).iloc[:both] for table in (then, now))
    differing = np.flatnonzero(~equal(old, new).all(axis=1))
    first = int(differing[0]) + 1 if len(differing) else both + 1 if len(then) != len(now) else None
    gaps = (new - old).abs()
    loss, accuracy = (gaps[[f"train_{kind}", f"val_{kind}"]].max(axis=None) for kind in ("loss", "accuracy"))
    return first, *(0.0 if math.isnan(gap) else float(gap) for gap in (loss, accuracy))


def tolerance(told: Told) -> float:
    """By how much test accuracies may differ where arithmetic does: WIDTH sd of the difference of two seeds' runs.

    The spread between seeds is taken to be at least that of sampling the test images, also if only one seed is known.
    """
    share = (told.scores["top1"] * told.images + 1) / (told.images + 2)
    sampling = share * (1 - share) / told.images
    spread = np.var(told.others, ddof=1) if len(told.others) > 1 else 0.0
    return WIDTH * math.sqrt(2 * (sampling + max(sampling, spread)))
