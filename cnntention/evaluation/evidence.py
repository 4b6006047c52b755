"""A study's tables, as far as its experiments and claims are tested on them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cnntention import files
from cnntention.config import Study
from cnntention.config.claims import Cell

CELL = ["dataset", "model", "recipe"]
RUN = [*CELL, "seed"]
Span = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """The runs of a study, or of one experiment, and what its models cost."""

    runs: pd.DataFrame
    """runs.csv, with the mean of each column of attention.csv over the modules of a run."""
    cost: pd.DataFrame
    hits: dict[str, np.ndarray]
    """Folder of a run -> (images,) bool, whether it was right."""

    def of(self, study: Study, experiment: str) -> "Evidence":
        """The runs that an experiment asks for: another may have trained more seeds of the same cell."""
        wanted = {(run.dataset, run.model, run.recipe, run.seed) for run in study.runs_of(experiment)}
        chosen = [row in wanted for row in self.runs[RUN].itertuples(index=False, name=None)]
        return replace(self, runs=self.runs[chosen])

    @cached_property
    def cells(self) -> list[Cell]:
        return list(dict.fromkeys(self.runs[CELL].itertuples(index=False, name=None)))

    def cell(self, cell: Cell) -> pd.DataFrame:
        """The runs of a cell, by seed."""
        rows = self.runs[(self.runs[CELL] == list(cell)).all(axis=1)]
        return rows.set_index("seed").sort_index()

    def values(self, cell: Cell, metric: str) -> pd.Series:
        return self.cell(cell)[metric].astype(float)

    def right(self, cell: Cell) -> np.ndarray:
        """(seeds, images)"""
        return np.stack([self.hits[folder] for folder in self.cell(cell)["folder"]])

    def quartiles(self, cell: Cell, metric: str) -> Span:
        """Of the cost of the cell's model on its dataset's images; both are the value itself if it is not timed."""
        row = self.cost[(self.cost["dataset"] == cell[0]) & (self.cost["model"] == cell[1])].iloc[0]
        ends = [row.get(f"{metric}_{end}", row[metric]) for end in ("q25", "q75")]
        return float(ends[0]), float(ends[1])


def read(tables: Path) -> Evidence:
    """The tables as evidence; UserError names a file that is missing or broken."""
    runs, modules, cost = (
        files.read_csv(tables / f"{name}.csv", (*CELL, "folder", "key")) for name in ("runs", "attention", "cost")
    )
    modules = modules[modules["state"] != "diverged"]  # their numbers are of weights that were not trained
    numbers = [c for c in modules.select_dtypes("number") if c not in runs and c not in RUN]
    if len(modules):
        runs = runs.merge(modules.groupby(RUN, as_index=False)[numbers].mean(), on=RUN, how="left")
    packed = files.read_tensors(tables / "hits.safetensors")
    counts = runs.set_index("folder")["test_images"]
    hits = {folder: np.unpackbits(bits, count=int(counts[folder])).astype(bool) for folder, bits in packed.items()}
    return Evidence(runs, cost, hits)
