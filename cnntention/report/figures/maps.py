"""Grad-CAM and attention maps: a block a dataset, a row a model, a column an image."""

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntention.config import STAGES
from cnntention.report import theme
from cnntention.report.catalogue import always, figure, looks_up

if TYPE_CHECKING:
    import numpy as np

    from cnntention.report.reading import Results

COLUMNS, BLOCKS, ROWS = 8, 2, 8
SIDE, PITCH, HEAD = 0.92, (1.0, 1.17), 0.32  # inches: a picture, a cell, a block's title
LEFT = 1.75
WRONG = "#b03a00"


@dataclass(frozen=True)
class Block:
    """The images of one dataset and the rows of pictures below them."""

    dataset: str
    images: list[int]
    rows: list[tuple[str, str]]
    """Name of the row, and what its arrays' names begin with."""


def blocks(results: "Results", experiment: str, ending: str) -> list[Block]:
    """Of an experiment's first datasets: the cells that have arrays of that name; one recipe if there are many."""
    cells, found = results.study.cells(experiment), results.tensors
    made = []
    for dataset in list(dict.fromkeys(cell[0] for cell in cells))[:BLOCKS]:
        own = [
            (m, r) for d, m, r in cells if d == dataset and any(k.startswith(f"{d}/{m}/{r}/{ending}") for k in found)
        ]
        few = own if len(own) <= ROWS else [(m, r) for m, r in own if r == own[0][1]]
        many = len({recipe for _, recipe in few}) > 1
        rows = [(f"{m} · {r}" if many else m, f"{dataset}/{m}/{r}/") for m, r in few]
        if rows:
            made.append(Block(dataset, spread(found, dataset), rows))
    return made


def spread(found: dict, dataset: str) -> list[int]:
    """Which images to show: of the original study's and of the sample, half each."""
    count, showcase = len(found[f"{dataset}/index"]), int(found[f"{dataset}/showcase"][0])
    first = min(showcase, max(COLUMNS // 2, COLUMNS - (count - showcase)))
    return [*range(first), *range(showcase, count)][:COLUMNS]


@figure("maps", "Grad-CAM for the predicted class", always, "png")
def cams(results: "Results", experiment: str):
    """The last stage's maps, for the class that the network predicts."""
    key = f"cam.{STAGES[-1]}.predicted"
    found, shown = results.tensors, blocks(results, experiment, key)
    sheet, axes = board(shown, [len(block.rows) for block in shown])
    top = 0.0
    for block in shown:
        names, labels = results.class_names(block.dataset), found[f"{block.dataset}/labels"]
        images = found[f"{block.dataset}/images"]
        top = heads(axes, top, block, images, [names[labels[i]] for i in block.images])
        for name, start in block.rows:
            label(axes, top, name)
            for x, i in enumerate(block.images):
                heat, predicted = found[start + key][i], int(found[f"{start}predicted"][i])
                right = predicted == labels[i]
                text = "" if right else f"✗ {names[predicted]}"
                show(axes, x, top, overlay(images[i], heat), text, WRONG)
            top += PITCH[1]
    return sheet, (
        "Of the first seed of each model. Bright: evidence for the predicted class, scaled to the map's largest value. "
        "✗: a wrong prediction. Above: the image and its class."
    )


@figure("maps", "Attention maps", looks_up, "png")
def maps(results: "Results", experiment: str):
    """What one place, the ring, attends to: mean over heads, a row a model's module."""
    found, shown = results.tensors, blocks(results, experiment, "attention.")
    modules = {
        start: sorted(
            key.removeprefix(f"{start}attention.").removesuffix(".queries")
            for key in found
            if key.startswith(f"{start}attention.") and key.endswith(".queries")
        )
        for block in shown
        for _, start in block.rows
    }
    sheet, axes = board(shown, [sum(len(modules[start]) for _, start in block.rows) for block in shown])
    top = 0.0
    for block in shown:
        images, names = found[f"{block.dataset}/images"], results.class_names(block.dataset)
        labels = found[f"{block.dataset}/labels"]
        depth = min(len(found[f"{start}attention.{m}"]) for _, start in block.rows for m in modules[start])
        few = Block(block.dataset, list(range(min(depth, COLUMNS))), block.rows)
        top = heads(axes, top, few, images, [names[labels[i]] for i in few.images])
        for name, start in block.rows:
            for module in modules[start]:
                label(axes, top, f"{name}, {module}")
                key = f"{start}attention.{module}"
                for x, i in enumerate(few.images):
                    weights = found[key][i, 0].astype(float).mean(axis=0)
                    at = (found[f"{key}.queries"][i, 0] + 0.5) / weights.shape
                    show(axes, x, top, overlay(images[i], stretched(weights, images.shape[2:])))
                    ring(axes, x, top, at)
                top += PITCH[1]
    return sheet, (
        "Of the first seed of each model, mean over heads. Bright: what the ringed place attends to, scaled to the "
        "map's largest value. The place is the match or the marked candidate on CueMatch, else the centre."
    )


# --- drawing --------------------------------------------------------------------------------------------------------


def board(shown: list[Block], rows: list[int]):
    """One pair of axes in inches, y downwards, high enough for all blocks."""
    from matplotlib.figure import Figure as Canvas

    columns = max((len(block.images) for block in shown), default=1)
    width = LEFT + PITCH[0] * columns
    high = max(0.5, sum(HEAD + PITCH[1] * (1 + n) for n in rows))
    sheet = Canvas(figsize=(width, high))
    axes = sheet.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-LEFT, width - LEFT), ylim=(high, 0))
    axes.axis("off")
    if not shown:
        axes.text(0, 0.25, "No maps were stored.", va="center")
    return sheet, axes


