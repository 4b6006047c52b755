"""Claims tested on a study's tables: each gets a verdict, the effect with its interval, n, and what voided it.

Verdicts: supported, refuted, inconclusive (with the smallest effect that could have been seen), void (a precondition
failed), not run. Of several comparisons that one claim makes the worst decides: void, then refuted, inconclusive.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from cnntention import files
from cnntention.config import Claim, Statistics, Study
from cnntention.config.claims import Case, cases
from cnntention.evaluation import comparing
from cnntention.evaluation.comparing import Comparison

CELL = ["dataset", "model", "recipe"]
WORST_FIRST = ("void", "refuted", "inconclusive", "supported")


@dataclass
class Finding:
    """One comparison of a claim, and what it says of it."""

    case: Case
    comparison: Comparison | None = None
    cost: tuple[tuple[float, float], tuple[float, float]] | None = None
    """Of a metric that is counted or timed: (low, high) of each side, the quartiles of its times."""
    voided: list[str] = field(default_factory=list)
    verdict: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Evidence:
    """A study's tables, as far as claims are tested on them."""

    runs: pd.DataFrame
    """runs.csv, with the mean of each column of attention.csv over the modules of a run."""
    cost: pd.DataFrame
    pareto: pd.DataFrame
    hits: dict[str, np.ndarray]
    """Folder of a run -> (images,) bool, whether it was right."""

    def cell(self, cell: tuple[str, str, str]) -> pd.DataFrame:
        """The runs of a cell, by seed."""
        rows = self.runs[(self.runs[CELL] == list(cell)).all(axis=1)]
        return rows.set_index("seed").sort_index()

    def values(self, cell: tuple[str, str, str], metric: str) -> pd.Series:
        return self.cell(cell)[metric].astype(float)

    def quartiles(self, cell: tuple[str, str, str], metric: str) -> tuple[float, float]:
        """Of the cell's model on its dataset's images; both are the value itself if that is counted, not timed."""
        row = self.cost[(self.cost["dataset"] == cell[0]) & (self.cost["model"] == cell[1])].iloc[0]
        column = metric.replace("_ms", "_iqr_ms") if metric.endswith("_ms") else f"{metric}_iqr"
        spread = row.get(column, 0)
        return float(row[metric] - spread / 2), float(row[metric] + spread / 2)

    def right(self, cell: tuple[str, str, str]) -> np.ndarray:
        return np.stack([self.hits[folder] for folder in self.cell(cell)["folder"]])


def judge(study: Study, evidence: Evidence) -> dict[str, dict]:
    """Name of each claim -> what claims.json says of it."""
    findings = {name: examine(study, claim, evidence) for name, claim in study.claims.items()}
    families: dict[str, list[Comparison]] = {}
    for name, found in findings.items():
        claim = study.claims[name]
        own = families.setdefault(claim.family or claim.experiment, [])
        own += [f.comparison for f in found if f.comparison]
    for family in families.values():
        comparing.adjust(family, study.statistics)
    for name, found in findings.items():
        for finding in found:
            decide(finding, study.claims[name], study.statistics)
    return {name: summary(study, name, found) for name, found in findings.items()}


def examine(study: Study, claim: Claim, evidence: Evidence) -> list[Finding]:
    """The claim's comparisons that this study has runs for, measured but not yet judged."""
    if claim.experiment not in study.study.experiments:
        return []
    made = set(evidence.runs[CELL].itertuples(index=False, name=None))
    found = []
    for case in cases(claim, study.cells(claim.experiment)):
        if made.issuperset(case.cells):
            finding = Finding(case, voided=[why for p in claim.preconditions for why in FAILS[p](case, evidence)])
            measure(finding, claim, study.statistics, evidence)
            found.append(finding)
    return found


def measure(finding: Finding, claim: Claim, settings: Statistics, evidence: Evidence) -> None:
    """Fill in the comparison, or the reason why there is none."""
    case, metric = finding.case, claim.metric
    if claim.expect == "front":
        row = evidence.pareto[(evidence.pareto[CELL] == list(case.a)).all(axis=1)].iloc[0]
        finding.verdict, finding.reason = FRONT[row[metric]]
        return
    if metric in evidence.cost and metric not in evidence.runs:
        finding.cost = evidence.quartiles(case.a, metric), evidence.quartiles(case.b, metric)
        finding.verdict, finding.reason = of_cost(*finding.cost, claim.expect)
        return
    if metric not in evidence.runs:
        finding.verdict, finding.reason = "inconclusive", f"no table has the metric {metric!r}"
        return
    groups = [evidence.values(cell, metric) for cell in case.cells]
    missing = sum(int(g.isna().sum()) for g in groups)
    if missing:
        finding.verdict = "inconclusive"
        finding.reason = f"{missing} of {sum(map(len, groups))} runs have no {metric}"
        return
    margin = claim.margin or (settings.margin if metric.endswith("accuracy") else None)
    if case.b is None:
        finding.comparison = comparing.compare_with_value(groups[0], claim.value, settings, margin)
    elif case.control:
        finding.comparison = comparing.compare_differences(groups, settings)
    else:
        paired = metric == "test_accuracy" and evidence.hits and case.a[0] == case.b[0]
        hits = (evidence.right(case.a), evidence.right(case.b)) if paired else None
        finding.comparison = comparing.compare(*groups, settings, margin, hits)


