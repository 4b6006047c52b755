"""What the report is made of: a study's tables and verdicts, and verify.json if there is one. Reads nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cnntention import files
from cnntention.config import Study, parse_study
from cnntention.config.claims import Cell
from cnntention.errors import UserError
from cnntention.results import looks
from cnntention.results.looks import Look
from cnntention.results.rows import TABLES, read_table
from cnntention.results.tables import CELL, RUN
from cnntention.results.tuning import chosen, relabelled
from cnntention.results.verification import Verification

VERDICTS = ("tests", "claims", "looks")


@dataclass(frozen=True)
class Results:
    """A study's tables and verdicts."""

    folder: Path
    """Of the tables."""
    study: Study
    card: dict
    frames: dict[str, pd.DataFrame]
    look: Look | None = None
    """What the verdicts led to."""
    verified: Verification | None = None
    """What `cnntention verify` had found of these tables."""

    def runs_of(self, experiment: str, name: str = "runs") -> pd.DataFrame:
        """The rows of a table of runs that belong to an experiment, in its order, and no others."""
        wanted = [(run.dataset, run.model, run.recipe, run.seed) for run in self.study.runs_of(experiment)]
        rows = self.frames[name]
        part = pd.DataFrame(wanted, columns=RUN).astype(dict.fromkeys(CELL, rows["dataset"].dtype) | {"seed": "Int64"})
        return relabelled(part.merge(rows, on=RUN), self.chosen(experiment))

    def chosen(self, experiment: str) -> dict[Cell, Cell]:
        """Of a tuned experiment the chosen trial of each cell that it compares."""
        return chosen(self.study, experiment, self.frames["runs"])

    def of(self, name: str, experiment: str) -> pd.DataFrame:
        """The rows of a table with a column `experiment`."""
        rows = self.frames[name]
        return rows[rows["experiment"] == experiment].reset_index(drop=True)

    def comparisons(self, experiment: str = "") -> pd.DataFrame:
        """Models beside their experiment's baseline: of one experiment, or of all."""
        tests = self.of("tests", experiment) if experiment else self.frames["tests"]
        return tests[tests["claim"] == ""]

    def tests_of(self, claim: str) -> pd.DataFrame:
        return self.frames["tests"][self.frames["tests"]["claim"] == claim]

    @property
    def experiments(self) -> tuple[str, ...]:
        return self.study.study.experiments

    @cached_property
    def tensors(self) -> dict[str, np.ndarray]:
        """Images, Grad-CAM maps and attention maps of the first seed of each cell."""
        name = "explanations.safetensors"
        return files.read_tensors(self.folder / name, self.card["sha256"][name])

    def class_names(self, dataset: str) -> list[str]:
        row = self.frames["datasets"].set_index("dataset").loc[dataset]
        return row["class_names"].split("; ") if row["class_names"] else [str(i) for i in range(row["classes"])]


def of_cell(rows: pd.DataFrame, cell: pd.Series) -> pd.DataFrame:
    """The rows of a dataset, model and recipe."""
    return rows[(rows[CELL] == cell[CELL]).all(axis=1)]


def read(tables: Path, verdicts: Path, names: Iterable[str] = tuple(TABLES)) -> Results:
    """The tables of both folders; UserError if these are not of one key, or a file is not what its card describes."""
    card = files.read_record(tables / "card.json")
    if files.read_record(verdicts / "card.json")["key"] != card["key"]:
        raise UserError(f"{verdicts}: is of other tables than {tables} holds; delete it and run snakemake again.")
    frames = {name: read_table(verdicts if name in VERDICTS else tables, name) for name in names}
    study = parse_study(files.read_json(tables / "study.json", card["sha256"]["study.json"]))
    look = Look.read(verdicts / looks.FILE)
    return Results(tables, study, card, frames, look, Verification.of(tables.parent))
