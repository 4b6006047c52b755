"""Is the attention alive? A study's attention.csv as tables."""

from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import text
from cnntention.report.flags import shares
from cnntention.report.views import WORDS, View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

MODULE = ["model", "recipe", "module"]


def thresholds(tables: "Tables") -> str:
    """When a module counts as alive, in words."""
    alive = tables.study.diagnostics.alive
    return (
        f"off: it changes its input by less than {100 * alive.relative_change:g} % of the input’s norm; constant: the "
        f"sd over images of each of its gates is below {alive.gate_spread:g}; uniform: the normalized entropy of every "
        f"head is above {alive.entropy:g}, a plain average; else alive"
    )


def modules(tables: "Tables", dataset: str) -> View | None:
    """A row a model, recipe and module, over seeds; None where no model has attention."""
    found = tables.of("attention", dataset)
    if found.empty:
        return None
    rows = [module(dict(zip(MODULE, names, strict=True)), own) for names, own in found.groupby(MODULE, sort=False)]
    empty = [name for name in rows[0] if all(row[name] == "–" for row in rows)]
    images = tables.study.diagnostics.images
    caption = (
        f"{dataset}: every attention module at the end of training, mean (range) over the runs that did not diverge, "
        f"on {images:,} test images or all. State: {thresholds(tables)}. Gate size: of the factor on its output, "
        "without the sign, which the weights can make up for. Change: of the features by the module, relative to "
        "their norm. Drop: points of accuracy lost when the module is left out, or replaced by its mean effect, which "
        "no image chooses. Entropy 1 is uniform. Distance: mean distance looked over, as a share of the diagonal "
        "(that of uniform attention). Diversity: Jensen–Shannon divergence between heads, bits. Effective heads: so "
        "many heads that look at wholly different places are as diverse; 1 where all are alike. Spread: sd of CBAM’s "
        "gates."
    )
    rows = [{name: value for name, value in row.items() if name not in empty} for row in rows]
    return view(caption, rows, WORDS | {"Module", "State"})


def module(names: dict[str, str], own: pd.DataFrame) -> dict[str, str]:
    lost = (own["state"] == "diverged").sum()
    own = own[own["state"] != "diverged"]
    uniform = own["uniform_distance"].dropna()
    distance = text.spread(own["distance"])
    return {
        **{name.capitalize(): value for name, value in names.items()},
        "State": "; ".join(filter(None, [shares(own["state"]), f"{lost} diverged" if lost else ""])),
        "Gate size": text.spread(own["gate"].abs(), 3),
        "Change": text.spread(own["relative_change"]),
        "Drop, left out": text.spread(100 * own["accuracy_drop_identity"]),
        "Drop, mean effect": text.spread(100 * own["accuracy_drop_mean"]),
        "Entropy": text.spread(own["entropy"], 3),
        "Distance": distance + (f"; uniform {text.number(uniform.mean())}" if len(uniform) else ""),
        "Diversity": text.spread(own["head_diversity"], 3),
        "Effective heads": text.spread(own["effective_heads"]),
        "Channel spread": text.spread(own["channel_spread"], 3),
        "Spatial spread": text.spread(own["spatial_spread"], 3),
    }


def grid(tables: "Tables", dataset: str) -> View | None:
    """Modules alive by model and recipe; None where there is one recipe, of which the other table tells."""
    found = tables.of("attention", dataset)
    recipes = list(found["recipe"].unique())
    if len(recipes) < 2:
        return None
    rows, heat = [], []
    for model, own in found.groupby("model", sort=False):
        made = [own.loc[own["recipe"] == recipe, "state"] for recipe in recipes]
        cells = [states[states != "diverged"] == "alive" for states in made]
        shown = [text.share(alive.sum(), len(alive)) if len(alive) else "" for alive in cells]
        rows.append({"Model": model} | dict(zip(recipes, shown, strict=True)))
        heat.append([None, *(round(100 * alive.mean()) if len(alive) else None for alive in cells)])
    caption = (
        f"{dataset}: attention modules alive at the end, of all modules of all runs that did not diverge, by model and "
        f"recipe; shaded from none (bare) to all (full). A module is {thresholds(tables)}."
    )
    return view(caption, rows, heat=heat)
