"""What a study costs before it starts: core-hours or GPU-hours of training, by experiment."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntention.config import Run, Study
from cnntention.status.runs import RunStatus
from cnntention.status.speed import Images, Measured, Source, Speeds, device_of, image_facts, measured_speeds

if TYPE_CHECKING:
    import torch

UNITS = {"cpu": "core-hours", "cuda": "GPU-hours", "mps": "GPU-hours"}


@dataclass(frozen=True)
class Work:
    """The training of an experiment, or of the whole study. None: not known."""

    runs: int
    images: int | None
    """To train on: epochs x training images, over all runs."""
    hours: float | None


@dataclass(frozen=True)
class Estimate:
    """Of every run of the study, those that are done included."""

    experiments: Mapping[str, Work]
    total: Work
    """Each run once."""
    at_most: bool
    """Whether a recipe may stop early."""
    unit: str
    hardware: str
    """What the speeds were measured on."""
    sources: Mapping[Source, int]
    """How many runs' speeds are known in which way."""
    notes: tuple[str, ...] = ()
    """Of recipes whose precision the device only emulates."""


def estimate(
    study: Study, statuses: list[RunStatus], say: Callable[[str], None], budget_s: float | None = None
) -> Estimate:
    """Time what was not measured, for `budget_s` at most (the rest is then scaled), and add it up by experiment."""
    images, measured, device = image_facts(study), measured_speeds(statuses), device_of(statuses)
    speeds = Speeds(study, images, measured)
    hardware = f"this study's runs ({device or 'device not known yet'})"
    notes: dict[str, None] = {}
    missing = [run for run in study.runs() if (s := speeds.of(run)) is None or s.source is Source.ROUGH]
    if missing:
        from cnntention import precision
        from cnntention.status import timing

        where = timing.here()
        # speeds of two kinds of device do not add up: what is missing is then scaled by what was measured
        if not measured or device == where.type:
            device, hardware = where.type, timing.hardware(where)
            speeds = Speeds(study, images, measured + time_missing(study, missing, images, where, say, budget_s))
            recipes = {run.recipe: study.recipes[run.recipe].precision for run in missing}
            notes = dict.fromkeys(filter(None, (precision.warning(*recipe, where) for recipe in recipes.items())))
    names = study.study.experiments
    return Estimate(
        {name: work(study, study.runs_of(name), speeds) for name in names},
        work(study, study.runs(), speeds),
        any(study.recipes[run.recipe].stop for run in study.runs()),
        UNITS.get(device or "", "hours"),
        hardware,
        Counter(s.source for run in study.runs() if (s := speeds.of(run))),
        tuple(notes),
    )


def time_missing(
    study: Study,
    missing: list[Run],
    images: Mapping[str, Images | None],
    where: "torch.device",
    say: Callable[[str], None],
    budget_s: float | None,
) -> list[Measured]:
    """The speeds of the runs' models, each timed once for an image size, batch size and precision; cheap ones first."""
    from cnntention.models.registry import check
    from cnntention.status import timing

    if study.plugins:
        check(study)
    groups: dict[tuple, dict[tuple, Run]] = {}
    for run in missing:
        facts, recipe = images[run.dataset], study.recipes[run.recipe]
        if facts:
            same = (run.model, facts.side, facts.channels, min(recipe.batch_size, facts.train), recipe.precision)
            groups.setdefault(same, {})[run.dataset, run.model, run.recipe] = run
    measured, start, costs = [], time.perf_counter(), Speeds(study, images, [])
    for same, runs in sorted(groups.items(), key=lambda group: costs.cost(next(iter(group[1].values())))):
        if measured and budget_s is not None and time.perf_counter() - start > budget_s:
            break
        say(f"timing {same[0]} on images of {same[1]} px")
        run = next(iter(runs.values()))
        if speed := timing.images_per_s(study, run, images[run.dataset], where):
            measured += [Measured(run, speed, Source.TIMED) for run in runs.values()]
    return measured


def work(study: Study, runs: list[Run], speeds: Speeds) -> Work:
    """The runs' training, added up."""
    total, seconds = 0, 0.0
    for run in runs:
        facts, speed = speeds.images[run.dataset], speeds.of(run)
        if facts is None:
            return Work(len(runs), None, None)
        count = study.recipes[run.recipe].epochs * facts.train
        total += count
        seconds = None if seconds is None or speed is None else seconds + count / speed.images_per_s
    return Work(len(runs), total, None if seconds is None else seconds / 3600)
