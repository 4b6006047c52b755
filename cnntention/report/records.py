"""What the steps wrote about a run, each file opened once."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from cnntention import files
from cnntention.config import Run


@dataclass(frozen=True)
class Record:
    """A run and its files; each is read when it is first asked for."""

    run: Run

    @property
    def head(self) -> dict[str, str | int]:
        """The columns that every table of runs begins with."""
        return {name: getattr(self.run, name) for name in ("dataset", "model", "recipe", "seed")}

    @cached_property
    def made(self) -> dict[str, Any]:
        return files.read_json(f"{self.run.folder}/run.json")

    @property
    def diverged(self) -> bool:
        """Whether the loss was not finite; its weights are then those of the last whole epoch, or the initial ones."""
        return self.made["ended"] == "diverged"

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row an epoch."""
        return files.read_csv(f"{self.run.folder}/history.csv")

    @cached_property
    def scores(self) -> dict[str, Any]:
        return files.read_json(f"{self.run.folder}/metrics.json")

    @cached_property
    def attention(self) -> dict[str, Any]:
        return files.read_json(f"{self.run.folder}/attention.json")

    @cached_property
    def explained(self) -> dict[str, Any]:
        return files.read_json(f"{self.run.folder}/explanations.json")
