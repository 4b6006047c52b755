"""The state of each run, from its files: done, training now, interrupted, waiting or failed."""

import csv
import fcntl
import json
import math
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from cnntention import plan
from cnntention.config import Run, Study
from cnntention.status import places
from cnntention.status.logs import Failure, error_in, last_epoch

SILENCE = 300  # s, at least, without a sign of life until a run on another machine counts as interrupted
FIRST_EPOCH = 1800  # s: the same, as long as nothing is known of how long its epochs take


class Phase(StrEnum):
    """Where a run is."""

    DONE = "done"
    TRAINING = "training now"
    INTERRUPTED = "interrupted"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True)
class Epochs:
    """What is known of a run's epochs so far; those of an unfinished run are gone over again where no state is kept."""

    done: int = 0
    val_accuracy: float | None = None
    gates: tuple[float, ...] = ()
    """As they were after the last epoch, in the order of the network."""
    images_per_s: float | None = None
    """Mean over epochs, of the training part."""
    longest_s: float | None = None
    """Of the longest epoch, training part."""
    ended: float | None = None
    """When the last one ended, s since 1970."""


@dataclass(frozen=True)
class RunStatus:
    """One run, as its files show it."""

    run: Run
    phase: Phase
    epochs: Epochs = Epochs()
    resumes: bool = False
    """Whether a training state is kept, from which an unfinished run goes on."""
    images_per_s: float | None = None
    """Measured on this run."""
    device: str | None = None
    """Type of device it was trained on: cpu, cuda, mps."""
    top1: float | None = None
    """Test accuracy."""
    examined: frozenset[str] = frozenset()
    """Of evaluation, diagnosis and explanation, those that have left their file."""
    failures: tuple[Failure, ...] = ()

    @property
    def epochs_kept(self) -> int:
        """Epochs that need not be made again."""
        return self.epochs.done if self.phase is Phase.TRAINING or self.resumes else 0


def look_at(study: Study, now: float | None = None) -> list[RunStatus]:
    """The state of every run of the study, in the run table's order."""
    now = time.time() if now is None else now
    return [look_at_run(study, run, now) for run in study.runs()]


def look_at_run(study: Study, run: Run, now: float) -> RunStatus:
    lock, path = places.lock(run), places.of_run(run, "run.json")
    if not lock.exists() and not path.parent.exists():  # most runs of a study that has just begun
        return RunStatus(run, Phase.WAITING)
    if path.exists():
        return finished(study, run, path)
    epochs = epochs_of(run)
    if is_trained(run, epochs, now):
        return RunStatus(run, Phase.TRAINING, epochs, images_per_s=epochs.images_per_s)
    if path.exists():  # it was done in the meantime
        return finished(study, run, path)
    log, kept = places.of_run(run, "train.log"), places.state(run).exists()
    if reason := error_in(log):
        return RunStatus(run, Phase.FAILED, epochs, kept, failures=(Failure("train", run.name, reason, log),))
    begun = kept or lock.exists() or places.of_run(run, "history.csv").exists()
    phase = Phase.INTERRUPTED if begun else Phase.WAITING
    return RunStatus(run, phase, epochs, kept, epochs.images_per_s)


def finished(study: Study, run: Run, path: Path) -> RunStatus:
    """A run that has a run.json, and what was found in it."""
    made, broken = read_mapping(path)
    if made is None:
        return RunStatus(run, Phase.FAILED, failures=(Failure("train", run.name, broken, path),))
    examined = {kind for kind, name in places.EXAMINATION.items() if places.of_run(run, name).exists()}
    failures, log, top1 = [], places.examine_log(run), None
    if len(examined) < len(places.EXAMINATION) and (reason := error_in(log)):
        failures.append(Failure("examine", run.name, reason, log))
    if "evaluation" in examined:
        scores, broken = read_mapping(path := places.of_run(run, places.EXAMINATION["evaluation"]))
        if scores is None:
            failures.append(Failure("examine", run.name, broken, path))
        elif scores.get("key") == plan.evaluation_key(study, run, made.get("weights_sha256", "")):
            top1 = number(scores.get("top1"))  # with another key it is of other weights or settings: made again
    facts = made.get("provenance")
    device = facts.get("device") if isinstance(facts, dict) else None
    speed = number(made.get("images_per_s"))
    return RunStatus(
        run,
        Phase.DONE,
        images_per_s=speed,
        device=device,
        top1=top1,
        examined=frozenset(examined),
        failures=tuple(failures),
    )


def read_mapping(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The file's mapping, or None and what is wrong with it."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return None, f"{path.name} cannot be read ({error}); delete it to have it made again."
    if not isinstance(value, dict):
        return None, f"{path.name} holds no keys; delete it to have it made again."
    return value, ""


def number(value: Any) -> float | None:
    """A finite number of a JSON file, or of a cell of a table; None if it is none."""
    try:
        found = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None


# --- unfinished runs --------------------------------------------------------------------------------------------


def epochs_of(run: Run) -> Epochs:
    """From history.csv; from the log where Snakemake deleted that with a failed job's outputs."""
    path = places.of_run(run, "history.csv")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if rows:
            return of_history(rows, path.stat().st_mtime)
    except (OSError, ValueError, csv.Error):
        pass  # without a history: the log may tell
    log = places.of_run(run, "train.log")
    found = last_epoch(log)
    if found is None:
        return Epochs()
    return Epochs(found.epoch, found.val_accuracy, images_per_s=found.images_per_s, ended=modified([log]))


def of_history(rows: list[dict[str, str]], ended: float) -> Epochs:
    """What the rows of history.csv say."""
    sound = [row for row in rows if row.get("train_loss")]
    speeds, seconds = ([n for row in sound if (n := number(row.get(name)))] for name in ("images_per_s", "seconds"))
    gates = (number(value) for name, value in rows[-1].items() if name and name.endswith(".gate"))
    return Epochs(
        done=len(rows),
        val_accuracy=number(rows[-1].get("val_accuracy")),
        gates=tuple(gate for gate in gates if gate is not None),
        images_per_s=sum(speeds) / len(speeds) if speeds else None,
        longest_s=max(seconds, default=None),
        ended=ended,
    )


def is_trained(run: Run, epochs: Epochs, now: float) -> bool:
    """Whether a process trains the run: it holds the lock, or did on another machine and gave a sign of life lately."""
    path = places.lock(run)
    try:
        handle = path.open("rb")
    except OSError:
        return False
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            pass  # a file system without locks
        else:
            if handle.read().decode(errors="replace").strip() == platform.node():
                return False
    signs = (path, places.state(run), places.of_run(run, "history.csv"), places.of_run(run, "train.log"))
    patience = FIRST_EPOCH if epochs.longest_s is None else max(SILENCE, 3 * epochs.longest_s)
    return now - modified(signs) < patience


def modified(paths: Iterable[Path]) -> float:
    """When the last of them was modified that are there, s since 1970; 0 if none is."""
    times = [0.0]
    for path in paths:
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
    return max(times)
