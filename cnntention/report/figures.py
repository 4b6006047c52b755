"""The report's figures: which there are, known from the study alone, and how they are drawn from its tables.

Importing this module is cheap (the workflow does it to plan); matplotlib is loaded when something is drawn. Figures
carry no date and draw text as paths, so the same tables give the same bytes.
"""

from dataclasses import dataclass
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cnntention import files
from cnntention.config import Study
from cnntention.report import text

if TYPE_CHECKING:
    from pathlib import Path

    from cnntention.report.page import Tables

QUESTIONS = {
    "accuracy": "How accurate?",
    "learning": "How do they learn?",
    "cost": "At what cost?",
    "looks": "Where does it look?",
}
# topic: (kind, title, format, whether each recipe has its own)
KINDS = {
    "accuracy": [("accuracy", "Test accuracy of every seed", "svg", False)],
    "learning": [
        ("validation", "Validation accuracy by epoch", "svg", True),
        ("loss", "Training loss by epoch", "svg", True),
    ],
    "cost": [
        ("macs", "Accuracy against MACs", "svg", False),
        ("time", "Accuracy against training time", "svg", False),
    ],
    "looks": [
        ("cam-predicted", "Grad-CAM, predicted class", "png", True),
        ("cam-label", "Grad-CAM, true class", "png", True),
        ("cam-stages", "Grad-CAM, stage by stage", "png", True),
    ],
}
# Okabe and Ito's colours, told apart by colour-blind readers too; the first model, the baseline, is black.
PALETTE = ("#2b2b2b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": "#6b6b6b",
    "axes.labelcolor": "#333333",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "xtick.color": "#6b6b6b",
    "xtick.labelcolor": "#333333",
    "ytick.color": "#6b6b6b",
    "ytick.labelcolor": "#333333",
    "svg.hashsalt": "cnntention",
}


@dataclass(frozen=True)
class Figure:
    """One figure of the report, as a file of its own."""

    topic: str
    kind: str
    title: str
    format: str
    dataset: str
    recipe: str
    """Empty when the figure shows all recipes."""

    @property
    def path(self) -> str:
        """Relative to the report; names hold no dot, so the dots keep them apart."""
        parts = [self.dataset, self.recipe, self.kind, self.format]
        return f"figures/{'.'.join(part for part in parts if part)}"

    @property
    def question(self) -> str:
        return QUESTIONS[self.topic]


def figure_files(study: Study) -> list[Figure]:
    """All figures of a study's report, in the page's order."""
    runs = study.runs()
    found = []
    for topic, kinds in KINDS.items():
        for dataset in dict.fromkeys(run.dataset for run in runs):
            recipes = dict.fromkeys(run.recipe for run in runs if run.dataset == dataset)
            for recipe in ["", *recipes]:
                found += [Figure(topic, *kind[:3], dataset, recipe) for kind in kinds if kind[3] == bool(recipe)]
    return found


def draw(figure: Figure, tables: "Tables", path: "Path") -> None:
    """Draw one figure into a file."""
    from matplotlib import style

    from cnntention.report import cams

    drawers = {"accuracy": accuracy, "validation": validation, "loss": loss, "macs": macs, "time": time}
    drawers |= dict.fromkeys(("cam-predicted", "cam-label", "cam-stages"), cams.grid)
    with style.context(["default", STYLE]), files.atomic(path) as temporary:
        canvas = drawers[figure.kind](figure, tables)
        undated = {"Date": None} if figure.format == "svg" else {"Software": None}
        canvas.savefig(temporary, dpi=110, facecolor="white", metadata=undated)


def looks(study: Study) -> dict[str, tuple[str, str]]:
    """Each model's colour and marker, the same in all figures."""
    models = dict.fromkeys(run.model for run in study.runs())
    return dict(zip(models, cycle(zip(PALETTE, MARKERS, strict=True)), strict=False))


def canvas(width: float, height: float):
    """An empty figure with one pair of axes; inches."""
    from matplotlib.figure import Figure as Canvas

    sheet = Canvas(figsize=(width, height), layout="constrained")
    return sheet, sheet.add_subplot()


def accuracy(figure: Figure, tables: "Tables"):
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
    axes.margins(x=0.06)
    mark_levels(axes, levels(tables.study, figure.dataset, tables.classes_of(figure.dataset)))
    return sheet


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
                name, (level, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8, color="#555555"
            )


