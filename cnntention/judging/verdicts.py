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
    other = of_cost if row.test is Test.QUARTILES else of_difference
    return {"equal": of_equality, "not-lower": of_loss, "front": of_front}.get(row.expect, other)(row, alpha)


def below(p: float | None, alpha: float) -> bool:
    return p is not None and p < alpha


def of_difference(row: Any, alpha: float) -> Decision:
    inside = below(row.p_margin, row.level)
    if below(row.p_adjusted, alpha):
        if row.expect != "" and (row.effect > 0) != (row.expect != "lower"):
            return Verdict.REFUTED, Reason.OTHER_WAY
        return (Verdict.NEGLIGIBLE, Reason.NEGLIGIBLE) if inside else (Verdict.SUPPORTED, Reason.SIGNIFICANT)
    return (Verdict.REFUTED, Reason.EQUIVALENT) if inside else (Verdict.UNDECIDED, Reason.NOT_SIGNIFICANT)


def of_equality(row: Any, alpha: float) -> Decision:
    timed = row.test is Test.QUARTILES
    if -row.margin < row.low and row.high < row.margin if timed else below(row.p_adjusted, alpha):
        return Verdict.SUPPORTED, Reason.EQUIVALENT
    if row.low is not None and (row.low > row.margin or row.high < -row.margin):
        return Verdict.REFUTED, Reason.OUTSIDE_MARGIN
    return Verdict.UNDECIDED, Reason.MARGIN_UNDECIDED


def of_loss(row: Any, alpha: float) -> Decision:
    """Whether a is no worse than b by the margin or more; that it may be better does not matter."""
    if row.low > -row.margin if row.test is Test.QUARTILES else below(row.p_adjusted, alpha):
        return Verdict.SUPPORTED, Reason.WITHIN_LOSS
    if row.high is not None and row.high < -row.margin:
        return Verdict.REFUTED, Reason.OUTSIDE_MARGIN
    return Verdict.UNDECIDED, Reason.MARGIN_UNDECIDED


def of_front(row: Any, alpha: float) -> Decision:
    """Whether a rival that is as cheap is less accurate."""
    if not below(row.p_adjusted, alpha):
        return Verdict.UNDECIDED, Reason.NOT_SIGNIFICANT
    if row.effect > 0:
        return Verdict.SUPPORTED, Reason.SIGNIFICANT
    if row.cheaper:
        return Verdict.REFUTED, Reason.CHEAPER_AND_BETTER
    return Verdict.UNDECIDED, Reason.BETTER_PERHAPS_CHEAPER


def of_cost(row: Any, alpha: float) -> Decision:
    """Costs differ where the quartiles do not overlap."""
    if row.low <= 0 <= row.high:
        return Verdict.UNDECIDED, Reason.OVERLAP
    agrees = (row.effect > 0) == (row.expect == "higher")
    return (Verdict.SUPPORTED, Reason.APART) if agrees else (Verdict.REFUTED, Reason.OTHER_WAY)


def worst(decisions: Iterable[Decision]) -> Decision:
    """Of a claim that makes several tests: it needs all of them, and what refutes or voids one does so for all."""
    return min(decisions, key=lambda decision: WORST_FIRST.index(decision[0]))
