"""What a step's log says: the error that it ended with, and how far a training came."""

import re
from dataclasses import dataclass
from pathlib import Path

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")  # what a program may write for a terminal
TAIL = 64 * 1024  # bytes: a traceback of torch is some thousands
OURS = re.compile(r"cnntention [a-z]+: .*")
SHELLS = re.compile(r".*(: No module named .+|: command not found)$")
INTERRUPTED = re.compile(r"(cnntention [a-z]+: interrupted\.|KeyboardInterrupt.*)$")
EPOCH = re.compile(r".*: epoch (\d+)/\d+ .* val loss \S+ accuracy (\S+)% +(\d+) images/s")  # training.progress
RESUMED = re.compile(r".*: going on after epoch (\d+) of \d+$")


@dataclass(frozen=True)
class Failure:
    """A step that ended with an error."""

    step: str
    name: str
    """Of the run, the dataset or the study."""
    reason: str
    log: Path
    """The file to look at."""


@dataclass(frozen=True)
class LoggedEpoch:
    """The last epoch that a training's log tells of; a run that goes on first names the epoch it goes on after."""

    epoch: int
    val_accuracy: float | None = None
    images_per_s: float | None = None


def last_lines(path: Path) -> list[str]:
    """The end of a log without empty lines; nothing where there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    lines = (CONTROL.sub("", line).rstrip() for line in text.splitlines())
    return [line for line in lines if line]


def error_in(path: Path) -> str | None:
    """The error that a log ends with; None if there is none, or the step was interrupted."""
    lines = last_lines(path)
    if not lines:
        return None
    reason = lines[-1] if OURS.match(lines[-1]) or SHELLS.match(lines[-1]) else traceback_in(lines)
    return None if reason is None or INTERRUPTED.match(reason) else reason


def traceback_in(lines: list[str]) -> str | None:
    """The exception of the last traceback, its first line: messages of torch go on for many."""
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    after = lines[starts[-1] + 1 :] if starts else []
    return next((line for line in after if not line.startswith(" ")), None)


def last_epoch(path: Path) -> LoggedEpoch | None:
    """How far the training came that wrote this log."""
    for line in reversed(last_lines(path)):
        if found := EPOCH.match(line):
            return LoggedEpoch(int(found[1]), float(found[2]) / 100, float(found[3]))
        if found := RESUMED.match(line):
            return LoggedEpoch(int(found[1]))
    return None
