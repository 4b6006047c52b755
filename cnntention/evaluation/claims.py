"""Claims tested on a study's tables: each gets a verdict, the effect with its interval, n, and what voided it.

Verdicts: supported, refuted, inconclusive (with the smallest effect that could have been seen), void (a precondition
failed), not run. A claim that makes several comparisons needs all of them: one that is refuted refutes it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial

import numpy as np

from cnntention.config import Claim, Statistics, Study
from cnntention.config.claims import FRONTS, Case, Cell, cases
from cnntention.evaluation import comparing
from cnntention.evaluation.comparing import Comparison, Families
from cnntention.evaluation.evidence import CELL, Evidence, Span
from cnntention.evaluation.preconditions import CHECKS

COUNTED = ("solved",)  # metrics that are 0 or 1: their runs are counted
WORST_FIRST = ("refuted", "void", "inconclusive", "not run", "supported")


@dataclass(frozen=True)
class Question:
    """What is compared; equal questions of a family are one test."""

    case: Case
    metric: str
    margin: float | None
    """Of equivalence, if that has a meaning."""
    value: float | None = None
    """The number to compare with, where the case has one side."""


@dataclass
class Finding:
    """One comparison of a claim, and what it says of it."""

    case: Case
    comparison: Comparison | None = None
    costs: tuple[Span, Span] | None = None
    """Of a metric that is counted or timed: (low, high) of each side, the quartiles of its times."""
    cheaper: bool = True
    """Of a front: whether the rival b is surely as cheap as a."""
    voided: list[str] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""


def examine(study: Study, claim: Claim, evidence: Evidence, families: Families) -> list[Finding]:
    """The claim's comparisons, measured but not yet decided; none if the study has not one of their runs."""
    own = evidence.of(study, claim.experiment)
    found = []
    for case in cases(claim, study.cells(claim.experiment)):
        found += rivals(claim, case, own) if claim.expect == "front" else [Finding(case)]
    for finding in found:
        measure(finding, study, claim, own, families)
    absent = all(finding.verdict == "not run" and not finding.costs for finding in found)
    return [] if absent else found


def rivals(claim: Claim, case: Case, evidence: Evidence) -> Iterator[Finding]:
    """A finding for each model of the same dataset and recipe that is as cheap, or may be; one without if none is."""
    dataset, model, recipe = case.a
    others = [cell for cell in evidence.cells if cell[::2] == (dataset, recipe) and cell[1] != model]
    own = evidence.quartiles(case.a, FRONTS[claim.metric])
    costs = {cell: evidence.quartiles(cell, FRONTS[claim.metric]) for cell in others}
    near = [cell for cell in others if costs[cell][0] <= own[1]]
    for cell in near:
        yield Finding(Case(case.a, cell), cheaper=costs[cell][1] <= own[0])
    if not near:
        yield Finding(case, verdict="supported", reason="no other model is as cheap")


def measure(finding: Finding, study: Study, claim: Claim, evidence: Evidence, families: Families) -> None:
    """Fill in the comparison or the costs, or the reason why there are none."""
    case, metric = finding.case, "test_accuracy" if claim.expect == "front" else claim.metric
    missing = [cell for cell in case.cells if cell not in evidence.cells]
    if missing:
        finding.verdict, finding.reason = "not run", "no runs of " + " and ".join(f"{m} on {d}" for d, m, _ in missing)
        return
    finding.voided = [why for name in claim.preconditions for why in CHECKS[name](case, evidence)]
    if finding.verdict:  # a front without rivals
        return
    if metric in evidence.cost:
        other = evidence.quartiles(case.b, metric) if case.b else (claim.value, claim.value)
        finding.costs = evidence.quartiles(case.a, metric), other
        finding.verdict, finding.reason = of_cost(*finding.costs, claim.expect)
        return
    finding.reason = unknown(case, metric, evidence)
    if finding.reason:
        finding.verdict = "inconclusive"
        return
    margin = claim.margin or (study.statistics.margin if claim.is_accuracy or claim.expect == "front" else None)
    asked = Question(case, metric, margin, claim.value)
    make = partial(compare, asked, evidence, study.statistics)
    if finding.voided:  # shown, but no test
        finding.comparison = make()
        return
    family = claim.family or of_family(study, claim, asked)
    finding.comparison = families.get(family, asked, make)


def unknown(case: Case, metric: str, evidence: Evidence) -> str:
    """Why there is nothing to compare, if so: a metric that some runs lack is not averaged over the others."""
    if metric not in evidence.runs:
        return f"no table has the metric {metric!r}"
    groups = [evidence.values(cell, metric) for cell in case.cells]
    missing, runs = sum(int(group.isna().sum()) for group in groups), sum(map(len, groups))
    return f"{missing} of {runs} runs have no {metric}" if missing else ""


def of_family(study: Study, claim: Claim, asked: Question) -> str:
    """The family's name: the same as in the experiment's table, if that asks this very question."""
    a = asked.case.a
    table = Case(a, (a[0], study.experiments[claim.experiment].baseline, a[2]))
    if asked == Question(table, "test_accuracy", study.statistics.margin):
        return table_family(claim.experiment, a)
    return f"{claim.experiment}, {asked.metric}"


def table_family(experiment: str, cell: Cell) -> str:
    """The models of one dataset and recipe beside the experiment's baseline."""
    return f"{experiment}, {cell[0]}, {cell[2]}"


