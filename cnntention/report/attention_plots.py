"""Plots of attention: gates and weight norms over the epochs, and what a place looks at."""

from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from cnntention.report import cams
from cnntention.report.figures import PALETTE, mapped

if TYPE_CHECKING:
    from cnntention.report.figures import Figure
    from cnntention.report.sources import Tables

ACROSS = 4  # panels in a row
EPOCHS = 60  # drawn of a run; of a longer one every second, third, …
NORMS = {"query": PALETTE[1], "key": PALETTE[2], "value": PALETTE[3]}
LINES = ("solid", (0, (5, 2)), (0, (1.2, 1.5)), (0, (5, 1.5, 1.2, 1.5)))
LEAST_NORM = 1e-6  # what is smaller is drawn there: a collapse has no end on a logarithmic axis
WIDE = 3
ROWS = 8
# Where the queries of a stored map are, in its order: explanation.maps.queries.
PLACES = {1: ("match",), 2: ("match", "cue"), 4: ("centre", "upper left", "lower right", "strongest")}


def panels(tables: "Tables", dataset: str, suffix: str) -> dict[tuple[str, str], pd.DataFrame]:
    """(model, recipe) -> its runs' epochs, with the columns of the history that end in `.suffix` and hold something."""
    rows = tables.of("curves", dataset)
    columns = [name for name in rows if name.endswith(f".{suffix}")]
    found = {}
    for (recipe, model), own in rows.groupby(["recipe", "model"], sort=False):
        known = [name for name in columns if own[name].notna().any()]
        if known:
            found[model, recipe] = own[["seed", "epoch", *known]]
    return found


def sheet_of(cells: dict) -> tuple[Canvas, list]:
    """A figure with a small pair of axes for each (model, recipe), their titles set."""
    across = min(ACROSS, len(cells))
    down = ceil(len(cells) / across)
    sheet = Canvas(figsize=(max(4.7, 0.5 + 2.05 * across), 0.75 + 1.75 * down), layout="constrained")
    axes = sheet.subplots(down, across, sharex=False, sharey=True, squeeze=False).ravel()
    for ax, ((model, recipe), own) in zip(axes, cells.items(), strict=False):
        ax.set_title(f"{model}\n{recipe}", fontsize=8, loc="left")
        ax.tick_params(labelsize=7.5)
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=4)
        if own["epoch"].max() == 1:
            ax.set_xticks([1])
    for ax in axes[len(cells) :]:
        ax.axis("off")
    sheet.supxlabel("Epoch", fontsize=9)
    return sheet, list(axes[: len(cells)])


def thinned(run: pd.DataFrame) -> pd.DataFrame:
    """Not more than about EPOCHS of a run's rows, its last among them."""
    step = ceil(len(run) / EPOCHS)
    return run.iloc[(len(run) - 1) % step :: step]


def plain(value: float, _: int) -> str:
    """A tick in figures; a norm of 1e-6 keeps its exponent."""
    return f"{value:g}"


def line_of(run: pd.DataFrame, width: float) -> dict:
    """A run of one epoch is a dot."""
    return {"linewidth": width} | ({"marker": "o", "markersize": 3} if len(run) == 1 else {})


def open_wide(cells: dict[tuple[str, str], pd.DataFrame]) -> bool:
    """Whether a gate grows so large that a plain axis would hide the others."""
    return max(own.iloc[:, 2:].abs().max(axis=None) for own in cells.values()) > WIDE


def gates(figure: "Figure", tables: "Tables"):
    """A panel a model and recipe, a line a run and module: the learned factor on the module's output."""
    cells = panels(tables, figure.dataset, "gate")
    sheet, axes = sheet_of(cells)
    modules = sorted({name for own in cells.values() for name in own.columns[2:]})
    looks = {name: (PALETTE[1:][i % 7], LINES[i % len(LINES)]) for i, name in enumerate(modules)}
    for ax, own in zip(axes, cells.values(), strict=True):
        for _, run in own.groupby("seed"):
            few = thinned(run)
            for name in own.columns[2:]:
                ax.plot(few["epoch"], few[name], color=looks[name][0], linestyle=looks[name][1], **line_of(few, 1))
        ax.axhline(0, color="#6b6b6b", linewidth=0.7, zorder=1)
        if open_wide(cells):
            ax.set_yscale("symlog", linthresh=1)
            ax.yaxis.set_major_formatter(plain)
    sheet.supylabel("Gate", fontsize=9)
    legend(sheet, {name.removesuffix(".gate"): look for name, look in looks.items()})
    return sheet


