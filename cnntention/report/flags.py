"""What stands beside an accuracy: is the attention that it is credited to alive, and used, and what else to know."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from cnntention import files
from cnntention.report import text

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

STATES = ("alive", "off", "constant", "uniform", "diverged")


def cell_runs(tables: "Tables", cell: pd.Series) -> pd.DataFrame:
    """The runs of a dataset, model and recipe."""
    runs = tables.of("runs", cell["dataset"], cell["recipe"])
    return runs[runs["model"] == cell["model"]]


def flag(tables: "Tables", cell: pd.Series) -> str:
    """In how many of a cell's runs attention is alive, and used, of those that did not diverge; – without attention."""
    runs = cell_runs(tables, cell)
    runs = runs[runs["modules"] > 0]
    sound = runs[runs["ended"] != "diverged"]
    if sound.empty:
        return "all runs diverged" if len(runs) else "–"
    alive, used = (files.truths(sound[name]) for name in ("attention_alive", "attention_used"))
    idle = shares(states(tables, cell, sound["seed"]), STATES[1:])
    told, count = ("alive", alive.sum()) if alive.all() else ("not alive", (~alive).sum())
    parts = [f"{told} in {text.share(count, len(alive))} runs" + (f" ({idle} modules)" if idle else "")]
    parts += [] if used.all() else [f"used in {text.share(used.sum(), len(used))}"]
    return ", ".join(parts)


def of_run(tables: "Tables", run: pd.Series) -> str:
    """One run's modules by state, and whether they are used; – without attention."""
    used = files.truths(pd.Series([run["attention_used"]]))
    return (shares(states(tables, run, [run["seed"]])) or "–") + ("" if used.all() else ", not used")


def states(tables: "Tables", cell: pd.Series, seeds: Iterable[int]) -> pd.Series:
    """The state of every module of a cell's runs of these seeds."""
    found = tables.of("attention", cell["dataset"], cell["recipe"])
    return found.loc[(found["model"] == cell["model"]) & found["seed"].isin(list(seeds)), "state"]


def shares(found: pd.Series, named: tuple[str, ...] = STATES) -> str:
    """How many of the modules are in which of the named states: alive 2/3, off 1/3."""
    counts = Counter(found)
    return ", ".join(f"{state} {text.share(counts[state], len(found))}" for state in named if counts[state])


def marks(tables: "Tables", cell: pd.Series) -> list[str]:
    """What else to know before a cell's accuracy is believed."""
    runs = cell_runs(tables, cell)
    leaks, diverged = files.truths(runs["leaks"]).sum(), (runs["ended"] == "diverged").sum()
    found = ["the test split chose its epoch"] if leaks else []
    return found + ([f"diverged {text.share(diverged, len(runs))}"] if diverged else [])
