"""Tables of accuracy: scores beside whether the attention is alive, by class and by distance; and of learning."""

from typing import TYPE_CHECKING

import pandas as pd

from cnntention.data.cuematch import BINS
from cnntention.report import text
from cnntention.report.attention_table import USED
from cnntention.report.flags import cell_runs, flag, marks
from cnntention.report.views import View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables


def accuracy(tables: "Tables", dataset: str) -> View:
    runs = tables.of("runs", dataset)
    noted = any(marks(tables, cell) for _, cell in tables.of("accuracy", dataset).iterrows())
    rows = [
        {
            "Model": cell["model"],
            "Recipe": cell["recipe"],
            "n": cell["n"],
            "Accuracy, %": text.score(cell),
            "Attention": flag(tables, cell),
            "Without it, %": text.mean_sd(cell_runs(tables, cell)["accuracy_without_attention"]),
            "Top-2, %": text.percent(cell["top2"]),
            "NLL": text.number(cell["nll"], 3),
            "ECE": text.number(cell["ece"], 3),
        }
        | ({"Note": "; ".join(marks(tables, cell)) or "–"} if noted else {})
        for _, cell in tables.of("accuracy", dataset).iterrows()
    ]
    images = text.listing([f"{count:,}" for count in runs["test_images"].unique()])
    return view(
        f"{dataset}: accuracy on {images} test images, mean ± sample standard deviation over n seeds. Top-2, negative "
        "log-likelihood (NLL, nats) and expected calibration error (ECE) are means over seeds. Attention: in how many "
        "of the runs that did not diverge any module is alive, and the states of those that are not; used: in how many "
        f"accuracy falls by more than {USED} standard errors without it, if not in all. Without it: those runs, all "
        f"attention modules left out, on {tables.study.diagnostics.images:,} test images or all. "
        f"{chosen(tables, dataset)}",
        rows,
    )


def chosen(tables: "Tables", dataset: str) -> str:
    """Which weights a run's numbers are of, as its recipe says."""
    recipes = [tables.study.recipes[name] for name in tables.of("runs", dataset)["recipe"].unique()]
    best, leaks = any(r.select == "best" for r in recipes), any(r.leaks for r in recipes)
    weights = "last" if not best else "best" if all(r.select == "best" for r in recipes) else "last or best"
    test = "where noted, the test split chose that epoch" if leaks else "the test split chose nothing"
    lost = (tables.of("runs", dataset)["ended"] == "diverged").any()
    kept = " A run that diverged keeps the weights from before the epoch in which it did." if lost else ""
    return f"Each run is its {weights} epoch’s weights; {test}.{kept}"


def distance(tables: "Tables", dataset: str) -> View | None:
    """CueMatch: accuracy by how far cue and match are apart; None for other datasets."""
    columns = [f"accuracy_{name}" for name in BINS]
    runs = tables.of("runs", dataset)
    present = [name for name in columns if runs[name].notna().any()]
    if not present:
        return None
    bins = text.listing([f"{name} {low}–{high}" for name, (low, high) in BINS.items()]) + " px"
    rows = []
    for (model, recipe), own in runs.groupby(["model", "recipe"], sort=False):
        row = {"Model": model, "Recipe": recipe, "n": len(own), "Attention": flag(tables, own.iloc[0])}
        for name in present:
            label = name.removeprefix("accuracy_").capitalize()
            row[f"{label}, %"] = text.mean_sd(own[name])
        rows.append(row | {"Slope per 10 px": text.spread(own["distance_slope"])})
    return view(
        f"{dataset}: test accuracy by the distance of cue and match ({bins}), mean ± sample standard deviation "
        "over seeds. Slope: change of the log odds of a hit per 10 px, mean (range): 0 where distance does not matter.",
        rows,
    )


def learning(tables: "Tables", dataset: str) -> View:
    """How fast each cell's runs learned."""
    rows, runs = [], tables.of("runs", dataset)
    watching = [name for name in runs["recipe"].unique() if tables.study.recipes[name].monitor == "test"]
    for (model, recipe), own in runs.groupby(["model", "recipe"], sort=False):
        reached = own["epochs_to_reach"].notna().sum()
        first = text.spread(own["epochs_to_reach"], 0)
        rows.append(
            {
                "Model": model,
                "Recipe": recipe,
                "n": len(own),
                "Attention": flag(tables, own.iloc[0]),
                "Mean accuracy over epochs, %": text.mean_sd(own["learning_area"]),
                "First epoch at the bar": first if reached else "–",
                "Reached": text.share(reached, len(own)),
                "Epochs": text.spread(own["epochs"], 0),
            }
        )
    split = "validation split" + (f", by {text.listing(watching)} the test split," if watching else "")
    return view(
        f"{dataset}: mean accuracy on the {split} over a run’s epochs (mean ± sample standard deviation over n "
        f"seeds), and the first epoch of {100 * tables.study.statistics.reach:g} % or more, mean (range) of the runs "
        "that reach it.",
        rows,
    )


def classes(tables: "Tables", dataset: str) -> View:
    found = tables.of("classes", dataset)
    means = found.groupby(["model", "recipe", "class"], sort=False)["test_accuracy"].mean()
    names = tables.class_names(dataset)
    rows, heat = [], []
    low, high = means.min(), means.max()
    for _, cell in tables.of("accuracy", dataset).iterrows():
        own = [means.get((cell["model"], cell["recipe"], name), float("nan")) for name in names]
        row = {"Model": cell["model"], "Recipe": cell["recipe"], "Attention": flag(tables, cell)}
        rows.append(row | {name: text.percent(v, 1) for name, v in zip(names, own, strict=True)})
        scaled = [None if pd.isna(v) else round(100 * (v - low) / max(high - low, 1e-9)) for v in own]
        heat.append([None, None, None, *scaled])
    caption = (
        f"{dataset}: test accuracy of each class, %, mean over seeds. Shaded from {text.percent(low, 1)} (bare) to "
        f"{text.percent(high, 1)} % (full)."
    )
    return view(caption, rows, heat=heat)
