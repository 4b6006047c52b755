"""Grad-CAM and attention maps: a block a dataset, a row a model (and module), a column an image."""

import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from cnntention.report import theme
from cnntention.report.catalogue import always, figure, looks_up

if TYPE_CHECKING:
    import numpy as np

    from cnntention.report.reading import Results

COLUMNS, BLOCKS, ROWS = 8, 2, 8  # at most, in a figure or a block
LEFT, SIDE, PITCH, HEAD = 1.75, 0.92, (1.0, 1.17), 0.32  # inches: labels, a picture, a cell, a block's title
WRONG = "#b03a00"


class Strip(NamedTuple):
    """A row of maps."""

    label: str
    cell: str
    """What the names of the cell's arrays begin with."""
    key: str
    """Name of the maps."""


class Map(NamedTuple):
    """One map to show."""

    heat: "np.ndarray"
    title: str = ""
    query: "np.ndarray | None" = None
    """(row, column) of the query, as shares of the image."""


@figure("maps", "Grad-CAM for the predicted class", always, "png")
def cams(results: "Results", experiment: str):
    """The last stage's maps, for the class that the network predicts."""

    def of(strip: Strip, i: int) -> Map:
        arrays, dataset = results.tensors, strip.cell.split("/")[0]
        predicted = int(arrays[f"{strip.cell}predicted"][i])
        right = predicted == arrays[f"{dataset}/labels"][i]
        return Map(arrays[strip.key][i], "" if right else f"✗ {results.class_names(dataset)[predicted]}")

    return board(results, strips(results, experiment, "cam"), of), (
        "Of the first seed of each model. Bright: evidence for the predicted class, scaled to the map's largest value. "
        "✗: a wrong prediction. Above: the image and its class."
    )


@figure("maps", "Attention maps", looks_up, "png")
def maps(results: "Results", experiment: str):
    """What one place, the ring, attends to: mean over heads, a row a model's module."""

    def of(strip: Strip, i: int) -> Map:
        weights = results.tensors[strip.key][i, 0].astype(float).mean(axis=0)
        return Map(weights, query=(results.tensors[f"{strip.key}.queries"][i, 0] + 0.5) / weights.shape)

    return board(results, strips(results, experiment, "attention."), of), (
        "Of the first seed of each model, mean over heads. Bright: what the ringed place attends to, scaled to the "
        "map's largest value. The place is the match or the marked candidate on CueMatch, else the centre."
    )


def strips(results: "Results", experiment: str, prefix: str) -> dict[str, list[Strip]]:
    """Of an experiment's first datasets, the maps whose name begins so; of one recipe if there are many."""
    of, arrays = results.chosen(experiment), results.tensors
    cells = [of.get(cell, cell) for cell in results.study.cells(experiment)]
    made = {}
    for dataset in list(dict.fromkeys(cell[0] for cell in cells))[:BLOCKS]:
        part = [(m, r) for d, m, r in cells if d == dataset]
        few = part if len(part) <= ROWS else [(m, r) for m, r in part if r == part[0][1]]
        many, rows = len({recipe for _, recipe in few}) > 1, []
        for model, recipe in few:
            cell, name = f"{dataset}/{model}/{recipe}/", f"{model} · {recipe}" if many else model
            for key in sorted(k for k in arrays if k.startswith(cell + prefix) and not k.endswith(".queries")):
                module = key.removeprefix(cell + prefix)
                rows.append(Strip(f"{name}, {module}" if module else name, cell, key))
        if rows:
            made[dataset] = rows
    return made


def chosen(arrays: dict, dataset: str, rows: list[Strip]) -> list[int]:
    """Which images to show: of the original study's and of the sample, half each."""
    count, showcase = min(len(arrays[row.key]) for row in rows), int(arrays[f"{dataset}/showcase"][0])
    first = min(showcase, max(COLUMNS // 2, COLUMNS - max(0, count - showcase)))
    return [*range(min(first, count)), *range(showcase, count)][:COLUMNS]


def board(results: "Results", shown: dict[str, list[Strip]], of: Callable[[Strip, int], Map]):
    """All blocks in one pair of axes in inches, y downwards."""
    from matplotlib.figure import Figure as Canvas

    width = PITCH[0] * COLUMNS
    high = max(0.5, sum(HEAD + PITCH[1] * (1 + len(rows)) for rows in shown.values()))
    sheet, arrays, top = Canvas(figsize=(LEFT + width, high)), results.tensors, 0.0
    axes = sheet.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-LEFT, width), ylim=(high, 0))
    axes.axis("off")
    if not shown:
        axes.text(0, 0.25, "No maps were stored.", va="center")
    for dataset, rows in shown.items():
        axes.text(-LEFT + 0.05, top + 0.2, dataset, weight="bold", va="center", fontsize=9.5)
        top += HEAD
        names, images = results.class_names(dataset), arrays[f"{dataset}/images"]
        columns = list(enumerate(chosen(arrays, dataset, rows)))
        for x, i in columns:
            show(axes, x, top, images[i], names[arrays[f"{dataset}/labels"][i]])
        for strip in rows:
            top += PITCH[1]
            label = "\n".join(textwrap.wrap(strip.label, 22))
            axes.text(-0.1, top + PITCH[1] - SIDE / 2, label, ha="right", va="center", fontsize=8.5)
            for x, i in columns:
                show(axes, x, top, images[i], "", of(strip, i))
        top += PITCH[1]
    return sheet


def show(axes, x: int, top: float, image: "np.ndarray", title: str, over: Map | None = None) -> None:
    """An image; in grey below a map."""
    left, low = x * PITCH[0], top + PITCH[1]
    lay(axes, (left, left + SIDE, low, low - SIDE), image, over)
    text = textwrap.shorten(title or (over.title if over else ""), 15, placeholder="…")
    colour = WRONG if over else theme.DARK
    axes.text(
        left + SIDE / 2, low - SIDE - 0.02, theme.verbatim(text), ha="center", va="bottom", fontsize=7.5, color=colour
    )


def lay(axes, extent: tuple[float, float, float, float], image: "np.ndarray", over: Map | None = None) -> None:
    """An image (C, H, W); in grey below a map. extent: left, right, bottom, top."""
    left, right, low, high = extent
    style = {"extent": extent, "interpolation": "nearest", "aspect": "auto"}
    grey = image.mean(axis=0)
    pixels = image.transpose(1, 2, 0) if over is None and len(image) == 3 else grey
    axes.imshow(pixels, cmap="gray", vmin=0 if over is None else -60, vmax=255 if over is None else 330, **style)
    if over is not None:
        share = over.heat / max(float(over.heat.max()), 1e-12)
        axes.imshow(share, cmap="inferno", vmin=-0.6, vmax=1.06, alpha=0.72 * share, **style)
        if over.query is not None:
            at = left + (right - left) * over.query[1], high + (low - high) * over.query[0]
            for width, colour in ((2.4, "black"), (1.1, "white")):
                axes.plot(*at, "o", markersize=6, fillstyle="none", color=colour, markeredgewidth=width)
