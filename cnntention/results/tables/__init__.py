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
from cnntention.results.tables.study import CostRow, DatasetRow, PublishedRow
from cnntention.results.tables.verdicts import ClaimRow, LookRow, TestRow

METRICS = tuple(
    name
    for kind in (RunRow, ModuleRow, CostRow)
    for name, of in kind.columns().items()
    if of is not str and name not in RUN
)
"""What a claim may be about: the numbers of runs, of modules (means over a run's) and of costs."""

__all__ = [
    "CELL",
    "METRICS",
    "RUN",
    "CellRow", "ClaimRow", "CostRow", "DatasetRow", "EpochRow", "GateRow", "LookRow", "LookUp", "LookUpRow", "MapRow",
    "MapScore", "ModuleRow", "ModuleState", "OfRun", "PublishedRow", "RoadRow", "RoadScore", "RunRow", "TestRow",
]  # fmt: skip
