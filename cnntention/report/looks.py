"""What the report says of looks: how often the study was judged, on how many seeds, and what more would cost."""

import pandas as pd

from cnntention.report import numbers as num
from cnntention.report.document import Table
from cnntention.report.reading import Results
from cnntention.results.words import Settled, Verdict


def looked_before(results: Results, experiment: str) -> str:
    """That an experiment was judged on fewer or more seeds, before somebody changed them."""
    looks = results.of("looks", experiment)
    (now,) = looks.loc[looks["key"] == results.card["key"], "most_seeds"]
    others = sorted({int(seeds) for seeds in looks.loc[~looks["planned"], "most_seeds"]} - {int(now)})
    return f"Looked at before: at {num.listing(others)} seeds, which the p-values do not allow for." if others else ""


def still_open(results: Results) -> str:
    """Which claims more seeds may decide, at what price, and why these were not trained."""
    look, undecided = results.look, (results.frames["claims"]["verdict"] == Verdict.UNDECIDED).sum()
    if not results.study.adaptive or not undecided:
        return ""
    text = f"After {num.count(look.number, 'look')}, {num.count(int(undecided), 'claim')} {be(undecided)} undecided"
    if look.ended is None or not look.claims:
        return f"{text}: {look.ended or 'more seeds are to be trained'}."
    prices = num.listing([f"{name} {hours:.1f}" for name, hours in look.claims.items()])
    reach = f"; the budget of {results.study.statistics.sequential.budget:g} h does not reach" * (
        look.ended is Settled.BUDGET
    )
    return f"{text}. Hours of training that the next seeds would take: {prices}{reach}."


def be(number: int) -> str:
    return "is" if number == 1 else "are"


def looks(results: Results) -> Table | None:
    """A row a look at the study; nothing to show of a single one."""
    frame = results.frames["looks"]
    rows = tuple(row_of(look) for _, look in frame.groupby("made", sort=False))
    head = ("judged", "seeds", "claims", "undecided", "alpha spent")
    note = "Alpha spent: of a test's, where several looks share it."
    return Table(head, rows, "lrrrr", note) if len(rows) > 1 else None


def row_of(look: pd.DataFrame) -> tuple[str, ...]:
    """Of the rows of a look, one an experiment."""
    first = look.iloc[0]
    seeds = num.between(pd.concat([look["seeds"], look["most_seeds"]]))
    spent = look["alpha_spent"].max()
    planned = "" if first["planned"] else ", of another configuration"
    numbers = (f"{look[name].sum():.0f}" for name in ("claims", "open"))
    alpha = num.digits(spent, 3) if num.known(spent) else "–"
    return (f"{first['made'][:16].replace('T', ' ')}{planned}", seeds, *numbers, alpha)
