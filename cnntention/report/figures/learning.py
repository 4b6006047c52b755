"""Accuracy over the epochs."""

from math import ceil
from typing import TYPE_CHECKING

from cnntention.report import theme
from cnntention.report.catalogue import always, figure

if TYPE_CHECKING:
    import pandas as pd

    from cnntention.report.reading import Results

ACROSS = 3  # panels in a row
EPOCHS = 60  # drawn of a run; of a longer one every second, third, …
ROUND = (0.1, 0.3, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)


@figure("learning", "Accuracy by epoch", always)
def learning(results: "Results", experiment: str):
    """A panel a dataset and recipe: thin lines are runs, thick ones a model's mean."""
    epochs = results.runs_of(experiment, "epochs")
    groups = list(epochs.groupby(["dataset", "recipe"], sort=False))
    sheet, panels = grid(len(groups), 2.3)
    models: dict[str, object] = {}
    for axes, ((dataset, recipe), rows) in zip(panels, groups, strict=True):
        for model, part in rows.groupby("model", sort=False):
            colour, marker = theme.styles(results.study)[model]
            for _, run in part.groupby("seed"):
                few = thinned(run)
                axes.plot(few["epoch"], few["val_accuracy"], color=colour, linewidth=0.6, alpha=0.55)
            mean = thinned(part.groupby("epoch")["val_accuracy"].mean().reset_index())
            style = {"color": colour, "marker": marker, "markersize": 4, "markevery": max(1, len(mean) // 8)}
            models[model] = axes.plot(mean["epoch"], mean["val_accuracy"], linewidth=1.6, **style)[0]
        axes.set_title(f"{dataset} · {recipe}", fontsize=8.5, loc="left")
        accuracy_axis(axes, rows["val_accuracy"])
        whole_epochs(axes, int(rows["epoch"].max()))
    sheet.supxlabel("Epoch", fontsize=9)
    sheet.supylabel("Accuracy on the monitored split, %", fontsize=9)
    legend(sheet, models)
    return sheet, "Thin lines are runs, thick ones the mean over a model's runs. Near 100 % the axis is a logit axis."


def grid(count: int, height: float):
    """A figure with `count` panels, and these."""
    across = min(ACROSS, count)
    down = ceil(count / across)
    sheet = theme.canvas(max(6.2, 0.5 + 2.75 * across), 0.6 + height * down)
    panels = list(sheet.subplots(down, across, squeeze=False).ravel())
    for axes in panels[count:]:
        axes.axis("off")
    return sheet, panels[:count]


def legend(sheet, models: dict) -> None:
    """Above the panels; a long one adds to the figure's height."""
    sheet.set_figheight(sheet.get_figheight() + 0.18 * max(0, ceil(len(models) / 3) - 4))
    sheet.legend(models.values(), models, loc="outside upper left", ncols=3)


def thinned(run: "pd.DataFrame") -> "pd.DataFrame":
    """Not more than about EPOCHS of a run's rows, its last among them."""
    step = ceil(len(run) / EPOCHS)
    return run.iloc[(len(run) - 1) % step :: step]


def whole_epochs(axes, last: int) -> None:
    axes.set_xticks(range(1, last + 1, max(1, -(-last // 6))))
    axes.tick_params(labelsize=8)


def accuracy_axis(axes, values: "pd.Series") -> None:
    """In %; where accuracies come close to 1, matplotlib's logit scale, which shows late differences."""
    known = values.dropna()
    if len(known) and known.max() > 0.95 and known.min() > 0.02:
        low, high = known.min(), min(0.9995, known.max())
        axes.set_yscale("logit", nonpositive="clip")
        axes.set_ylim(low - 0.1 * min(low, 1 - low), 1 - 0.8 * (1 - high))
        axes.set_yticks([mark for mark in ROUND if low * 0.9 <= mark <= high + 0.0005])
        axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}")