def compare(asked: Question, evidence: Evidence, settings: Statistics) -> Comparison:
    case = asked.case
    groups = [evidence.values(cell, asked.metric) for cell in case.cells]
    if case.b is None:
        return comparing.compare_with_value(groups[0], asked.value, settings, asked.margin)
    if case.control:
        return comparing.compare_differences(groups, settings)
    if asked.metric in COUNTED:
        return comparing.compare_counts(*groups, settings)
    paired = asked.metric == "test_accuracy" and evidence.hits and case.a[0] == case.b[0]
    hits = (evidence.right(case.a), evidence.right(case.b)) if paired else None
    return comparing.compare(*groups, settings, asked.margin, hits)


# --- verdicts ---------------------------------------------------------------------------------------------------


def decide(finding: Finding, claim: Claim, alpha: float) -> None:
    """The verdict of one comparison, from Holm's p-value, the equivalence test and the preconditions."""
    c = finding.comparison
    if finding.voided:
        finding.verdict, finding.reason = "void", "; ".join(finding.voided)
    elif c is None:  # not run, or a cost: decided when it was measured
        return
    elif claim.expect == "equal":
        finding.verdict, finding.reason = of_equality(c)
    elif claim.expect == "not-lower":
        finding.verdict, finding.reason = of_loss(c)
    elif claim.expect == "front":
        finding.verdict, finding.reason = of_front(c, finding.cheaper, alpha)
    else:
        finding.verdict, finding.reason = of_difference(c, claim.expect, alpha)


def of_difference(c: Comparison, expect: str, alpha: float) -> tuple[str, str]:
    if c.p_holm is not None and c.p_holm < alpha:
        agrees = (c.difference > 0) == (expect == "higher")
        return ("supported", "") if agrees else ("refuted", "the difference is significant, the other way")
    if c.equivalent:
        return "refuted", "no difference: equivalent within the margin"
    return "inconclusive", c.note or "no significant difference"


def of_equality(c: Comparison) -> tuple[str, str]:
    if c.equivalent:
        return "supported", ""
    low, high = c.interval or (-np.inf, np.inf)
    if c.margin is not None and (low > c.margin or high < -c.margin):
        return "refuted", "the whole interval lies outside the margin"
    return "inconclusive", c.note or "neither equivalent nor different"


def of_loss(c: Comparison) -> tuple[str, str]:
    """Whether a is no worse than b by the margin or more; that it may be better does not matter."""
    low, _ = c.equivalence_interval or (-np.inf, np.inf)
    _, high = c.interval or (-np.inf, np.inf)
    if c.margin is not None and low > -c.margin:
        return "supported", ""
    if c.margin is not None and high < -c.margin:
        return "refuted", "the loss exceeds the margin"
    return "inconclusive", c.note or "the loss may exceed the margin"


def of_front(c: Comparison, cheaper: bool, alpha: float) -> tuple[str, str]:
    """Whether a rival that is as cheap is less accurate."""
    verdict, reason = of_difference(c, "higher", alpha)
    if verdict == "supported":
        return verdict, reason
    if c.p_holm is not None and c.p_holm < alpha:
        found = "as cheap, and more accurate" if cheaper else "more accurate, and perhaps as cheap"
        return ("refuted" if cheaper else "inconclusive"), found
    return "inconclusive", c.note or "as cheap, and no significant difference in accuracy"


def of_cost(a: Span, b: Span, expect: str) -> tuple[str, str]:
    """Costs are counted, or timed in turn: different where the quartiles do not overlap."""
    if np.isnan([*a, *b]).any():
        return "not run", "it was not measured"
    if expect == "equal":
        apart = a[1] < b[0] or b[1] < a[0]
        return ("refuted", "the quartiles do not overlap") if apart else ("supported", "the quartiles overlap")
    first, second = (a, b) if expect == "lower" else (b, a)
    if first[1] < second[0]:
        return "supported", ""
    return ("refuted", "it is the other way") if second[1] <= first[0] else ("inconclusive", "the quartiles overlap")


# --- what claims.json says ----------------------------------------------------------------------------------------


def summary(study: Study, name: str, found: list[Finding]) -> dict:
    claim = study.claims[name]
    head = claim.model_dump(mode="json", include={"sentence", "source", "published", "experiment", "metric", "expect"})
    if not found:
        why = f"the experiment has no such runs here ({claim.experiment})"
        return head | {"verdict": "not run", "reason": why, "comparisons": []}
    worst = min(found, key=lambda f: WORST_FIRST.index(f.verdict))
    described = [describe(finding) for finding in found]
    return head | {"verdict": worst.verdict, "reason": worst.reason, "comparisons": described}


def describe(finding: Finding) -> dict:
    case, c = finding.case, finding.comparison
    sides = {"a": named(case.a), "b": named(case.b) if case.b else None}
    if case.control:
        sides["control"] = [named(cell) for cell in case.control]
    numbers = {name: value for name, value in asdict(c).items() if name != "errors"} if c else {}
    if finding.costs:
        numbers = {"quartiles": finding.costs}
    return sides | numbers | {"verdict": finding.verdict, "reason": finding.reason, "voided": finding.voided}


def named(cell: Cell) -> dict[str, str]:
    return dict(zip(CELL, cell, strict=True))