def heads(axes, top: float, block: Block, images: "np.ndarray", titles: list[str]) -> float:
    """The block's title and its images; returns where its rows begin."""
    axes.text(-LEFT + 0.05, top + HEAD / 2 + 0.04, block.dataset, weight="bold", va="center", fontsize=9.5)
    for x, (i, title) in enumerate(zip(block.images, titles, strict=True)):
        show(axes, x, top + HEAD, picture(images[i]), title)
    return top + HEAD + PITCH[1]


def label(axes, top: float, name: str) -> None:
    text = "\n".join(textwrap.wrap(name, 22, break_on_hyphens=True))
    axes.text(-0.1, top + PITCH[1] - SIDE / 2, text, ha="right", va="center", fontsize=8.5)


def show(axes, x: int, top: float, pixels: "np.ndarray", title: str = "", colour: str = theme.DARK) -> None:
    left, low = x * PITCH[0], top + PITCH[1]
    box = (left, left + SIDE, low, low - SIDE)
    axes.imshow(pixels.clip(0, 1), extent=box, interpolation="nearest", aspect="auto")
    text = textwrap.shorten(title, 15, placeholder="…")
    axes.text(left + SIDE / 2, low - SIDE - 0.02, text, ha="center", va="bottom", fontsize=7.5, color=colour)


def ring(axes, x: int, top: float, place: "np.ndarray") -> None:
    """Mark the query at (row, column), shares of the image."""
    at = x * PITCH[0] + SIDE * place[1], top + PITCH[1] - SIDE + SIDE * place[0]
    for width, colour in ((2.4, "black"), (1.1, "white")):
        axes.plot(*at, "o", markersize=6, fillstyle="none", color=colour, markeredgewidth=width)


def picture(image: "np.ndarray") -> "np.ndarray":
    """(C, H, W) uint8 as (H, W, 3) in [0, 1]; anything but three channels is shown as their mean."""
    import numpy as np

    scaled = image.astype(np.float64) / 255
    return scaled.transpose(1, 2, 0) if len(image) == 3 else np.repeat(scaled.mean(0)[..., None], 3, axis=2)


def overlay(image: "np.ndarray", heat: "np.ndarray") -> "np.ndarray":
    """A map's colours over the grey image; where the map is 0 the image is bare."""
    from matplotlib import colormaps

    most = heat.max()
    share = (heat.astype(float) / (most if most > 0 else 1))[..., None]
    grey = 0.15 + 0.7 * picture(image).mean(axis=2, keepdims=True)
    return (1 - 0.72 * share) * grey + 0.72 * share * colormaps["inferno"](0.35 + 0.6 * share[..., 0])[..., :3]


def stretched(heat: "np.ndarray", shape: tuple[int, int]) -> "np.ndarray":
    """(h, w) as (H, W), nearest neighbour."""
    import numpy as np

    rows, columns = (np.arange(full) * few // full for full, few in zip(shape, heat.shape, strict=True))
    return heat[rows][:, columns]
