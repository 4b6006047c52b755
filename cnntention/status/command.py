"""The status subcommand: read a study's files and print where it is; with --watch again and again."""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from cnntention.config import Run, Study
from cnntention.errors import UserError
from cnntention.results import looks, paths
from cnntention.status.runs import Phase, RunStatus, failures, look_at
from cnntention.status.speed import Speeds

PAUSE = 2.0  # s between two looks
WIDE = 1000  # columns of a pipe: nothing is cut or wrapped
REFERENCE = "as on a core of an AMD EPYC in bf16; `cnntention status --estimate` times this machine"
COLOURS = dict(zip(Phase, ("green", "cyan", "yellow", "dim", "red"), strict=True))


def show_status(study: Study, watched: bool, estimated: bool) -> None:
    """Print the study's state; `estimated`: with speeds timed on this machine as long as no run tells any."""
    sys.stdout.reconfigure(errors="replace")  # an encoding without block characters is no reason to fail
    piped = {} if sys.stdout.isatty() else {"width": WIDE, "color_system": None, "force_terminal": False}
    out = Console(highlight=False, markup=False, **piped)
    if watched and piped:
        raise UserError("--watch redraws a terminal, and the output is none; leave --watch out.")
    before = Speeds(study, {}, REFERENCE)
    if estimated and not any(status.images_per_s for status in look_at(study)):
        from cnntention.status.timing import time_models

        print("Timing a few training steps of each model, for about a minute", file=sys.stderr)
        before = time_models(study)
    if watched:
        with suppress(KeyboardInterrupt), Live(console=out, screen=True, auto_refresh=False) as live:
            while not report(study):
                live.update(Group(*parts(study, before)), refresh=True)
                time.sleep(PAUSE)
    for part in parts(study, before):
        out.print(part, soft_wrap=isinstance(part, Text))


def report(study: Study) -> Path | None:
    """Its page, as soon as it is whole."""
    folder = Path(paths.study_folder(looks.latest(study)), "report")
    return folder / "index.html" if (folder / "card.json").exists() else None


def parts(study: Study, before: Speeds) -> Iterator[RenderableType]:
    """The study as its files are now, from top to bottom; `before`: speeds as long as no run tells any."""
    study = looks.latest(study)
    statuses = look_at(study)
    measured = {status.run: status.images_per_s for status in statuses if (status.images_per_s or 0) > 0}
    speeds = Speeds(study, measured, "as measured on this study's runs") if measured else before
    left = {status.run: speeds.seconds(status.run) * (1 - status.epochs / status.planned) for status in statuses}
    yield from head(study, statuses, speeds, left)
    yield counts(study, statuses, speeds)
    yield Text(f"Hours of one core or GPU, of all training: {speeds.source}", style="dim")
    yield from next_look(study)
    if begun := [s for phase in (Phase.TRAINING, Phase.INTERRUPTED) for s in statuses if s.phase is phase]:
        yield Text("\nUnder way", style="bold")
        yield under_way(begun, left)
    if failed := failures(study, statuses):
        yield Text("\nFailed", style="bold red")
        for failure in failed:
            yield Text(f"  {failure.name} ({failure.step})\n    {failure.reason}\n    See {failure.log}")
    for name in study.study.experiments:
        yield from accuracies(study, name, {status.run: status.top1 for status in statuses})


def head(study: Study, statuses: list[RunStatus], speeds: Speeds, left: dict[Run, float]) -> Iterator[Text]:
    """The question, the progress bar, the time left and the report."""
    yield Text.assemble((study.study.name, "bold"), f": {study.study.question}")
    part = 1 - sum(left.values()) / sum(map(speeds.seconds, left))
    unfinished = [status for status in statuses if status.phase is not Phase.DONE]
    trained = f"{len(statuses) - len(unfinished)} of {len(statuses)} runs trained"
    words = f"  {100 * part:.0f} % of the training; {trained}, {sum(status.examined for status in statuses)} examined"
    yield Text.assemble(("█" * int(30 * part), "green"), ("░" * (30 - int(30 * part)), "dim"), words)
    if unfinished:
        yield Text(f"Time left: {time_left(study, unfinished, speeds, left)}")
    yield Text(f"Report: {report(study) or 'not made yet'}\n")


