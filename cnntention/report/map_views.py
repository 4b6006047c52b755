"""Where does it look, and how far can that be believed? The explanations' scores as tables."""

from typing import TYPE_CHECKING

import pandas as pd

from cnntention import files
from cnntention.report import text
from cnntention.report.views import WORDS, View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

STAGE, TARGET = "stage3", "predicted"  # the maps that a model is summed up by
BASELINES = {
    "untrained": "untrained network",
    "edges": "edge filter",
    "centre": "centred blob",
    "uniform": "uniform map",
    "ceiling": "region itself",
}


def scores(tables: "Tables", dataset: str) -> View:
    """A row a model and recipe, then a row a map that knows nothing of the network, each a mean over runs."""
    masks, region = localisation(tables, dataset)
    roads, sanity = tables.of("faithfulness", dataset), tables.of("sanity", dataset)
    sanity = sanity[(sanity["stage"] == STAGE) & (sanity["level"] == "all")]
    rows = []
    for (model, recipe), own in roads[roads["method"] == "gradcam"].groupby(["model", "recipe"], sort=False):
        checked = of_cell(sanity, model, recipe)
        sane = files.truths(checked["sane"])
        maps = of_cell(masks[masks["method"] == "gradcam"], model, recipe)
        row = {"Model": model, "Recipe": recipe, "Sane": text.share(sane.sum(), len(sane))}
        row |= {"ρ, untrained": text.spread(checked["correlation"])}
        rows.append(row | numbers(maps, own, region, bracketed=not sane.all()))
    for method, name in BASELINES.items():
        maps, own = masks[masks["method"] == method], roads[roads["method"] == method]
        if len(maps) or len(own):
            row = {"Model": name, "Recipe": "all", "Sane": "–", "ρ, untrained": "–"}
            rows.append(row | numbers(maps, own, region, bracketed=False))
    located = "Masks are not known here, so nothing says where to look. "
    if region:
        place = region.replace("+", " and ")
        located = f"Mass: share of a map that lies on the {place}. AUC: chance that a pixel there outranks others. "
    threshold = tables.study.explanation.sanity_threshold
    caption = (
        f"{dataset}: scores of the last stage’s Grad-CAM maps for the predicted class, mean (range) over runs. "
        f"{located}ROAD: confidence kept when the least relevant pixels are removed, minus when the most relevant are, "
        "halved; 0 for a random order. Sane: runs whose maps lose their likeness when all parameters are drawn anew "
        f"(rank correlation ρ below {threshold:g}); in brackets where not all do: such maps show the image, not the "
        "network. The last rows are maps that no trained network made."
    )
    return view(caption, rows)


def localisation(tables: "Tables", dataset: str) -> tuple[pd.DataFrame, str]:
    """The rows of the summed-up maps on the dataset's first region, and its name; empty without masks."""
    found = tables.of("explanations", dataset)
    found = found[(found["stage"] == STAGE) & (found["target"] == TARGET)]
    region = found["region"].iloc[0] if len(found) else ""
    return found[found["region"] == region], region


def of_cell(frame: pd.DataFrame, model: str, recipe: str) -> pd.DataFrame:
    return frame[(frame["model"] == model) & (frame["recipe"] == recipe)]


def numbers(maps: pd.DataFrame, roads: pd.DataFrame, region: str, bracketed: bool) -> dict[str, str]:
    located = {"Mass": text.spread(maps["mass"]), "AUC": text.spread(maps["auc"])} if region else {}
    found = located | {"ROAD": text.spread(roads["road"], 3)}
    return {name: f"[{value}]" if bracketed and value != "–" else value for name, value in found.items()}


def agreement(tables: "Tables", dataset: str) -> View | None:
    """Whether two models' maps differ more than one model's do from seed to seed; None with one seed."""
    found = tables.of("agreement", dataset).dropna(subset=["agreement"])
    if found.empty:
        return None
    rows = [
        {
            "Recipe": row["recipe"],
            "Model": row["model"],
            "Beside": "itself, other seeds" if row["other"] == row["model"] else row["other"],
            "Agreement, ρ": text.number(row["agreement"]) + (f" ± {text.number(row['sd'])}" if row["sd"] > 0 else ""),
            "Each with itself, ρ": "–" if row["other"] == row["model"] else text.number(row["of_seeds"]),
            "Pairs": row["pairs"],
        }
        for _, row in found.iterrows()
    ]
    caption = (
        f"{dataset}: rank correlation of two runs’ maps of the same image (last stage, predicted class), mean ± sd "
        "over pairs of runs with different seeds. Two models look at different things only if they agree less with "
        "each other than each does with itself from seed to seed."
    )
    return view(caption, rows, WORDS | {"Beside"})


def lookup(tables: "Tables", dataset: str) -> View | None:
    """CueMatch: how much attention goes from one object to the other; None for other datasets."""
    found = tables.of("lookup", dataset)
    if found.empty:
        return None
    rows = []
    for (model, recipe, module), own in found.groupby(["model", "recipe", "module"], sort=False):
        row = {"Model": model, "Recipe": recipe, "Module": module, "Heads": own["head"].nunique()}
        for direction in ("match_to_cue", "cue_to_match"):
            part = own[own["direction"] == direction]
            best = part.groupby("seed")["score"].max()
            name = direction.replace("_to_", " to ").capitalize()
            row |= {f"{name}, best head": text.spread(best, 1), f"{name}, all heads": text.spread(part["score"], 1)}
        rows.append(row)
    caption = (
        f"{dataset}: attention from one object’s cells to the other’s, as a multiple of what uniform attention gives, "
        "mean (range) over runs. 1: it does not look the other object up."
    )
    return view(caption, rows, WORDS | {"Module"})
