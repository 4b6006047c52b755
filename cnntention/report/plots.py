"""Plots of accuracy and cost, one function a figure, from a study's tables to a matplotlib figure."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

from cnntention.config import Study
from cnntention.data.cuematch import BINS
from cnntention.report import text
from cnntention.report.figures import MARKERS, looks

if TYPE_CHECKING:
    from cnntention.report.figures import Figure
    from cnntention.report.sources import Tables

LINES = ("solid", (0, (4, 2)), (0, (1.2, 1.5)), (0, (4, 1.5, 1.2, 1.5)))
# round a model on the Pareto front, or possibly on it
RINGS = {"yes": "solid", "possibly": (0, (2, 2))}


def canvas(width: float, height: float):
    """An empty figure with one pair of axes; inches."""
    sheet = Canvas(figsize=(width, height), layout="constrained")
    return sheet, sheet.add_subplot()


def accuracy(figure: "Figure", tables: "Tables"):
    """A row a cell: every seed a dot, the mean a line, ± sd a band, and the numbers at the right."""
    cells = tables.of("accuracy", figure.dataset)
    runs = tables.of("runs", figure.dataset)
    colours = looks(tables.study)
    many = cells["recipe"].nunique() > 1
    sheet, axes = canvas(6.6, 0.85 + 0.46 * len(cells))
    for y, (_, cell) in enumerate(cells.iterrows()):
        colour = colours[cell["model"]][0]
        own = runs[(runs["model"] == cell["model"]) & (runs["recipe"] == cell["recipe"])]
        values = 100 * own["test_accuracy"].to_numpy()
        mean, sd = 100 * cell["mean"], 100 * cell["sd"]
        if len(values) > 1:
            axes.barh(y, 2 * sd, left=mean - sd, height=0.62, color=colour, alpha=0.16, linewidth=0)
            axes.plot([mean, mean], [y - 0.31, y + 0.31], color=colour, linewidth=2)
        offsets = np.linspace(-0.16, 0.16, len(values)) if len(values) > 1 else [0]
        axes.scatter(values, y + np.asarray(offsets), s=22, color=colour, edgecolor="white", linewidth=0.6, zorder=3)
        axes.annotate(text.score(cell), (1.015, y), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    names = cells["model"] + ("\n" + cells["recipe"] if many else "")
    axes.set_yticks(range(len(cells)), names)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Test accuracy, %")
    axes.use_sticky_edges = False
    axes.margins(x=0.06)
    axes.set_xlim(widen(axes.get_xlim(), runs))
    mark_levels(axes, levels(tables.study, figure.dataset, tables.classes_of(figure.dataset)))
    return sheet


def distance(figure: "Figure", tables: "Tables"):
    """CueMatch: a line a model and recipe, its mean at each distance; dots are runs."""
    runs, colours = tables.of("runs", figure.dataset), looks(tables.study)
    bins = [name for name in BINS if runs[f"accuracy_{name}"].notna().any()]
    cells = list(runs.groupby(["recipe", "model"], sort=False))
    recipes = list(runs["recipe"].unique())
    sheet, axes = canvas(4.7, 3.6)
    for place, ((recipe, model), own) in enumerate(cells):
        values = 100 * own[[f"accuracy_{name}" for name in bins]].to_numpy()
        at = np.arange(len(bins)) + 0.06 * (place - (len(cells) - 1) / 2)
        colour, marker = colours[model]
        name = model + (f", {recipe}" if len(recipes) > 1 else "")
        line = LINES[recipes.index(recipe) % len(LINES)]
        axes.scatter(np.tile(at, (len(values), 1)), values, s=8, color=colour, alpha=0.45, linewidth=0)
        axes.plot(at, values.mean(axis=0), color=colour, marker=marker, markersize=5.5, linestyle=line, label=name)
    axes.set_xticks(range(len(bins)), [f"{name}, {BINS[name][0]}–{BINS[name][1]} px" for name in bins])
    axes.set(xlabel="Distance of cue and match", ylabel="Test accuracy, %")
    axes.set_ylim(widen(axes.get_ylim(), runs))
    for level in levels(tables.study, figure.dataset, tables.classes_of(figure.dataset)).values():
        axes.axhline(level, color="#6b6b6b", linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    legend(sheet, axes)
    return sheet


def widen(limits: tuple[float, float], runs: pd.DataFrame) -> tuple[float, float]:
    """An axis of accuracies, %, no narrower than a run's binomial interval, so that noise does not fill it."""
    least = 100 * (runs["test_accuracy_high"] - runs["test_accuracy_low"]).mean()
    short = max(0.0, least - (limits[1] - limits[0])) / 2
    return limits[0] - short, limits[1] + short


