"""What the original study published, beside what is found here: a remark and a table for each dataset of both."""

from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import methods, text
from cnntention.report.flags import cell_runs, flag
from cnntention.report.views import View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables


def remarks(tables: "Tables") -> dict[str, str]:
    """What to know before our numbers are laid beside the published ones, for each dataset that both have."""
    found, rows = {}, tables.frames["published"]
    for _, data in tables.frames["datasets"].iterrows():
        own = rows[(rows["dataset"] == data["dataset"]) & (rows["n"] > 0)]
        if own.empty:
            continue
        check = methods.source_check(data)
        warned = f" Its source is byte for byte {check}: compare only as far as the images agree."
        found[data["dataset"]] = (
            f"Trained here on {data['train']:,} images for {epochs(tables, own)}, {recipes(own)}; tested on "
            f"{data['test']:,} images.{warned if check.startswith('not') else ''}"
        )
    return found


def epochs(tables: "Tables", own: pd.DataFrame) -> str:
    """How long the runs beside published numbers were, and how long those that they stand beside."""
    cells = [(row["epochs"], cell_runs(tables, row.rename({"our_recipe": "recipe"}))) for _, row in own.iterrows()]
    if all((runs["epochs"] == there).all() for there, runs in cells):
        differ = "as published"
    else:
        differ = f"published: {text.listing([str(e) for e in sorted(own['epochs'].unique())])}"
    ours = pd.concat([runs["epochs"] for _, runs in cells])
    low, high = ours.min(), ours.max()
    return f"{low}{f' to {high}' if high > low else ''} epochs ({differ})"


def recipes(own: pd.DataFrame) -> str:
    """By which recipes, if these are the same for all models."""
    sets = {tuple(sorted(set(rows))) for _, rows in own.groupby("model")["our_recipe"]}
    if len(sets) > 1:
        return "not every model by the same recipe (see the table)"
    (names,) = sets
    return f"every model by {'recipe' if len(names) == 1 else 'recipes'} {text.listing(list(names))}"


def table(tables: "Tables", dataset: str) -> View:
    rows = []
    for _, row in tables.of("published", dataset).iterrows():
        cell = row.rename({"our_recipe": "recipe"})
        ours = "not run here"
        if row["n"]:
            ours = text.number(row["our_error"]) + (
                f" ± {text.number(row['our_sd'])}" if row["n"] > 1 else " (one seed)"
            )
        rows.append(
            {
                "Model": row["model"],
                "Published error, %": text.number(row["test_error"]),
                "Published epochs": row["epochs"],
                "Our error, %": ours,
                "n": row["n"] or "–",
                "Attention": flag(tables, cell),
                "Our epochs": text.spread(cell_runs(tables, cell)["epochs"], 0),
                "Our recipe": row["our_recipe"] if row["n"] else "–",
                "Note": row["note"],
            }
        )
    caption = (
        f"{dataset}: test error of the original study, one run each, beside ours (mean ± sample standard deviation "
        "over n seeds). The note says how the published number was made."
    )
    return view(caption, rows)
