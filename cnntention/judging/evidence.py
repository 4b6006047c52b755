"""A study's tables, as far as its experiments and claims are tested on them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from cnntention.config import Study
from cnntention.config.claims import Cell
from cnntention.results.rows import read_table
from cnntention.results.tables import CELL, RUN, TIMES
from cnntention.results.tuning import chosen, relabelled
from cnntention.results.words import State


@dataclass(frozen=True)
class Evidence:
    """The runs of a study, or of one experiment, and what its models cost."""

    runs: pd.DataFrame
    """runs.csv, with the mean of each number of modules.csv over the modules of a run."""
    cost: pd.DataFrame
    rounds: pd.DataFrame

    @classmethod
    def read(cls, tables: Path) -> Self:
        runs, modules, cost, rounds = (read_table(tables, name) for name in ("runs", "modules", "cost", "rounds"))
        modules = modules[modules["state"] != State.DIVERGED]  # their numbers are of weights that were not trained
        numbers = [name for name in modules.select_dtypes("number") if name not in runs]
        means = modules.groupby(RUN, as_index=False)[numbers].mean()
        return cls(runs.merge(means, on=RUN, how="left"), cost, rounds)

    def of(self, study: Study, experiment: str) -> Self:
        """The runs that an experiment asks for: another may have trained more seeds of the same cell."""
        wanted = {run.folder for run in study.runs_of(experiment)}
        runs = self.runs[self.runs["folder"].isin(wanted)]
        return replace(self, runs=relabelled(runs, chosen(study, experiment, runs)))

    @cached_property
    def _groups(self) -> dict[Cell, pd.DataFrame]:
        return {cell: rows.set_index("seed").sort_index() for cell, rows in self.runs.groupby(CELL, sort=False)}

    @property
    def cells(self) -> list[Cell]:
        return list(self._groups)

    def cell(self, cell: Cell) -> pd.DataFrame:
        """The runs of a cell, by seed."""
        return self._groups[cell]

    def count(self, cell: Cell, metric: str) -> float:
        """What the cell's model has on its dataset's images; NaN in the report of an unfinished study."""
        found = self.cost[(self.cost["dataset"] == cell[0]) & (self.cost["model"] == cell[1])]
        return math.nan if found.empty else float(found[metric].iloc[0])

    @cached_property
    def _rounds(self) -> dict[tuple[str, str], pd.DataFrame]:
        return dict(list(self.rounds.set_index(["process", "round"]).sort_index().groupby(["dataset", "model"])))

    def times(self, cell: Cell, metric: str) -> pd.Series:
        """Of the cell's model on its dataset's images, ms, by process and round; empty if it was not measured."""
        found = self._rounds.get(cell[:2])
        return pd.Series(dtype=float) if found is None else found[metric]

    def log_ratios(self, cells: Iterable[tuple[int, Cell]], metric: str) -> np.ndarray:
        """Of each process the mean over its rounds of the signed sum of the cells' log times, shape (processes,), or
        empty if one was not measured.

        With two signs that is the logarithm of a ratio, free of what slows a whole round; of two datasets, whose
        processes are others, it is of any two.
        """
        parts = [sign * np.log(self.times(cell, metric)) for sign, cell in cells]
        if any(part.empty for part in parts):
            return np.empty(0)
        return sum(parts).groupby(level="process").mean().to_numpy()

    def excess(self, cell: Cell, than: Cell, metric: str) -> np.ndarray:
        """How much dearer a cell's model is: of a count the difference, of a time the log-ratios; empty if unknown."""
        if metric in TIMES:
            return self.log_ratios([(1, cell), (-1, than)], metric)
        found = np.array([self.count(cell, metric) - self.count(than, metric)])
        return found[~np.isnan(found)]
