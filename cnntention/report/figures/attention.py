"""Is the attention alive, is it used, and how did its gates and weights get there?"""

from typing import TYPE_CHECKING

from cnntention.report import theme
from cnntention.report.catalogue import attends, figure, has_history
from cnntention.report.figures.learning import grid, legend, thinned, whole_epochs
from cnntention.results.words import State

if TYPE_CHECKING:
    from cnntention.report.reading import Results

LEAST = 1e-6  # what is smaller is drawn there: a collapse has no end on a logarithmic axis
LABELS = {"gate": "Gate", "query": "Norm of query weights"}
LINE_NAMES = ("solid", "dashed", "dotted", "dash-dotted")
WIDE = 3  # a gate larger than this would hide the others on a linear axis


@figure("alive", "How much attention changes the features", attends)
def alive(results: "Results", experiment: str):
    """A row a cell, a mark a run and module: its relative change; filled if accuracy falls without it."""
    from matplotlib.lines import Line2D

    from cnntention.report.reading import of_cell

    modules, cells = results.runs_of(experiment, "modules"), results.of("cells", experiment)
    cells = cells[cells["alive"].notna()].reset_index(drop=True)
    styles, recipes = theme.styles(results.study), cells["recipe"].nunique()
    datasets, names = cells["dataset"].nunique(), list(dict.fromkeys(modules["module"]))
    sheet = theme.canvas(7.6, 0.95 + 0.27 * len(cells))
    axes = sheet.subplots()
    axes.set_xscale("log")
    for y, cell in cells.iterrows():
        part = of_cell(modules, cell)
        for _, module in part[part["state"] != State.DIVERGED].iterrows():
            place = names.index(module["module"])
            dead = module["state"] != State.ALIVE
            used = module["drop_identity"] > 2 * module["drop_identity_se"]
            colour, marker = styles[cell["model"]][0], "x" if dead else theme.MARKERS[place % len(theme.MARKERS)]
            height = y + 0.5 * ((place + 0.5) / len(names) - 0.5)
            style = {"color": colour, "markersize": 5, "markerfacecolor": colour if used else "white"}
            axes.plot([max(module["relative_change"], LEAST)], [height], marker=marker, **style)
        text = f"alive {cell['alive']}, used {cell['used']} of {cell['n'] - cell['diverged']}"
        axes.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    threshold = results.study.diagnostics.alive.relative_change
    axes.axvline(threshold, color=theme.GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    label = cells["model"] + (" · " + cells["recipe"] if recipes > 1 else "")
    theme.rows(axes, label + (", " + cells["dataset"] if datasets > 1 else ""))
    axes.set_xlabel("Change of the features by the module, relative to their norm")
    shapes = [*theme.MARKERS[: len(names)], "o", "x"]
    style = {"color": theme.DARK, "linestyle": "none", "markersize": 5}
    handles = [Line2D([], [], marker=shape, fillstyle="full" if shape == "x" else "none", **style) for shape in shapes]
    handles[-2].set_fillstyle("full")
    sheet.legend(handles, [*names, "used", "not alive"], loc="outside upper left", ncols=6)
    return sheet, (
        "Each mark is a module of a run, its shape the module's place. Filled: used, accuracy falls by more than two "
        "standard errors when the module is replaced by the identity. Cross: not alive, it changes the features by "
        f"less than {100 * threshold:g} % (dashed), attends to all places alike, or ignores the image. Right: runs "
        "with any module alive, and runs whose accuracy falls without all of them. Diverged runs are left out."
    )


@figure("learning", "Gates and query weights by epoch", has_history)
def gates(results: "Results", experiment: str):
    """A panel a dataset, recipe and quantity, gates and norms of the query weights; a line a run and module."""
    rows = results.runs_of(experiment, "gates")
    groups = [(c, *g) for c in LABELS for g in rows[rows[c].notna()].groupby(["dataset", "recipe"], sort=False)]
    sheet, panels = grid(max(1, len(groups)), 1.9)
    names, models = list(dict.fromkeys(rows["module"])), {}
    for axes, (column, (dataset, recipe), part) in zip(panels, groups, strict=False):
        for (model, module, _), run in part.groupby(["model", "module", "seed"], sort=False):
            few, line = thinned(run), theme.LINES[names.index(module) % len(theme.LINES)]
            style = {"color": theme.styles(results.study)[model][0], "linestyle": line, "linewidth": 0.9}
            values = few[column].clip(LEAST) if column == "query" else few[column]
            models[model] = axes.plot(few["epoch"], values, **style)[0]
        scale(axes, column, part[column])
        whole_epochs(axes, int(part["epoch"].max()))
        axes.set_ylabel(LABELS[column], fontsize=8)
        axes.set_title(f"{dataset} · {recipe}", fontsize=8.5, loc="left")
    sheet.supxlabel("Epoch", fontsize=9)
    legend(sheet, models)
    lines = ", ".join(f"{name} {word}" for name, word in zip(names, LINE_NAMES, strict=False))
    return sheet, f"Each line is a module of a run: {lines}. At a gate of 0 the module is off."


def scale(axes, column: str, values) -> None:
    """Logarithmic where values differ much in size."""
    sizes = values.dropna().abs()
    if column == "gate":
        axes.axhline(0, color=theme.GREY, linewidth=0.7, zorder=1)
        if len(sizes) and sizes.max() > WIDE:
            axes.set_yscale("symlog", linthresh=1)
    elif len(sizes) and sizes.max() > 5 * max(sizes.min(), LEAST):
        axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
