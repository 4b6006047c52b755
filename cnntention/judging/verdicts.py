"""What a row of tests.csv says, and what a claim's rows say together."""

from collections.abc import Iterable
from typing import Any

from cnntention.results.words import Reason, Test, Verdict

WORST_FIRST = (
    Verdict.REFUTED,
    Verdict.VOID,
    Verdict.UNDECIDED,
    Verdict.NOT_RUN,
    Verdict.NEGLIGIBLE,
    Verdict.SUPPORTED,
)
VOIDING = (Reason.NOT_USED, Reason.OTHER_RECIPES, Reason.TEST_SPLIT_USED, Reason.MAPS_NOT_SANE, Reason.NOT_LEARNED)
HINDERED = {
    Reason.NO_RUNS: Verdict.NOT_RUN,
    Reason.NOT_MEASURED: Verdict.NOT_RUN,
    Reason.NO_RIVAL: Verdict.SUPPORTED,
    **dict.fromkeys(VOIDING, Verdict.VOID),
}
Decision = tuple[Verdict, Reason]


def decide(row: Any, alpha: float) -> Decision:
    """A row's verdict and the reason for it; `row` has the columns of tests.csv, `hindrance` and `cheaper`."""
    if row.hindrance is not None:
        return HINDERED.get(row.hindrance, Verdict.UNDECIDED), row.hindrance
    if row.test is Test.COUNTED:
        return of_counts(row)
    deciding = {"equal": of_equality, "not-lower": of_loss, "front": of_front}
    return deciding.get(row.expect, of_difference)(row, alpha)


def below(p: float | None, alpha: float) -> bool:
    return p is not None and p < alpha


def of_difference(row: Any, alpha: float) -> Decision:
    inside = below(row.p_margin, row.level)
    if below(row.p_adjusted, alpha):
        if row.expect != "" and (row.effect > 0) != (row.expect != "lower"):
            return Verdict.REFUTED, Reason.OTHER_WAY
        return (Verdict.NEGLIGIBLE, Reason.NEGLIGIBLE) if inside else (Verdict.SUPPORTED, Reason.SIGNIFICANT)
    return (Verdict.REFUTED, Reason.EQUIVALENT) if inside else (Verdict.UNDECIDED, Reason.NOT_SIGNIFICANT)


def lost(row: Any) -> bool:
    """Whether the interval lies below the margin; of a ratio, that is as far from 1 on either side."""
    margin = row.margin / (1 + row.margin) if row.test is Test.RATIO else row.margin
    return row.high is not None and row.high < -margin


def of_equality(row: Any, alpha: float) -> Decision:
    if below(row.p_adjusted, alpha):
        return Verdict.SUPPORTED, Reason.EQUIVALENT
    if lost(row) or (row.low is not None and row.low > row.margin):
        return Verdict.REFUTED, Reason.OUTSIDE_MARGIN
    return Verdict.UNDECIDED, Reason.MARGIN_UNDECIDED


def of_loss(row: Any, alpha: float) -> Decision:
    """Whether a is no worse than b by the margin or more; that it may be better does not matter."""
    if below(row.p_adjusted, alpha):
        return Verdict.SUPPORTED, Reason.WITHIN_LOSS
    if lost(row):
        return Verdict.REFUTED, Reason.OUTSIDE_MARGIN
    return Verdict.UNDECIDED, Reason.MARGIN_UNDECIDED


def of_front(row: Any, alpha: float) -> Decision:
    """Whether a rival that may be as cheap is not more accurate by the margin or more."""
    if not lost(row):
        return of_loss(row, alpha)
    if row.cheaper:
        return Verdict.REFUTED, Reason.CHEAPER_AND_BETTER
    return Verdict.UNDECIDED, Reason.BETTER_PERHAPS_CHEAPER


def of_counts(row: Any) -> Decision:
    holds = {
        "higher": row.effect > 0,
        "lower": row.effect < 0,
        "equal": row.margin is not None and abs(row.effect) < row.margin,
        "not-lower": row.margin is not None and row.effect > -row.margin,
    }
    return Verdict.SUPPORTED if holds[row.expect] else Verdict.REFUTED, Reason.COUNTED


def worst(decisions: Iterable[Decision]) -> Decision:
    """Of a claim that makes several tests: it needs all of them, and what refutes or voids one does so for all."""
    return min(decisions, key=lambda decision: WORST_FIRST.index(decision[0]))
