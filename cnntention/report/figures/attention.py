"""Is the attention alive, is it used, and how did its gates and weights get there?"""

from typing import TYPE_CHECKING

from cnntention.report import theme
from cnntention.report.catalogue import attends, figure, has_history
from cnntention.report.figures.learning import grid, thinned, whole_epochs
from cnntention.results.words import State

if TYPE_CHECKING:
    from cnntention.report.reading import Results

LEAST = 1e-6  # what is smaller is drawn there: a collapse has no end on a logarithmic axis
WIDE = 3  # a gate larger than this would hide the others on a linear axis


@figure("alive", "How much attention changes the features", attends)
def alive(results: "Results", experiment: str):
    """A row a cell, a mark a run and module: its relative change; filled if accuracy falls without it."""
    from matplotlib.lines import Line2D

    modules, cells = results.runs_of(experiment, "modules"), results.of("cells", experiment)
    cells = cells[cells["alive"].notna()].reset_index(drop=True)
    looks, recipes = theme.looks(results.study), cells["recipe"].nunique()
    datasets, names = cells["dataset"].nunique(), list(dict.fromkeys(modules["module"]))
    sheet = theme.canvas(7.6, 0.95 + 0.27 * len(cells))
    axes = sheet.subplots()
    axes.set_xscale("log")
    for y, cell in cells.iterrows():
        own = modules[(modules[["dataset", "model", "recipe"]] == cell[["dataset", "model", "recipe"]]).all(axis=1)]
        for _, module in own[own["state"] != State.DIVERGED].iterrows():
            place = names.index(module["module"])
            dead = module["state"] != State.ALIVE
            used = module["drop_identity"] > 2 * module["drop_identity_se"]
            colour, marker = looks[cell["model"]][0], "x" if dead else theme.MARKERS[place % len(theme.MARKERS)]
            height = y + 0.5 * ((place + 0.5) / len(names) - 0.5)
            style = {"color": colour, "markersize": 5, "markerfacecolor": colour if used else "white"}
            axes.plot([max(module["relative_change"], LEAST)], [height], marker=marker, **style)
        text = f"alive {cell['alive']}, used {cell['used']} of {cell['n'] - cell['diverged']}"
        axes.annotate(text, (1.01, y), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    threshold = results.study.diagnostics.alive.relative_change
    axes.axvline(threshold, color=theme.GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    label = cells["model"] + (" · " + cells["recipe"] if recipes > 1 else "")
    axes.set_yticks(range(len(cells)), label + (", " + cells["dataset"] if datasets > 1 else ""))
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("Change of the features by the module, relative to their norm")
    style = {"color": theme.DARK, "linestyle": "none", "markersize": 5}
    handles = [
        Line2D([], [], marker=theme.MARKERS[i % len(theme.MARKERS)], markerfacecolor="white", **style)
        for i in range(len(names))
    ]
    handles += [Line2D([], [], marker="o", **style), Line2D([], [], marker="x", **style)]
    sheet.legend(handles, [*names, "used", "not alive"], loc="outside upper left", ncols=6)
    return sheet, (
        "Each mark is a module of a run, its shape the module's place. Filled: used, accuracy falls by more than two "
        "standard errors when the module is replaced by the identity. Cross: not alive, it changes the features by less "
        f"than {100 * threshold:g} % (dashed), attends to all places alike, or ignores the image. At the right: runs with "
        "any module alive, and runs whose accuracy falls without all of them. Diverged runs are left out."
    )


@figure("learning", "Gates and query weights by epoch", has_history)
def gates(results: "Results", experiment: str):
    """Two axes a dataset and recipe: gates and norms of the query weights, a line a run and module."""
    rows = results.runs_of(experiment, "gates")
    columns = [name for name in ("gate", "query") if rows[name].notna().any()]
    groups = list(rows.groupby(["dataset", "recipe"], sort=False))
    if not columns:
        sheet = theme.canvas(4, 0.6)
        sheet.text(0.5, 0.5, "No epoch was recorded.", ha="center", va="center")
        return sheet, "No epoch was recorded."
    sheet, panels = grid(len(groups), 1.7, len(columns))
    names, models = list(dict.fromkeys(rows["module"])), {}
    for found, ((dataset, recipe), own) in zip(panels, groups, strict=True):
        for column, axes in zip(columns, found if len(columns) > 1 else [found], strict=True):
            for (model, module, _), run in own[own[column].notna()].groupby(["model", "module", "seed"], sort=False):
                colour, few = theme.looks(results.study)[model][0], thinned(run)
                line = theme.LINES[names.index(module) % len(theme.LINES)]
                values = few[column].clip(LEAST) if column == "query" else few[column]
                models[model] = axes.plot(few["epoch"], values, color=colour, linestyle=line, linewidth=0.9)[0]
            scale(axes, column, own[column])
            whole_epochs(axes, int(own["epoch"].max()))
            axes.set_ylabel({"gate": "Gate", "query": "Query norm"}[column], fontsize=8)
        (found if len(columns) == 1 else found[0]).set_title(f"{dataset} · {recipe}", fontsize=8.5, loc="left")
    sheet.supxlabel("Epoch", fontsize=9)
    sheet.legend(models.values(), models, loc="outside upper left", ncols=4)
    lines = ", ".join(
        f"{name} {word}" for name, word in zip(names, ("solid", "dashed", "dotted", "dash-dotted"), strict=False)
    )
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
