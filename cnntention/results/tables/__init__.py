"""The study's tables, a class each. Accuracies, drops and other shares lie between 0 and 1; empty: not applicable."""

from cnntention.results.tables.modules import (
    LookUp,
    LookUpRow,
    MapRow,
    MapScore,
    ModuleRow,
    ModuleState,
    RoadRow,
    RoadScore,
)
from cnntention.results.tables.runs import CELL, RUN, CellRow, EpochRow, GateRow, OfRun, RunRow
from cnntention.results.tables.study import CostRow, DatasetRow, PublishedRow, RoundRow
from cnntention.results.tables.verdicts import ClaimRow, LookRow, TestRow

COUNTS = ("parameters", "attention_parameters", "macs", "attention_matrix_bytes")
"""Columns of cost.csv that have no error."""
TIMES = ("latency_ms", "inference_ms", "training_step_ms")
"""Columns of rounds.csv. Memory and energy are measured once, so nothing can be said of their error."""
METRICS = (
    *(name for kind in (RunRow, ModuleRow) for name, of in kind.columns().items() if of is not str and name not in RUN),
    *COUNTS,
    *TIMES,
)
"""What a claim may be about: the numbers of runs and of modules (means over a run's), counts and times."""

__all__ = [
    "CELL",
    "COUNTS",
    "METRICS",
    "RUN",
    "TIMES",
    "CellRow", "ClaimRow", "CostRow", "DatasetRow", "EpochRow", "GateRow", "LookRow", "LookUp", "LookUpRow", "MapRow",
    "MapScore", "ModuleRow", "ModuleState", "OfRun", "PublishedRow", "RoadRow", "RoadScore", "RoundRow", "RunRow",
    "TestRow",
]  # fmt: skip