def next_look(study: Study) -> Iterator[Text]:
    """Of a study whose seeds depend on its verdicts: which look comes next, and what it was or would be priced at."""
    taken = looks.before(study)
    if not study.adaptive:
        return
    last = looks.Look.of(study) or (looks.Look.of(taken[-1]) if taken else None)
    if last is None:
        yield Text("Look 1 comes when these runs are examined")
    elif last.ended:
        yield Text(f"Look {last.number} was the last: {last.ended}{priced(last)}")
    else:
        yield Text(f"Look {last.number + 1} costs {last.price:.2f} hours, after {last.spent:.2f}{priced(last)}")


def priced(look: looks.Look) -> str:
    """The claims that are open, each with the hours of its next seeds."""
    prices = ", ".join(f"{name} ({hours:.2f} h)" for name, hours in look.claims.items())
    return f"; open, with the hours of their next seeds: {prices}" if prices else ""


def time_left(study: Study, unfinished: list[RunStatus], speeds: Speeds, left: dict[Run, float]) -> str:
    """Of training, at as many runs at a time as train now."""
    if not speeds.measured:
        return "not known until a run has trained an epoch"
    parallel = max(1, sum(status.phase is Phase.TRAINING for status in unfinished))
    # the longest run bounds it: at the end fewer train at the same time
    seconds = max(sum(left.values()) / parallel, *left.values())
    about = "at most" if any(study.recipes[status.run.recipe].stop for status in unfinished) else "about"
    guessed = len({status.run.model for status in unfinished if speeds.kinds(status.run)[1] not in speeds.ratios})
    guess = f"; models not measured yet: {guessed}, guessed by their size" if guessed else ""
    return f"{about} {duration(seconds)} of training, {parallel} at a time{guess}"


def counts(study: Study, statuses: list[RunStatus], speeds: Speeds) -> Table:
    """Runs by phase, and hours of training, of each experiment."""
    made, phases = table("experiment", "runs", *Phase, "hours"), {status.run: status.phase for status in statuses}
    experiments = {name: study.runs_of(name) for name in study.study.experiments}
    for name, runs in (experiments | {"all, each run once": study.runs()}).items():
        number = Counter(phases[run] for run in runs)
        cells = [Text(str(number[phase]), style=COLOURS[phase] if number[phase] else "dim") for phase in Phase]
        hours = sum(map(speeds.seconds, runs)) / 3600
        made.add_row(name, str(len(runs)), *cells, f"{hours:,.{0 if hours >= 100 else 1 if hours >= 1 else 3}f}")
    return made


def under_way(statuses: list[RunStatus], left: dict[Run, float]) -> Table:
    """Runs that train, and those that will go on."""
    made = table("run", "", "epoch", "images/s", "val acc", "gates", "left")
    for status in statuses:
        gates = [f"{gate:.3f}" for name, gate in status.last.items() if name.endswith(".gate") and gate is not None]
        made.add_row(
            status.run.name,
            Text(status.phase, style=COLOURS[status.phase]),
            f"{min(status.epochs + 1, status.planned)} of {status.planned}",
            "–" if status.images_per_s is None else f"{status.images_per_s:,.0f}",
            "–" if (accuracy := status.last.get("val_accuracy")) is None else f"{100 * accuracy:.1f} %",
            " ".join(gates) or "–",
            "–" if status.images_per_s is None else duration(left[status.run]),
        )
    return made


def accuracies(study: Study, name: str, top1: dict[Run, float | None]) -> Iterator[RenderableType]:
    """An experiment's test accuracies by model, as soon as there are any; of CueMatch also how many runs solved it."""
    runs = study.runs_of(name)
    if all(top1[run] is None for run in runs):
        return
    yield Text.assemble("\n", (name, "bold"), ": test accuracy so far, mean ± sd over seeds")
    made = table("dataset/model/recipe", "%", "n", "solved")
    for cell in dict.fromkeys((run.dataset, run.model, run.recipe) for run in runs):
        values = [top1[run] for run in runs if (run.dataset, run.model, run.recipe) == cell]
        known = [value for value in values if value is not None]
        mean = f"{100 * statistics.fmean(known):.2f}" if known else "–"
        sd = f" ± {100 * statistics.stdev(known):.2f}" if len(known) > 1 else ""
        threshold = getattr(study.datasets[cell[0]].source, "solved_from", None)
        solved = f"{sum(value >= threshold for value in known)} of {len(known)}" if threshold else "–"
        made.add_row("/".join(cell), mean + sd, f"{len(known)} of {len(values)}", solved)
    yield made


def table(first: str, *columns: str) -> Table:
    columns = [Column(first, overflow="fold"), *(Column(name, justify="right", no_wrap=True) for name in columns)]
    return Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours = seconds / 3600
    return f"{seconds / 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h" if hours < 48 else f"{hours / 24:,.1f} days"