# --- preconditions ----------------------------------------------------------------------------------------------


def failing(case: Case, evidence: Evidence, column: str, sentence: str) -> list[str]:
    """The sentence for each of the case's cells of which not all runs have the column true."""
    found = [(cell[1], files.truths(evidence.cell(cell)[column])) for cell in dict.fromkeys(case.cells)]
    return [f"{sentence.format(model)} in {(~ok).sum()} of {len(ok)} runs" for model, ok in found if not ok.all()]


def attention_off(case: Case, evidence: Evidence) -> list[str]:
    """Models with attention whose runs are not all alive."""
    return failing(case, evidence, "attention_alive", "the attention of {} is off")


def recipes_differ(case: Case, evidence: Evidence) -> list[str]:
    recipes = list(dict.fromkeys(cell[2] for cell in case.cells))
    return [f"the models were trained by different recipes ({', '.join(recipes)})"] if len(recipes) > 1 else []


def test_was_seen(case: Case, evidence: Evidence) -> list[str]:
    leaking = [cell[1] for cell in case.cells if files.truths(evidence.cell(cell)["leaks"]).any()]
    return [f"the test split decided when {' and '.join(dict.fromkeys(leaking))} stopped"] if leaking else []


def maps_are_not_sane(case: Case, evidence: Evidence) -> list[str]:
    return failing(case, evidence, "cam_sane", "the maps of {} survive randomised parameters")


FAILS = {
    "attention_alive": attention_off,
    "same_recipe": recipes_differ,
    "test_untouched": test_was_seen,
    "maps_sane": maps_are_not_sane,
}


FRONT = {
    "yes": ("supported", "on the front"),
    "possibly": ("inconclusive", "another model is as cheap, and the difference in accuracy is within its interval"),
    "no": ("refuted", "another model is better and as cheap"),
}


# --- verdicts ---------------------------------------------------------------------------------------------------


def decide(finding: Finding, claim: Claim, settings: Statistics) -> None:
    """The verdict of one comparison, from Holm's p-value, the equivalence test and the preconditions."""
    c = finding.comparison
    if finding.voided:
        finding.verdict, finding.reason = "void", "; ".join(finding.voided)
    elif c is None:  # counted or timed: decided when it was measured
        return
    elif claim.expect == "equal":
        finding.verdict, finding.reason = of_equality(c)
    else:
        finding.verdict, finding.reason = of_difference(c, claim.expect, settings.alpha)


def of_difference(c: Comparison, expect: str, alpha: float) -> tuple[str, str]:
    if c.p_holm is not None and c.p_holm < alpha:
        agrees = (c.difference > 0) == (expect == "higher")
        return ("supported", "") if agrees else ("refuted", "the difference is significant, the other way")
    if c.equivalent:
        return "refuted", "no difference: equivalent within the margin"
    return "inconclusive", c.note or "no difference seen"


def of_equality(c: Comparison) -> tuple[str, str]:
    if c.equivalent:
        return "supported", ""
    low, high = c.interval or (-np.inf, np.inf)
    if c.margin is not None and (low > c.margin or high < -c.margin):
        return "refuted", "the whole interval lies outside the margin"
    return "inconclusive", c.note or "neither equivalent nor different"


def of_cost(a: tuple[float, float], b: tuple[float, float], expect: str) -> tuple[str, str]:
    """Costs are counted, or timed in turn: different where the quartiles do not overlap."""
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
        listed = claim.experiment in study.study.experiments
        why = "the experiment has no such runs here" if listed else "this study does not run the experiment"
        return head | {"verdict": "not run", "reason": f"{why} ({claim.experiment})", "comparisons": []}
    worst = min(found, key=lambda f: WORST_FIRST.index(f.verdict))
    return head | {
        "family": claim.family or claim.experiment,
        "verdict": worst.verdict,
        "reason": worst.reason,
        "comparisons": [described(f) for f in found],
    }


def described(finding: Finding) -> dict:
    case, c = finding.case, finding.comparison
    sides = {"a": named(case.a), "b": named(case.b) if case.b else None}
    if case.control:
        sides["control"] = [named(cell) for cell in case.control]
    numbers = {name: value for name, value in asdict(c).items() if name != "errors"} if c else {}
    if finding.cost:
        numbers = {"quartiles": finding.cost}
    return sides | numbers | {"verdict": finding.verdict, "reason": finding.reason, "voided": finding.voided}


def named(cell: tuple[str, str, str]) -> dict[str, str]:
    return dict(zip(CELL, cell, strict=True))
