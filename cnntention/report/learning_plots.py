"""Plots of learning: accuracy and loss by epoch, the mean of a model's runs as far as all of them go."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cnntention.report.figures import looks
from cnntention.report.plots import LINES, canvas, legend

if TYPE_CHECKING:
    from cnntention.report.figures import Figure
    from cnntention.report.sources import Tables

# validation accuracies to mark on an axis, the roundest first
ROUND = (0.5, 0.9, 0.99, 0.999, 0.8, 0.95, 0.98, 0.995, 0.998, 0.7, 0.6, 0.3, 0.1, 0.85, 0.75, 0.4, 0.2)


def curves(figure: "Figure", tables: "Tables", column: str, label: str):
    """A thin line a seed, a thick one for their mean; gives the axes and all values drawn."""
    rows = tables.of("curves", figure.dataset, figure.recipe)
    rows = rows.assign(shown=rows[column].where(np.isfinite(rows[column])))
    sheet, axes = canvas(4.7, 3.6)
    used: list[str] = []  # colours; a second model of a colour is dashed
    for name, (colour, _) in looks(tables.study).items():
        own = rows[rows["model"] == name]
        if own.empty:
            continue
        line = LINES[used.count(colour) % len(LINES)]
        used.append(colour)
        if own["seed"].nunique() > 1:
            for _, seed in own.groupby("seed"):
                axes.plot(seed["epoch"], seed["shown"], color=colour, linestyle=line, linewidth=0.6, alpha=0.35)
        mean = shared_mean(own, column)
        alone = "o" if len(mean) == 1 else None
        axes.plot(mean.index, mean, color=colour, linestyle=line, linewidth=1.9, label=name, marker=alone)
    if rows["shown"].isna().all():
        axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", color="#555555")
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend(sheet, axes)
    return sheet, axes, rows["shown"]


def shared_mean(rows: pd.DataFrame, column: str) -> pd.Series:
    """A model's mean over its runs by epoch, as far as all of them go: those that go on are no fair sample of all."""
    values = rows.pivot(index="epoch", columns="seed", values=column)
    return values.where(np.isfinite(values)).dropna().mean(axis=1)


def validation(figure: "Figure", tables: "Tables"):
    """Accuracy; if the error falls far, on an axis that is logarithmic in the error, where late differences show."""
    split, images = monitored(figure, tables)
    sheet, axes, values = curves(figure, tables, "val_accuracy", f"{split.capitalize()} accuracy, %")
    floor = 0.5 / images
    errors = np.clip(1 - values.dropna(), floor, 1)
    if falls_far(values, images):
        scale = (lambda a: -np.log(np.clip(1 - a, floor, None)), lambda s: 1 - np.exp(-s))
        axes.set_yscale("function", functions=scale)
        axes.set_ylim(1 - errors.max() * 1.05, 1 - errors.min() * 0.9)
        axes.set_yticks(ticks(*axes.get_ylim()))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    return sheet


def monitored(figure: "Figure", tables: "Tables") -> tuple[str, int]:
    """What a recipe's accuracy by epoch is measured on, and how many images that has."""
    counts = tables.of("datasets", figure.dataset).iloc[0]
    split = tables.study.recipes[figure.recipe].monitor
    return ("validation" if split == "val" else split), int(counts[split])


def falls_far(values: pd.Series, images: int) -> bool:
    """Whether accuracies span errors so different that a plain axis would hide the late ones."""
    errors = np.clip(1 - values.dropna(), 0.5 / images, 1)
    return bool(len(errors) and errors.max() > 5 * errors.min())


def ticks(low: float, high: float) -> list[float]:
    """Round accuracies between two limits, the roundest first, none closer than 7 % of a log-error axis."""
    place = {mark: -np.log(1 - mark) for mark in ROUND if low <= mark <= high}
    apart, chosen = 0.07 * np.log((1 - low) / (1 - high)), []
    for mark in place:
        if all(abs(place[mark] - place[other]) >= apart for other in chosen):
            chosen.append(mark)
    return sorted(chosen)


def loss(figure: "Figure", tables: "Tables"):
    sheet, axes, values = curves(figure, tables, "train_loss", "Training loss, nats")
    if len(values.dropna()) and values.min() > 0 and values.max() > 5 * values.min():
        axes.set_yscale("log")
        axes.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    return sheet
