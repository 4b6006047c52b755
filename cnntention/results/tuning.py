"""Which trial was best for each model of a tuned experiment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cnntention.config import Study
from cnntention.config.claims import Cell
from cnntention.config.tuning import trial, tuned

if TYPE_CHECKING:
    import pandas as pd


def chosen(study: Study, experiment: str, runs: "pd.DataFrame") -> dict[Cell, Cell]:
    """Of each cell that the experiment compares the trial with the highest validation accuracy on the first seed.

    Of the first seed alone, since only the chosen trials have more. Empty where an experiment is not tuned.
    """
    of = study.experiments[experiment].tuning
    found: dict[Cell, Cell] = {}
    if of is None:
        return found
    for grid in study.experiments[experiment].grid:
        first = runs[runs["seed"] == study.every_seed(grid)[0]]
        scores = first.set_index(["dataset", "model", "recipe"])["val_accuracy"].astype(float).to_dict()
        for cell in study.cells(experiment):
            dataset, model, _ = cell
            for recipe in grid.recipes:
                own = [(dataset, model, trial(recipe, number)) for number in range(of.trials)]
                known = [one for one in own if one in scores]
                if cell == (dataset, model, tuned(recipe)) and known:
                    found[cell] = max(known, key=lambda one: scores[one] if scores[one] == scores[one] else -1.0)
    return found


def relabelled(runs: "pd.DataFrame", choice: Mapping[Cell, Cell]) -> "pd.DataFrame":
    """Rows of runs, those of the chosen trials alone, under the name of what is compared."""
    if not choice:
        return runs
    named = {real: cell[2] for cell, real in choice.items()}
    cells = list(zip(runs["dataset"], runs["model"], runs["recipe"], strict=True))
    kept = runs[[cell in named for cell in cells]]
    return kept.assign(recipe=[named[cell] for cell in cells if cell in named])
