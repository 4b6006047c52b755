"""Test accuracy of every run of an experiment."""

from typing import TYPE_CHECKING

from cnntention.config import Study
from cnntention.report import theme
from cnntention.report.catalogue import always, figure
from cnntention.report.numbers import counted, known
from cnntention.results.words import Ended

if TYPE_CHECKING:
    import pandas as pd

    from cnntention.report.reading import Results


@figure("accuracy", "Test accuracy of every seed", always)
def accuracy(results: "Results", experiment: str):
    """A panel a dataset, a row a cell: every seed a dot, the mean a line, its 95 % interval a bar; or runs counted."""
    from cnntention.report.reading import of_cell

    cells, runs = results.of("cells", experiment), results.runs_of(experiment)
    styles, recipes = theme.styles(results.study), cells["recipe"].nunique()
    datasets = list(cells["dataset"].unique())
    counts = [int((cells["dataset"] == dataset).sum()) for dataset in datasets]
    step = 0.36 if len(cells) < 14 else 0.24
    sheet = theme.canvas(7.6, 0.45 + sum(0.5 + step * n for n in counts))
    panels = sheet.subplots(len(datasets), squeeze=False, gridspec_kw={"height_ratios": counts}).ravel()
    for dataset, axes in zip(datasets, panels, strict=True):
        part = cells[cells["dataset"] == dataset].reset_index(drop=True)
        for y, cell in part.iterrows():
            group = of_cell(runs, cell)
            draw_cell(axes, y, cell, group, results.study.datasets[dataset].all_or_none, *styles[cell["model"]])
        name = part["model"] + (" · " + part["recipe"] if recipes > 1 else "")
        theme.rows(axes, name)
        axes.use_sticky_edges = False
        axes.margins(x=0.05)
        axes.autoscale_view(scaley=False)
        frame(axes, results.study, dataset, int(part["n"].max()))
        if len(datasets) > 1:
            axes.set_title(dataset, loc="left", fontsize=9.5, weight="bold")
    panels[-1].set_xlabel("Test accuracy, %")
    return sheet, caption(cells, runs, [results.study.datasets[dataset].all_or_none for dataset in datasets])


def draw_cell(axes, y: int, cell: "pd.Series", runs: "pd.DataFrame", counts: bool, colour: str, marker: str) -> None:
    """One row: dots, and mean and interval, or how many solve the task; a diverged run is hollow."""
    import numpy as np

    mean, offsets = 100 * cell["mean"], np.linspace(-0.18, 0.18, len(runs)) if len(runs) > 1 else np.zeros(1)
    sound = (runs["ended"] != Ended.DIVERGED).to_numpy()
    values = 100 * runs["test_accuracy"].to_numpy()
    for chosen, face in ((sound, colour), (~sound, "white")):
        axes.scatter(
            values[chosen],
            y + offsets[chosen],
            s=22,
            marker=marker,
            color=face,
            edgecolor=colour,
            zorder=3,
            clip_on=False,
        )
    if len(runs) > 1 and not counts:
        axes.plot([mean, mean], [y - 0.34, y + 0.34], color=colour, linewidth=2)
        low, high = (100 * min(1, max(0, cell[end])) for end in ("low", "high"))
        axes.barh(y, high - low, left=low, height=0.5, color=colour, alpha=0.14, linewidth=0)
    if known(cell["solved"]):
        text = counted(cell["solved"], cell["n"], cell["solved_low"], cell["solved_high"])
        text, place = f"{text} solved", ("axes fraction", "data")
        axes.annotate(text, (1.01, y), xycoords=place, va="center", fontsize=8.5)


def frame(axes, study: Study, dataset: str, n: int) -> None:
    """Limits of the axis, and dashed lines at what guessing scores and at what counts as solved."""
    low, high = axes.get_xlim()
    low, high = (low, high) if high - low > 0.6 else (low - 0.3, high + 0.3)
    axes.set_xlim(max(low, -2), min(high, 102))
    source = study.datasets[dataset].source
    if source.format != "cuematch":
        return
    for level, text in ((1 / source.candidates, "guessing"), (source.solved_from, "solved")):
        if low < 100 * level < high:
            axes.axvline(100 * level, color=theme.GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
            place = ("data", "axes fraction")
            axes.annotate(
                text, (100 * level, 1), xycoords=place, ha="center", va="bottom", fontsize=8, color=theme.GREY
            )


def caption(cells: "pd.DataFrame", runs: "pd.DataFrame", counts: list[bool]) -> str:
    text = "Each mark is a run (one seed)" + ("." if all(counts) else ", each line a mean")
    if not all(counts):
        text += ", each band Student's 95 % interval of the mean." if cells["low"].notna().any() else "."
    if (runs["ended"] == Ended.DIVERGED).any():
        text += " Hollow: the run diverged, and its last sound weights are scored."
    if runs["solved"].notna().any():
        text += " Guessing: one of the candidates. Solved: half way from guessing to 100 %; in how many runs, with "
        text += "Clopper and Pearson's 95 % interval."
    return text
