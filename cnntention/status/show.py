"""What is printed: the study's state as rich's tables and lines, for a terminal of any width or for a pipe."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from cnntention.config import Study
from cnntention.status.estimate import Estimate, Work
from cnntention.status.findings import Accuracy, Findings, Later
from cnntention.status.logs import Failure
from cnntention.status.outlook import TimeLeft
from cnntention.status.runs import Phase, RunStatus
from cnntention.status.speed import Source
from cnntention.status.terminal import duration, new_table, percent, plural, stacked

BAR = 30  # characters
NUMBERS = 60, 22  # columns that the numbers beside the names take: of a run that trains, of an accuracy
LISTED = 10  # rows of failed or interrupted runs on a terminal
COLOURS = {
    Phase.DONE: "green",
    Phase.TRAINING: "cyan",
    Phase.INTERRUPTED: "yellow",
    Phase.WAITING: "dim",
    Phase.FAILED: "red",
}


@dataclass(frozen=True)
class Picture:
    """All that is shown of a study."""

    study: Study
    statuses: list[RunStatus]
    share: float
    """Of the training that is done."""
    left: TimeLeft
    later: Later
    findings: list[Findings]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        runs = len(self.statuses)
        trained = sum(status.phase is Phase.DONE for status in self.statuses)
        return self.later.report and all(done == runs for done in (trained, *self.later.done.values()))

    @property
    def failures(self) -> list[Failure]:
        return [*self.later.failures, *(failure for status in self.statuses for failure in status.failures)]


def parts(picture: Picture, out: Console) -> Iterator[RenderableType]:
    """The whole picture, from top to bottom."""
    yield from head(picture)
    many = LISTED if out.is_terminal else len(picture.statuses)
    training = of_phase(picture, Phase.TRAINING)
    if training:
        yield Text("\nTraining now", style="bold")
        yield training_table(picture, training, out.width)
    interrupted = of_phase(picture, Phase.INTERRUPTED)
    if interrupted:
        yield Text("\nInterrupted", style="bold yellow")
        yield from (Text(f"  {going_on(picture.study, status)}") for status in interrupted[:many])
        yield from rest(interrupted, many)
    if picture.failures:
        yield Text("\nFailed", style="bold red")
        for failure in picture.failures[:many]:
            yield Text(f"  {failure.name} ({failure.step})\n    {failure.reason}")
            yield Text(f"    See {failure.log}", no_wrap=True)  # in one piece, to be copied
        yield from rest(picture.failures, many)
    yield from results(picture.findings, out.width)


def of_phase(picture: Picture, phase: Phase) -> list[RunStatus]:
    return [status for status in picture.statuses if status.phase is phase]


def rest(entries: list, shown: int) -> Iterator[Text]:
    if len(entries) > shown:
        yield Text(f"  and {len(entries) - shown} more", style="dim")


# --- the study --------------------------------------------------------------------------------------------------


def head(picture: Picture) -> Iterator[Text]:
    """The study, its progress bar and counts, and the time left."""
    study = picture.study.study
    counts = {phase: len(of_phase(picture, phase)) for phase in Phase}
    yield Text.assemble((study.name, "bold"), f": {study.question}")
    full = int(BAR * picture.share)
    done = f"  {counts[Phase.DONE]} of {plural(len(picture.statuses), 'run')} trained, "
    yield Text.assemble(
        ("█" * full, "green"), ("░" * (BAR - full), "dim"), done, f"{percent(picture.share)} of the training"
    )
    shown = [(phase, n) for phase, n in counts.items() if n or phase in (Phase.WAITING, Phase.FAILED)]
    yield Text(", ").join(Text(f"{n} {phase}", style=COLOURS[phase] if n else "dim") for phase, n in shown)
    made = ", ".join(f"{kind} of {n}" for kind, n in picture.later.done.items())
    yield Text(f"Then: {made}; {'the report is made' if picture.later.report else 'no report yet'}")
    if counts[Phase.DONE] < len(picture.statuses):
        yield Text(left_sentence(picture.left))


def left_sentence(left: TimeLeft) -> str:
    """The time left and how it was estimated."""
    if left.seconds is None:
        return "Time left: unknown until an epoch is measured; `cnntention status --estimate` times a few steps"
    about, early = ("at most", " (recipes may stop early)") if left.at_most else ("about", "")
    at_a_time = f"{left.parallel} run{'s' if left.parallel > 1 else ''} at a time"
    return f"Time left: {about} {duration(left.seconds)} of training{early}, {at_a_time}; {speed_from(left.sources)}"


def speed_from(sources: Mapping[Source, int]) -> str:
    """Where speeds come from, with the number of runs if it is from several sources."""
    if not sources:
        return "no speed is known"
    known = [(source, sources[source]) for source in Source if sources.get(source)]
    words = [f"{source} ({n})" if len(known) > 1 else str(source) for source, n in known]
    return f"speed from {', '.join(words)}"


def training_table(picture: Picture, training: list[RunStatus], width: int) -> Table:
    stack = max(len(status.run.name) for status in training) + NUMBERS[0] > width
    table = new_table()
    table.add_column("run", no_wrap=stack)
    for name in ("epoch", "images/s", "val acc", "gates", "left"):
        table.add_column(name, justify="right", no_wrap=name != "gates")
    for status in training:
        epochs, total = status.epochs, picture.study.recipes[status.run.recipe].epochs
        table.add_row(
            stacked(status.run.name) if stack else status.run.name,
            f"{min(epochs.done + 1, total)} of {total}",
            "–" if status.images_per_s is None else f"{status.images_per_s:,.0f}",
            "–" if epochs.val_accuracy is None else f"{percent(epochs.val_accuracy, 1)}",
            " ".join(f"{gate:.3f}" for gate in epochs.gates) or "–",
            "–" if (seconds := picture.left.of_runs.get(status.run)) is None else duration(seconds),
        )
    return table


def going_on(study: Study, status: RunStatus) -> str:
    total, done = study.recipes[status.run.recipe].epochs, status.epochs.done
    if not status.resumes:
        return f"{status.run.name}: no training state is kept, will start anew"
    after = f"epoch {done} of {total}" if done else "its last epoch"
    return f"{status.run.name}: will go on after {after}"


# --- what was found ---------------------------------------------------------------------------------------------


def results(findings: list[Findings], width: int) -> Iterator[RenderableType]:
    """A table for each experiment of which anything is known."""
    known = [entry for entry in findings if entry.any]
    if not known:
        yield Text("\nNo test accuracy yet")
        return
    yield Text("\nTest accuracy so far, %: mean ± sd over seeds", style="bold")
    for entry in known:
        yield from experiment(entry, width)


def experiment(entry: Findings, width: int) -> Iterator[RenderableType]:
    """Its question and its table; what is the same in all rows is said once, above it."""
    columns = {name: [getattr(row, name) for row in entry.rows] for name in ("dataset", "model", "recipe")}
    varied = [name for name, values in columns.items() if len(set(values)) > 1] or ["model"]
    common = ", ".join(values[0] for name, values in columns.items() if name not in varied)
    yield Text.assemble("\n", (entry.experiment, "bold"), f": {entry.question}", f" ({common})" if common else "")
    stack = sum(2 + max(map(len, columns[name])) for name in varied) + NUMBERS[1] > width
    table = new_table()
    for name in ["/".join(varied)] if stack else varied:
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "runs"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in entry.rows:
        names = [getattr(row, name) for name in varied]
        table.add_row(*([stacked("/".join(names))] if stack else names), score(row), f"{len(row.values)}/{row.runs}")
    yield table


def score(row: Accuracy) -> str:
    if row.mean is None:
        return "–"
    return f"{100 * row.mean:.2f}" + (f" ± {100 * row.sd:.2f}" if row.sd is not None else "")


def estimate_parts(made: Estimate) -> Iterator[RenderableType]:
    """The estimate as a table with its total, and how it was made."""
    yield Text(
        "\nEstimate of all training, done or not" + (" (at most: recipes may stop early)" * made.at_most), style="bold"
    )
    table = new_table(show_footer=True)
    table.add_column("experiment", "all, each run once", overflow="fold")
    for name, cell in zip(("runs", "images to train on", made.unit), work_cells(made.total), strict=True):
        table.add_column(name, cell, justify="right")
    for name, work in made.experiments.items():
        table.add_row(name, *work_cells(work))
    yield table
    yield Text(f"Measured on {made.hardware}; {speed_from(made.sources)}")
    yield from (Text(note, style="yellow") for note in made.notes)


def work_cells(work: Work) -> tuple[str, str, str]:
    digits = 0 if work.hours is None or work.hours >= 100 else 1 if work.hours >= 1 else 3
    hours = "–" if work.hours is None else f"{work.hours:,.{digits}f}"
    return f"{work.runs:,}", "–" if work.images is None else f"{work.images:,}", hours
