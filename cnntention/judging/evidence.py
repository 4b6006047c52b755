"""A study's tables, as far as its experiments and claims are tested on them."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import pandas as pd

from cnntention.config import Study
from cnntention.config.claims import Cell
from cnntention.results.rows import read_table
from cnntention.results.tables import CELL, RUN
from cnntention.results.words import State

Span = tuple[float, float, float]
"""Lower quartile, median, upper quartile."""


@dataclass(frozen=True)
class Evidence:
    """The runs of a study, or of one experiment, and what its models cost."""

    runs: pd.DataFrame
    """runs.csv, with the mean of each number of modules.csv over the modules of a run."""
    cost: pd.DataFrame

    @classmethod
    def read(cls, tables: Path) -> Self:
        runs, modules, cost = (read_table(tables, name) for name in ("runs", "modules", "cost"))
        modules = modules[modules["state"] != State.DIVERGED]  # their numbers are of weights that were not trained
        numbers = [name for name in modules.select_dtypes("number") if name not in runs]
        means = modules.groupby(RUN, as_index=False)[numbers].mean()
        return cls(runs.merge(means, on=RUN, how="left"), cost)

    def of(self, study: Study, experiment: str) -> Self:
        """The runs that an experiment asks for: another may have trained more seeds of the same cell."""
        wanted = {run.folder for run in study.runs_of(experiment)}
        return replace(self, runs=self.runs[self.runs["folder"].isin(wanted)])

    @cached_property
    def _groups(self) -> dict[Cell, pd.DataFrame]:
        return {cell: rows.set_index("seed").sort_index() for cell, rows in self.runs.groupby(CELL, sort=False)}

    @property
    def cells(self) -> list[Cell]:
        return list(self._groups)

    def cell(self, cell: Cell) -> pd.DataFrame:
        """The runs of a cell, by seed."""
        return self._groups[cell]

    def quartiles(self, cell: Cell, metric: str) -> Span:
        """Of a cost of the cell's model on its dataset's images; all are the value itself if it is counted, NaN if it
        was not measured."""
        rows = self.cost[(self.cost["dataset"] == cell[0]) & (self.cost["model"] == cell[1])]
        if rows.empty:  # the report of an unfinished study
            return (math.nan,) * 3
        row = rows.iloc[0]
        low, high = (row.get(f"{metric}_{end}", row[metric]) for end in ("q25", "q75"))
        return float(low), float(row[metric]), float(high)
