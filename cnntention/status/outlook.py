"""How much of the study's training is done, and how long the rest takes."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from cnntention.config import Run, Study
from cnntention.status.runs import Phase, RunStatus
from cnntention.status.speed import Images, Source, Speeds

UNKNOWN = 50_000  # training images of a dataset of which nothing is known, for the progress bar


@dataclass(frozen=True)
class TimeLeft:
    """Of training; scoring and explaining the runs is not counted."""

    seconds: float | None
    """None as long as the speed of some run is unknown."""
    at_most: bool
    """Whether a recipe may stop early."""
    parallel: int
    """Runs that train at the same time."""
    sources: Mapping[Source, int]
    """How many runs' speeds are known in which way."""
    of_runs: Mapping[Run, float | None]
    """The same of each run that is not done, s."""


def time_left(study: Study, statuses: list[RunStatus], speeds: Speeds, now: float | None = None) -> TimeLeft:
    """Of all runs that are not done, at as many at a time as train now."""
    now = time.time() if now is None else now
    unfinished = [status for status in statuses if status.phase is not Phase.DONE]
    parallel = max(1, sum(status.phase is Phase.TRAINING for status in unfinished))
    of_runs = {status.run: run_seconds(study, status, speeds, now) for status in unfinished}
    each = list(of_runs.values())
    at_most = any(study.recipes[status.run.recipe].stop for status in unfinished)
    known = [speed.source for status in unfinished if (speed := speeds.of(status.run))]
    # the longest run bounds it: at the end there is less to do at the same time
    seconds = None if None in each else max(sum(each) / parallel, max(each, default=0.0))
    return TimeLeft(seconds, at_most, parallel, Counter(known), of_runs)


def run_seconds(study: Study, status: RunStatus, speeds: Speeds, now: float) -> float | None:
    """What is left of a run's training; None if nothing tells its speed."""
    speed, images = speeds.of(status.run), speeds.images[status.run.dataset]
    own = status.images_per_s or (speed.images_per_s if speed else None)
    if own is None or images is None:
        return None
    epoch = images.train / own
    left = (study.recipes[status.run.recipe].epochs - status.epochs_kept) * epoch
    if status.phase is Phase.TRAINING and status.epochs.ended:
        left -= min(max(0.0, now - status.epochs.ended), epoch)
    return max(0.0, left)


def share_done(study: Study, statuses: list[RunStatus], images: Mapping[str, Images | None]) -> float:
    """Of all images that the study trains on; a run that stopped early is done."""
    done = total = 0
    for status in statuses:
        facts, epochs = images[status.run.dataset], study.recipes[status.run.recipe].epochs
        train = facts.train if facts else UNKNOWN
        total += epochs * train
        done += (epochs if status.phase is Phase.DONE else min(epochs, status.epochs_kept)) * train
    return done / total
