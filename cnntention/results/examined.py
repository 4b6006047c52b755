"""A finished run's files, checked against one another."""

from pathlib import Path
from typing import Any

import pandas as pd

from cnntention import files
from cnntention.config import Run, Study
from cnntention.errors import UserError
from cnntention.results import paths, tables
from cnntention.results.records import Diagnosis, Examined, Explanations, Metrics, RunRecord

EPOCH = [name for name in tables.EpochRow.model_fields if name not in tables.OfRun.model_fields]


class ExaminedRun:
    """A run with its examination; UserError if a file is not what the JSON beside it describes."""

    def __init__(self, study: Study, run: Run):
        self.run, self.folder = run, Path(run.folder)
        self.examination = Path(paths.examination_folder(study, run))
        self.made = RunRecord.of(run)
        self.metrics: Metrics = self.read(Metrics, "metrics.json")
        self.diagnosis: Diagnosis = self.read(Diagnosis, "attention.json")
        self.explanations: Explanations = self.read(Explanations, "explanations.json")
        arrays = {  # files that the tables do not need
            self.folder / "model.safetensors": self.made.weights_sha256,
            self.examination / "predictions.safetensors": self.metrics.predictions_sha256,
            self.examination / paths.MAPS: self.explanations.sha256,
        }
        for path, recorded in arrays.items():
            if path.exists():
                files.read_bytes(path, recorded)
        self.history = self.read_history()

    @property
    def head(self) -> dict[str, str | int]:
        """The columns that every table of runs begins with."""
        return {name: getattr(self.run, name) for name in tables.RUN}

    def read(self, kind: type[Examined], name: str) -> Any:
        path = self.examination / name
        record = kind.read(path)
        if record.weights_sha256 != self.made.weights_sha256:
            raise UserError(f"{path}: is of other weights than run.json's; delete {self.examination} and run it again.")
        return record

    def read_history(self) -> pd.DataFrame:
        """Its epochs, all numbers."""
        return files.read_csv(self.folder / "history.csv", sha256=self.made.history_sha256).astype(float)
