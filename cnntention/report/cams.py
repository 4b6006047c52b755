"""Grad-CAM grids: a row an image, a column a model, drawn as one raster so that a page stays small."""

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnntention.config import STAGES

if TYPE_CHECKING:
    from cnntention.report.figures import Figure
    from cnntention.report.sources import Tables

ROWS = 12  # images in a grid: the showcase first, then the seeded sample
STEP = (1.1, 1.34)  # a cell's pitch, in widths of an image
CELL = 0.98  # a cell's width, inches
RIGHT, WRONG = "#333333", "#b03a00"


@dataclass(frozen=True)
class Cams:
    """What explanations.safetensors holds of one dataset and recipe."""

    index: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    showcase: int
    models: dict[str, dict[str, np.ndarray]]
    names: list[str]

    @property
    def rows(self) -> list[int]:
        return list(range(min(ROWS, len(self.index))))

    def empty(self, target: str) -> int:
        """Maps of the last stage without any positive evidence, over the rows shown."""
        maps = [parts[f"cam.{STAGES[-1]}.{target}"][self.rows] for parts in self.models.values()]
        return int(sum((m.reshape(len(m), -1).max(axis=1) == 0).sum() for m in maps))

    @property
    def seeds(self) -> list[int]:
        return sorted({int(parts["seed"][0]) for parts in self.models.values()})

    def correct(self, model: str) -> int:
        rows = self.rows
        return int((self.models[model]["predicted"][rows] == self.labels[rows]).sum())

    @property
    def staged(self) -> list[int]:
        """Rows shown stage by stage: the first of the showcase and the first of the sample."""
        sample = self.showcase if 0 < self.showcase < len(self.index) else 1
        return [row for row in (0, sample) if row < len(self.index)]


def read(tables: "Tables", dataset: str, recipe: str) -> Cams:
    """The images and maps of a dataset's models that were trained by `recipe`."""
    found = tables.tensors
    models = {}
    for run in tables.study.runs():
        cell = f"{dataset}/{run.model}/{recipe}/"
        if (run.dataset, run.recipe) == (dataset, recipe) and run.model not in models:
            models[run.model] = {k.removeprefix(cell): found[k] for k in found if k.startswith(cell)}
    return Cams(
        index=found[f"{dataset}/index"],
        images=found[f"{dataset}/images"],
        labels=found[f"{dataset}/labels"],
        showcase=int(found[f"{dataset}/showcase"][0]),
        models=models,
        names=tables.class_names(dataset),
    )


def grid(figure: "Figure", tables: "Tables"):
    """Draw the grid that the figure's kind asks for."""
    cams = read(tables, figure.dataset, figure.recipe)
    if figure.kind == "cam-stages":
        return stages(cams)
    target = figure.kind.removeprefix("cam-")
    sheet = Sheet(len(cams.rows), 1 + len(cams.models))
    sheet.heads(["image", *cams.models])
    for y, row in enumerate(cams.rows):
        sheet.side(y, f"test {cams.index[row]}", "original study" if row < cams.showcase else "sampled")
        sheet.show(0, y, picture(cams.images[row]), cams.names[cams.labels[row]])
        for x, parts in enumerate(cams.models.values(), start=1):
            heat = parts[f"cam.{STAGES[-1]}.{target}"][row]
            sheet.show(x, y, overlay(cams.images[row], heat), *verdict(cams, parts, row), empty=not heat.any())
    return sheet.canvas


def stages(cams: Cams):
    """One or two images through the stages of every model, for the predicted class."""
    rows = [(row, name) for row in cams.staged for name in cams.models]
    sheet = Sheet(len(rows), 1 + len(STAGES))
    sheet.heads(["image", *(f"{stage[:-1]} {stage[-1]}" for stage in STAGES)])
    for y, (row, name) in enumerate(rows):
        parts = cams.models[name]
        sheet.side(y, "\n".join(textwrap.wrap(name, 12)), f"test {cams.index[row]}")
        sheet.show(0, y, picture(cams.images[row]), cams.names[cams.labels[row]])
        for x, stage in enumerate(STAGES, start=1):
            heat = parts[f"cam.{stage}.predicted"][row]
            sheet.show(x, y, overlay(cams.images[row], heat), *verdict(cams, parts, row), empty=not heat.any())
    return sheet.canvas


def verdict(cams: Cams, parts: dict, row: int) -> tuple[str, str]:
    """The predicted class with its mark, and the colour to write it in."""
    predicted, label = int(parts["predicted"][row]), int(cams.labels[row])
    name = cams.names[predicted]
    return (name, RIGHT) if predicted == label else (f"✗ {name}", WRONG)


def picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) uint8 as (H, W, 3) in [0, 1]; anything but three channels is shown as their mean."""
    scaled = image.astype(np.float64) / 255
    return scaled.transpose(1, 2, 0) if len(image) == 3 else np.repeat(scaled.mean(0)[..., None], 3, axis=2)


def overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """A map's colours over the grey image; where the map is 0 the image is bare."""
    from matplotlib import colormaps

    share = heat.astype(np.float64)[..., None] / 255
    grey = 0.15 + 0.7 * picture(image).mean(axis=2, keepdims=True)
    return (1 - 0.72 * share) * grey + 0.72 * share * colormaps["inferno"](0.35 + 0.6 * share[..., 0])[..., :3]


class Sheet:
    """A grid of small pictures with a title each, in one pair of axes."""

    def __init__(self, rows: int, columns: int):
        from matplotlib.figure import Figure as Canvas

        width, height = 0.95 + columns * STEP[0], 0.42 + rows * STEP[1]
        self.canvas = Canvas(figsize=(width * CELL, height * CELL))
        self.axes = self.canvas.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(-0.95, width - 0.95), ylim=(height - 0.42, -0.42))
        self.axes.axis("off")

    def heads(self, names: list[str]) -> None:
        for x, name in enumerate(names):
            lines = "\n".join(textwrap.wrap(name, 15))
            self.axes.text(x * STEP[0] + 0.5, -0.06, lines, ha="center", va="bottom", weight="bold", fontsize=8.5)

    def side(self, y: int, first: str, second: str) -> None:
        middle = y * STEP[1] + 0.23 + 0.5
        self.axes.text(-0.1, middle - 0.02, first, ha="right", va="bottom", fontsize=8.5)
        self.axes.text(-0.1, middle + 0.04, second, ha="right", va="top", fontsize=7.5, color="#666666")

    def show(self, x: int, y: int, pixels, title: str, colour: str = RIGHT, empty: bool = False) -> None:
        left, top = x * STEP[0], y * STEP[1] + 0.23
        self.axes.imshow(
            np.clip(pixels, 0, 1), extent=(left, left + 1, top + 1, top), interpolation="nearest", aspect="auto"
        )
        short = textwrap.shorten(title, 18, placeholder="…")
        self.axes.text(left + 0.5, top - 0.03, short, ha="center", va="bottom", fontsize=8, color=colour)
        if empty:
            self.axes.text(
                left + 0.5, top + 0.5, "no positive\nevidence", ha="center", va="center", fontsize=7.5, color="#222222",
                bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2},
            )  # fmt: skip