def norms(figure: "Figure", tables: "Tables"):
    """A panel a model and recipe, a line a run, module and layer: the L2 norm of its weights."""
    found = {layer: panels(tables, figure.dataset, layer) for layer in NORMS}
    cells = found["query"]
    sheet, axes = sheet_of(cells)
    modules = sorted({name.removesuffix(".query") for own in cells.values() for name in own.columns[2:]})
    lines = {name: LINES[i % len(LINES)] for i, name in enumerate(modules)}
    for ax, cell in zip(axes, cells, strict=True):
        for layer, colour in NORMS.items():
            for _, run in found[layer][cell].groupby("seed"):
                few = thinned(run)
                for name in few.columns[2:]:
                    line = lines[name.removesuffix(f".{layer}")]
                    values = few[name].clip(LEAST_NORM)
                    ax.plot(few["epoch"], values, color=colour, linestyle=line, **line_of(few, 0.9))
    low, high = min(ax.dataLim.y0 for ax in axes), max(ax.dataLim.y1 for ax in axes)
    for ax in axes:
        if high > 5 * low:
            ax.set_yscale("log")
            ax.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
            ax.yaxis.set_major_formatter(plain)
            ax.yaxis.set_minor_formatter(lambda value, _: "")
        else:
            ax.set_ylim(0, 1.08 * high)
    sheet.supylabel("Norm of the weights", fontsize=9)
    many = len(modules) > 1
    legend(
        sheet,
        {layer: (colour, "solid") for layer, colour in NORMS.items()}
        | ({name: ("#555555", line) for name, line in lines.items()} if many else {}),
    )
    return sheet


def legend(sheet, looks: dict[str, tuple]) -> None:
    lines = [Line2D([], [], color=colour, linestyle=line, linewidth=1.4) for colour, line in looks.values()]
    sheet.legend(lines, list(looks), loc="outside upper left", ncols=6, fontsize=8, columnspacing=1.2)


# --- maps -----------------------------------------------------------------------------------------------------------


def attention(figure: "Figure", tables: "Tables"):
    """A row an image and query, a column a model's module: what the query's place looks at, mean over heads."""
    found = cams.read(tables, figure.dataset, figure.recipe)
    columns = modules_shown(figure, tables, found)
    rows = rows_shown(columns)
    sheet = cams.Sheet(len(rows), 1 + len(columns))
    sheet.heads(["image", *(f"{model}, {module}" for model, module in columns)])
    shape = found.images.shape[2:]
    for y, (image, query, place) in enumerate(rows):
        sheet.side(y, place, f"test {found.index[image]}")
        sheet.show(0, y, cams.picture(found.images[image]), found.names[found.labels[image]])
        for x, (maps, at) in enumerate(columns.values(), start=1):
            own = maps[image, query].astype(np.float64).mean(axis=0)
            heat = np.rint(255 * own / max(own.max(), 1e-12))
            times = f"peak ×{own.max() * own.size:.1f}"
            sheet.show(x, y, cams.overlay(found.images[image], stretched(heat, shape)), times)
            ring(sheet, x, y, (at[image, query] + 0.5) / own.shape)
    return sheet.canvas


def modules_shown(figure: "Figure", tables: "Tables", found: cams.Cams) -> dict[tuple[str, str], tuple]:
    """(model, module) -> (N, Q, heads, H, W) maps and (N, Q, 2) cells of the queries."""
    shown = {}
    for model in mapped(tables.study, figure.dataset)[1]:
        parts = found.models[model]
        for name in (n for n in parts if n.startswith("attention.") and f"{n}.queries" in parts):
            shown[model, name.removeprefix("attention.")] = parts[name], parts[f"{name}.queries"]
    return shown


def rows_shown(columns: dict) -> list[tuple[int, int, str]]:
    """(image, query, its name) of each row: as many images as fit."""
    images, queries = next(iter(columns.values()))[0].shape[:2]
    places = PLACES[queries]
    return [(i, q, name) for i in range(min(images, ROWS // queries)) for q, name in enumerate(places)]


def stretched(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) as (H, W), each cell a block."""
    edges = [np.linspace(0, full, few + 1).round().astype(int) for full, few in zip(shape, heat.shape, strict=True)]
    counts = [[b - a for a, b in pairwise(line)] for line in edges]
    return heat.repeat(counts[0], axis=0).repeat(counts[1], axis=1)


def ring(sheet: cams.Sheet, x: int, y: int, place: np.ndarray) -> None:
    """Mark the query at (row, column), shares of the image."""
    left, top = x * cams.STEP[0], y * cams.STEP[1] + 0.23
    for width, colour in ((2.6, "black"), (1.2, "white")):
        sheet.axes.plot(
            left + place[1], top + place[0], "o", markersize=6, fillstyle="none", color=colour, markeredgewidth=width
        )