def levels(study: Study, dataset: str, classes: int) -> dict[str, float]:
    """What an idle model would score, %: chance, and on CueMatch's relations one of the candidates."""
    found = {"chance": 100 / classes}
    source = study.datasets[dataset].source
    if source.format == "cuematch" and source.track.startswith("relation"):
        found[f"1 of {source.candidates} candidates"] = 100 / source.candidates
    return found


def mark_levels(axes, marks: dict[str, float]) -> None:
    """A dashed line at each level that lies within the axis; the axis is not stretched to it."""
    low, high = axes.get_xlim()
    axes.set_xlim(low, high)
    for name, level in marks.items():
        if low < level < high:
            axes.axvline(level, color="#6b6b6b", linestyle=(0, (4, 3)), linewidth=1, zorder=1)
            axes.annotate(
                name,
                (level, 1),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize=8,
                color="#555555",
            )


def trade(figure: "Figure", tables: "Tables", column: str, factor: float, label: str, timed: bool = False):
    """Mean accuracy, its interval and the front against one cost; colour: the model, marker: the model or recipe."""
    cells = tables.of("accuracy", figure.dataset).merge(tables.of("cost", figure.dataset), on=["dataset", "model"])
    places = tables.of("pareto", figure.dataset)[["recipe", "model", "low", "high", f"front_{figure.kind}"]]
    cells = cells.merge(places, on=["recipe", "model"])
    colours, recipes = looks(tables.study), list(cells["recipe"].unique())
    sheet, axes = canvas(4.7, 3.6)
    step = 0.025 * factor * cells[column].max()  # recipes of one model cost the same: set apart to be seen
    for _, cell in cells.iterrows():
        colour, marker = colours[cell["model"]]
        shift = 0.0
        if len(recipes) > 1:
            place = recipes.index(cell["recipe"])
            marker, shift = MARKERS[place % len(MARKERS)], step * (place - (len(recipes) - 1) / 2)
        x, y = factor * cell[column] + shift, 100 * cell["mean"]
        if ring := RINGS.get(cell[f"front_{figure.kind}"]):
            axes.scatter(x, y, s=170, facecolor="none", edgecolor=colour, linewidth=1.2, linestyle=ring)
        axes.errorbar(
            x,
            y,
            xerr=bars(factor * cell[[column, f"{column}_q25", f"{column}_q75"]]) if timed else None,
            yerr=50 * (cell["high"] - cell["low"]) if cell["high"] > cell["low"] else None,
            fmt=marker,
            markersize=7,
            color=colour,
            alpha=0.85,
            markeredgecolor="white",
            elinewidth=1.3,
            capsize=2.5,
            label=cell["model"] + (f", {cell['recipe']}" if len(recipes) > 1 else ""),
        )
    axes.set(xlabel=label, ylabel="Test accuracy, %")
    axes.margins(0.12)
    axes.set_xlim(0, 1.06 * axes.get_xlim()[1])
    axes.set_ylim(widen(axes.get_ylim(), tables.of("runs", figure.dataset)))
    legend(sheet, axes)
    return sheet


def macs(figure: "Figure", tables: "Tables"):
    return trade(figure, tables, "macs", 1e-6, "Million MACs per image")


def time(figure: "Figure", tables: "Tables"):
    batch = tables.of("cost", figure.dataset)["batch_size"].iloc[0]
    label = f"Training step of {batch} images, ms"
    return trade(figure, tables, "training_step_ms", 1, label, timed=True)


def bars(cell: pd.Series) -> list[list[float]]:
    """matplotlib's way of error bars, from a median to its quartiles."""
    middle, low, high = cell
    return [[middle - low], [high - middle]]


def legend(sheet, axes) -> None:
    """Above the axes, two columns, without error bars."""
    handles, labels = axes.get_legend_handles_labels()
    bare = [handle[0] if hasattr(handle, "lines") else handle for handle in handles]
    sheet.legend(bare, labels, loc="outside upper left", ncols=2, fontsize=8.5, columnspacing=1.2)
