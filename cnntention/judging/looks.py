"""After the verdicts of a look: which claims are open, what their next seeds cost, and whether they are trained."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from cnntention import files, provenance
from cnntention.config import Study
from cnntention.config.claims import Cell
from cnntention.config.experiments import Grid
from cnntention.judging.sequential import SPENDING
from cnntention.results import looks, paths
from cnntention.results.looks import Look
from cnntention.results.rows import frame, read_table
from cnntention.results.tables import CELL, ClaimRow, LookRow, TestRow
from cnntention.results.tuning import chosen
from cnntention.results.words import Reason, Settled, Test, Verdict

Growth = Mapping[Cell, int]
"""Seeds of each cell at a next look."""

MORE_SEEDS_HELP = (Reason.NOT_SIGNIFICANT, Reason.MARGIN_UNDECIDED, Reason.TOO_FEW_SEEDS, Reason.NO_SPREAD)
DECIDED = (Verdict.SUPPORTED, Verdict.NEGLIGIBLE, Verdict.REFUTED)
IDENTITY = (
    *("experiment", "claim", "metric", "expect", "dataset", "model", "recipe", "other_model", "other_recipe"),
    *("control_dataset", "control_model", "value"),
)
"""Columns of tests.csv that say which test it is, whatever it found."""

Identity = tuple


def decided_before(study: Study) -> dict[Identity, TestRow]:
    """Tests that an earlier look decided: they stay as they were, for each further look at one would be a chance more
    to err, also the other way."""
    if not (earlier := looks.before(study)):
        return {}
    found = read_table(Path(paths.study_folder(earlier[-1]), "verdicts"), "tests")
    rows = found.astype(object).where(found.notna(), None).to_dict("records")
    tests = [TestRow(**row) for row in rows]
    return {identity(test): test for test in tests if test.verdict in DECIDED}


def identity(row: object) -> Identity:
    values = (getattr(row, name) for name in IDENTITY)
    return tuple(None if value != value else value for value in values)  # pandas has NaN for None


def growth(study: Study, test: TestRow, choice: Mapping[Cell, Cell]) -> dict[Cell, int]:
    """The seeds that the cells of a test may get at the next look; none if it has all that it may have.

    `choice`: of a tuned experiment the trial that each of its cells is.
    """
    wanted: dict[Cell, int] = {}
    for cell in (choice.get(cell, cell) for cell in cells(test)):
        for grid in study.experiments[test.experiment].grid:
            if isinstance(grid.seeds, tuple) or not holds(study, test.experiment, grid, cell):
                continue
            now, most = len(study.seeds(test.experiment, grid, cell)), len(study.every_seed(grid))
            later = [look for look in study.statistics.sequential.looks if now < look <= most]
            if later:
                wanted[cell] = max(wanted.get(cell, 0), later[0])
    return wanted


def holds(study: Study, experiment: str, grid: Grid, cell: Cell) -> bool:
    """Whether a grid trains a cell."""
    return cell[0] in grid.datasets and cell[1] in grid.models and cell[2] in study.trained(experiment, grid)


def after_tuning(study: Study, experiment: str, choice: Mapping[Cell, Cell]) -> dict[Cell, int]:
    """The seeds with which chosen trials are compared at first, of those that have fewer."""
    wanted: dict[Cell, int] = {}
    for cell in choice.values():
        for grid in study.experiments[experiment].grid:
            if holds(study, experiment, grid, cell):
                most = len(study.every_seed(grid))
                goal = most if isinstance(grid.seeds, tuple) else min(most, study.statistics.sequential.looks[0])
                if len(study.seeds(experiment, grid, cell)) < goal:
                    wanted[cell] = goal
    return wanted


def cells(test: TestRow) -> list[Cell]:
    """What a test compares: two cells or one, and the same of its control."""
    sides = [(test.dataset, test.model, test.recipe)]
    if test.other_model:
        sides.append((test.dataset, test.other_model, test.other_recipe))
    controls: list[Cell] = []
    if test.control_dataset:
        controls = [(test.control_dataset, model, recipe) for _, model, recipe in sides]
    elif test.control_model:
        controls = [(dataset, test.control_model, recipe) for dataset, _, recipe in sides]
    return sides + controls


def next_look(
    study: Study, tests: Iterable[TestRow], claims: Iterable[ClaimRow], runs: pd.DataFrame, number: int
) -> Look:
    """What the verdicts of this look lead to: the cheapest claims first, as far as the budget reaches."""
    undecided = [claim.claim for claim in claims if claim.verdict is Verdict.UNDECIDED]
    wanted: dict[str, dict[Cell, int]] = {name: {} for name in undecided}
    choices = {name: chosen(study, name, runs) for name in study.study.experiments}
    for test in tests:
        helps = test.reason in MORE_SEEDS_HELP and test.test is not Test.RATIO  # times are of processes, not of runs
        if test.claim in wanted and test.verdict is Verdict.UNDECIDED and helps:
            wanted[test.claim] = most_of(wanted[test.claim], growth(study, test, choices[test.experiment]))
    hours = {cell: part["hours"] for cell, part in runs.groupby(CELL, sort=False)}

    def price(of: Growth) -> float:
        return float(sum(max(0, most - len(hours[cell])) * hours[cell].mean() for cell, most in of.items()))

    spent, budget = float(runs["hours"].sum()), getattr(study.statistics.sequential, "budget", None)
    prices = {name: price(of) for name, of in wanted.items() if of}
    more: dict[Cell, int] = {}
    for name, choice in choices.items():  # a tuned experiment is of no use without them
        more = most_of(more, after_tuning(study, name, choice))
    for name in sorted(prices, key=prices.__getitem__):
        both = most_of(more, wanted[name])
        if budget is None or spent + price(both) <= budget:
            more = both
    ended = None
    if not more:
        open_end = Settled.BUDGET if prices else Settled.AT_MOST if undecided else Settled.DECIDED
        ended = open_end if study.adaptive else Settled.FIXED
    reached = study.reached | {"/".join(cell): most for cell, most in more.items()} if more else {}
    return Look(number=number, claims=prices, spent=spent, price=price(more), reached=reached, ended=ended)


def most_of(a: Growth, b: Growth) -> dict[Cell, int]:
    return {cell: max(a.get(cell, 0), b.get(cell, 0)) for cell in (*a, *b)}


def record(
    study: Study, tables: Path, claims: Iterable[ClaimRow], runs: pd.DataFrame, whole: Study | None = None
) -> pd.DataFrame:
    """All looks so far, of looks.json and what was published; this one is appended, if it is new.

    Not if it is of a part of a study with planned looks: its seeds are those of such looks (partial.py).
    """
    of_claims = pd.DataFrame([(c.experiment, c.verdict) for c in claims], columns=["experiment", "verdict"])
    path, key = Path(paths.looks_path(study)), paths.study_key(study)
    rows_of = [*read_record(path), *read_record(Path("results/published") / study.study.name / "looks.json")]
    known = frame(rows_of, LookRow).drop_duplicates(["key", "experiment"])
    if key not in set(known["key"]) and not (whole and whole.adaptive):
        known = pd.concat([known, frame(rows(study, tables, key, of_claims, runs), LookRow)], ignore_index=True)
        files.write_record(path, {"looks": json.loads(known.to_json(orient="records"))})
    planned = {key, *(paths.study_key(at) for at in looks.before(study))}
    return known.assign(planned=known["key"].isin(planned)).sort_values("made", kind="stable")


def read_record(path: Path) -> list[LookRow]:
    """UserError if the record was changed."""
    if not path.exists():
        return []
    with files.readable(path):
        return [LookRow(**row) for row in files.read_record(path)["looks"]]


def rows(study: Study, tables: Path, key: str, claims: pd.DataFrame, runs: pd.DataFrame) -> Iterable[LookRow]:
    made, commit, hashed = provenance.now(), provenance.commit(), files.sha256(tables / "card.json")
    for name in study.study.experiments:
        own = runs[runs["folder"].isin({run.folder for run in study.runs_of(name)})]
        counts, verdicts = own.groupby(CELL).size(), claims.loc[claims["experiment"] == name, "verdict"]
        yield LookRow(
            made=made,
            key=key,
            tables_sha256=hashed,
            experiment=name,
            seeds=int(counts.min()),
            most_seeds=int(counts.max()),
            claims=len(verdicts),
            open=int((verdicts == Verdict.UNDECIDED).sum()),
            alpha_spent=spent(int(counts.max()), study),
            planned=True,
            commit=commit,
        )


def spent(seeds: int, study: Study) -> float | None:
    """Of alpha, up to the look at this many seeds."""
    of = study.statistics.sequential
    past = [look for look in of.looks if look <= seeds] if of else []
    return SPENDING[of.spending](past[-1] / of.looks[-1], study.statistics.alpha) if past else None
