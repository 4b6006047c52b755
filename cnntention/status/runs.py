"""The state of each run, and the steps that failed, from files. Any of them may be missing, broken or half-written."""

import fcntl
import json
import math
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from cnntention.config import Run, Study
from cnntention.data.archives import raw_path
from cnntention.results import paths

SILENCE = 3600  # s without a sign of life until a run on another machine counts as interrupted
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x09\x0b-\x1f\x7f]")  # what a program may write for a terminal
ERROR = re.compile(r"cnntention [a-z]+: |Traceback |.*: No module named |.*: command not found|.*\d Killed ")
INTERRUPTED = re.compile(r"cnntention [a-z]+: interrupted\.|KeyboardInterrupt")
EPOCH = re.compile(r": (?:going on after )?epoch (\d+)(?:/| of )\d+")  # as training.progress prints it


class Phase(StrEnum):
    """Where a run's training is."""

    DONE = "done"
    TRAINING = "training"
    INTERRUPTED = "interrupted"
    WAITING = "waiting"
    FAILED = "failed"


class Failure(NamedTuple):
    """A step that ended with an error."""

    step: str
    name: str  # of the run, the dataset or the study
    reason: str
    log: Path


@dataclass(frozen=True)
class RunStatus:
    """One run, as its files show it."""

    run: Run
    phase: Phase
    planned: int  # epochs
    epochs: int = 0  # done; of an unfinished run those that it need not repeat
    images_per_s: float | None = None  # measured on this run
    last: Mapping[str, float | None] = field(default_factory=dict)  # last row of an unfinished run's history.csv
    examined: bool = False
    top1: float | None = None  # test accuracy
    failure: Failure | None = None


def look_at(study: Study) -> list[RunStatus]:
    """The state of every run, in the run table's order."""
    return [look_at_run(study, run) for run in study.runs()]


def look_at_run(study: Study, run: Run) -> RunStatus:
    planned = study.recipes[run.recipe].epochs
    folder = Path(run.folder)
    state, log, table = Path("state", *folder.parts[2:]), folder / "train.log", folder / "history.csv"
    lock, state = state.with_suffix(".lock"), state.with_suffix(".pt")
    if not lock.exists() and not folder.exists():  # most runs of a study that has just begun
        return RunStatus(run, Phase.WAITING, planned)
    alive = in_training(lock, [lock, state, table, log])  # before run.json, which is written while the lock is held
    if (folder / "run.json").exists():
        return finished(study, run, planned)
    names, *rows = [line.split(",") for line in read(table).splitlines()] or [[]]
    history = [dict(zip(names, map(number, row), strict=False)) for row in rows]
    epochs = len(history)
    if not history:  # Snakemake deletes it when a job fails; the log stays
        epochs = max([0, *(int(found[1]) for line in lines_of(log) if (found := EPOCH.search(line)))])
    failure = None if alive else failed("train", run.name, log)
    begun = Phase.INTERRUPTED if lock.exists() or state.exists() or history else Phase.WAITING
    phase = Phase.TRAINING if alive else Phase.FAILED if failure else begun
    epochs = min(epochs, planned) if alive or state.exists() else 0
    last = history[-1] if history else {}
    return RunStatus(run, phase, planned, epochs, last.get("images_per_s"), last, failure=failure)


def finished(study: Study, run: Run, planned: int) -> RunStatus:
    folder = Path(paths.examination_folder(study, run))
    log = Path("logs/examine", *folder.parts[2:-2], f"{folder.parent.name}-{study.examination_key(run.dataset)}.log")
    examined = all(map(os.path.exists, paths.told_of_examination(study, run)))
    images_per_s = number(read_json(Path(run.folder, "run.json")).get("images_per_s"))
    top1 = number(read_json(folder / "metrics.json").get("top1"))
    failure = None if examined else failed("examine", run.name, log)
    return RunStatus(run, Phase.DONE, planned, planned, images_per_s, examined=examined, top1=top1, failure=failure)


def in_training(lock: Path, signs: list[Path]) -> bool:
    """Whether a process trains the run: it holds the lock, or held it on another machine and showed life lately."""
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            here = handle.read().decode(errors="replace") == platform.node()
            return not here and time.time() - max(path.stat().st_mtime for path in signs if path.exists()) < SILENCE
    except BlockingIOError:
        return True
    except OSError:  # there is no lock, or it has just been removed
        return False


def failures(study: Study, statuses: list[RunStatus]) -> list[Failure]:
    """What failed and was not made since."""
    found = [failed(step, name, Path(log)) for step, name, made, log in jobs(study) if not Path(made).exists()]
    return [failure for failure in (*found, *(status.failure for status in statuses)) if failure]


def jobs(study: Study) -> Iterator[tuple[str, str, str, str]]:
    """(step, name, file it makes, log) of the jobs of datasets and of the study, as workflow/rules/ names them."""
    for name in study.datasets_used():
        for archive in study.datasets[name].source.archives.values():
            path = raw_path(name, archive)
            yield "fetch", name, path, f"logs/fetch/{name}/{Path(path).name}.log"
        data, profile = paths.data_folder(study, name), paths.profile_path(study, name)
        yield "prepare", name, f"{data}/card.json", f"logs/prepare/{name}/{Path(data).name}.log"
        yield "profile", name, profile, f"logs/profile/{study.study.name}/{name}/{Path(profile).stem}.log"
    folder, name = Path(paths.study_folder(study)), study.study.name
    for step, part in zip(("summarise", "judge", "report"), paths.STUDY_PARTS, strict=True):
        yield step, name, f"{folder}/{part}/card.json", f"logs/{step}/{name}-{folder.name}.log"


def failed(step: str, name: str, log: Path) -> Failure | None:
    """What a log with an error ends with; None if there is no error, or the step was interrupted."""
    lines = lines_of(log)
    if not any(map(ERROR.match, lines)) or INTERRUPTED.match(lines[-1]):
        return None
    return Failure(step, name, lines[-1].removeprefix(f"cnntention {step}: ").removeprefix(f"{name}: "), log)


def lines_of(log: Path) -> list[str]:
    """A log's lines, without those that are empty."""
    return [line for line in (CONTROL.sub("", line).strip() for line in read(log).splitlines()) if line]


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def read_json(path: Path) -> dict[str, Any]:
    """The file's mapping; empty if there is none: the step that uses the file will say what is wrong with it."""
    try:
        value = json.loads(read(path))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A finite number of a JSON file or a table's cell; None if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