def curves(figure: Figure, tables: "Tables", column: str, label: str):
    """A thin line a seed, a thick one for their mean; yields the axes and all values drawn."""
    rows = tables.of("curves", figure.dataset, figure.recipe)
    rows = rows.assign(shown=rows[column].where(np.isfinite(rows[column])))
    sheet, axes = canvas(4.7, 3.6)
    for name, (colour, _) in looks(tables.study).items():
        own = rows[rows["model"] == name]
        if own.empty:
            continue
        if own["seed"].nunique() > 1:
            for _, seed in own.groupby("seed"):
                axes.plot(seed["epoch"], seed["shown"], color=colour, linewidth=0.6, alpha=0.35)
        mean = own.groupby("epoch")["shown"].mean()
        axes.plot(mean.index, mean, color=colour, linewidth=1.9, label=name, marker="o" if len(mean) == 1 else None)
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend(sheet, axes)
    return sheet, axes, rows["shown"]


def validation(figure: Figure, tables: "Tables"):
    """Accuracy; if the error falls far, on an axis that is logarithmic in the error, where late differences show."""
    sheet, axes, values = curves(figure, tables, "val_accuracy", "Validation accuracy, %")
    images = tables.of("datasets", figure.dataset)["val"].iloc[0]
    errors = np.clip(1 - values.dropna(), 0.5 / images, 1)
    if len(errors) and errors.max() > 5 * errors.min():
        floor = 0.5 / images
        scale = (lambda a: -np.log(np.clip(1 - a, floor, None)), lambda s: 1 - np.exp(-s))
        axes.set_yscale("function", functions=scale)
        axes.set_ylim(1 - errors.max() * 1.05, 1 - errors.min() * 0.9)
        marks = [0.1, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999]
        low, high = axes.get_ylim()
        axes.set_yticks([mark for mark in marks if low <= mark <= high])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    return sheet


def loss(figure: Figure, tables: "Tables"):
    sheet, axes, values = curves(figure, tables, "train_loss", "Training loss, nats")
    if len(values.dropna()) and values.min() > 0 and values.max() > 5 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    return sheet


def trade(figure: Figure, tables: "Tables", column: str, factor: float, label: str, spread: str = ""):
    """Accuracy (mean ± sd over seeds) against one cost; the colour is the model, the marker the model or the recipe."""
    cells = tables.of("accuracy", figure.dataset).merge(tables.of("cost", figure.dataset), on=["dataset", "model"])
    colours, recipes = looks(tables.study), list(cells["recipe"].unique())
    sheet, axes = canvas(4.7, 3.6)
    for _, cell in cells.iterrows():
        colour, marker = colours[cell["model"]]
        if len(recipes) > 1:
            marker = MARKERS[recipes.index(cell["recipe"]) % len(MARKERS)]
        axes.errorbar(
            factor * cell[column],
            100 * cell["mean"],
            xerr=factor * cell[spread] / 2 if spread else None,
            yerr=100 * cell["sd"] if cell["n"] > 1 else None,
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
    axes.set_xlim(left=0)
    legend(sheet, axes)
    return sheet


def macs(figure: Figure, tables: "Tables"):
    return trade(figure, tables, "macs", 1e-6, "Million MACs per image")


def time(figure: Figure, tables: "Tables"):
    batch = tables.of("cost", figure.dataset)["batch_size"].iloc[0]
    label = f"Training step of {batch} images, ms"
    return trade(figure, tables, "training_step_ms", 1, label, spread="training_step_iqr_ms")


def legend(sheet, axes) -> None:
    """Above the axes, two columns, without error bars."""
    handles, labels = axes.get_legend_handles_labels()
    bare = [handle[0] if hasattr(handle, "lines") else handle for handle in handles]
    sheet.legend(bare, labels, loc="outside upper left", ncols=2, fontsize=8.5, columnspacing=1.2)


@cache
def shades():
    """The colour map of the Grad-CAM overlays."""
    from matplotlib import colormaps

    return colormaps["inferno"]


def mean_interval(runs: pd.DataFrame) -> float:
    """Half the mean width of the runs' binomial intervals."""
    return float((runs["test_accuracy_high"] - runs["test_accuracy_low"]).mean() / 2)
