"""Effect, interval and p-value of each question; nothing here knows what is expected."""

import math
from collections.abc import Sized
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from scipy import stats

from cnntention.config import Statistics
from cnntention.config.claims import COUNTED
from cnntention.judging import sequential, statistics
from cnntention.judging.evidence import Evidence
from cnntention.judging.preconditions import CHECKS
from cnntention.judging.questions import LOSSES, Question
from cnntention.results.tables import COUNTS, TIMES
from cnntention.results.words import Reason, Test


@dataclass
class Measured:
    """What is known of a question before the tests of its family are adjusted; the columns of tests.csv."""

    test: Test = Test.NONE
    n: int = 0
    n_other: int | None = None
    mean: float | None = None
    sd: float | None = None
    mean_other: float | None = None
    sd_other: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_welch: float | None = None
    p_margin: float | None = None
    level: float | None = None
    n_used: int | None = None
    effect_used: float | None = None
    hindrance: Reason | None = None
    """Why there is no test, or why it does not count."""
    failing: str = ""
    error: float | None = None
    """Standard error of the effect, and its degrees of freedom: what the minimum detectable effect is made of."""
    df: float | None = None


def measure(asked: Question, evidence: Evidence, settings: Statistics) -> Measured:
    known = evidence.cells
    missing = dict.fromkeys(f"{cell[1]} on {cell[0]}" for cell in (*asked.cells, *asked.gate) if cell not in known)
    if missing:
        return Measured(hindrance=Reason.NO_RUNS, failing=", ".join(missing))
    if asked.metric in COUNTS:
        measured = counted(asked, evidence)
    elif asked.metric in TIMES:
        measured = timed(asked, evidence, settings)
    elif asked.metric not in evidence.runs or not is_numeric_dtype(evidence.runs[asked.metric]):
        measured = Measured(hindrance=Reason.NO_METRIC, failing=asked.metric)
    elif asked.expect == "front" and asked.b is None:
        measured = Measured(hindrance=Reason.NO_RIVAL, n=len(evidence.cell(asked.a)))
    else:
        measured = compare(asked, evidence, settings)
    for name in asked.preconditions:
        check, reason = CHECKS[name]
        if failing := check(asked, evidence):  # shown, but no test
            measured.hindrance, measured.failing = reason, failing
            break
    return measured


def counted(asked: Question, evidence: Evidence) -> Measured:
    """Counts have no error, so their difference needs no test."""
    counts = [evidence.count(cell, asked.metric) for cell in asked.cells]
    if np.isnan(counts).any():
        return Measured(hindrance=Reason.NOT_MEASURED)
    effect = float(np.dot(counts, signs(counts))) - (asked.value or 0.0)
    return Measured(Test.COUNTED, 1, mean=counts[0], effect=effect, **beside(counts, 1))


def timed(asked: Question, evidence: Evidence, settings: Statistics) -> Measured:
    """A t of the processes' mean log-ratios; effect and interval are those of the ratio, less 1."""
    logs = evidence.log_ratios(zip(signs(asked.cells), asked.cells, strict=True), asked.metric)
    if not len(logs):
        return Measured(hindrance=Reason.NOT_MEASURED)
    logs = logs - math.log(asked.value or 1)
    means = [float(evidence.times(cell, asked.metric).mean()) for cell in asked.cells]
    measured = Measured(Test.RATIO, n=len(logs), mean=means[0], effect=float(logs.mean()), **beside(means, len(logs)))
    margin = asked.margin and math.log1p(asked.margin)
    by_t(measured, [logs], replace(asked, margin=margin), settings.model_copy(update={"sequential": None}))
    measured.test, measured.level = Test.RATIO, settings.alpha  # one look: more seeds measure no more times
    for name in ("effect", "low", "high"):
        if (found := getattr(measured, name)) is not None:
            setattr(measured, name, math.expm1(found))
    return measured


def beside(means: list[float], n: int) -> dict[str, float]:
    """The columns of what is compared with, if it is no number."""
    return {"n_other": n, "mean_other": means[1]} if len(means) > 1 else {}


def compare(asked: Question, evidence: Evidence, settings: Statistics) -> Measured:
    groups = [evidence.cell(cell)[asked.metric].astype(float) for cell in asked.cells]
    lost = [f"{c[1]} {g.isna().sum()}/{len(g)}" for c, g in zip(asked.cells, groups, strict=True) if g.isna().any()]
    if lost:  # a metric that some runs lack is not averaged over the others
        return Measured(hindrance=Reason.VALUES_MISSING, failing=", ".join(dict.fromkeys(lost)))
    least = settings.sequential.looks[0] if settings.sequential else settings.min_seeds
    if settings.paired and asked.metric not in COUNTED:  # counts are not compared seed by seed
        groups = paired(groups, least)
    measured = described(groups, asked)
    if (n := min(map(len, groups))) < least:
        measured.hindrance = Reason.TOO_FEW_SEEDS
    elif asked.metric in COUNTED:
        by_count(measured, groups, asked, settings)
    else:
        by_t(measured, groups, asked, settings)
    if measured.test is not Test.NONE:
        measured.level = sequential.level(n, settings)
    where_used(measured, groups, asked, evidence)
    return measured


def paired(groups: list[pd.Series], least: int) -> list[pd.Series]:
    """The runs of the seeds that all groups have; all runs if these seeds are too few for a test."""
    common = groups[0].index
    for group in groups[1:]:
        common = common.intersection(group.index)
    return [group.loc[common] for group in groups] if len(common) >= least else groups


def where_used(measured: Measured, groups: list[pd.Series], asked: Question, evidence: Evidence) -> None:
    """The same effect over the runs alone whose attention, if they have any, is used."""
    kept = []
    for cell, group in zip(asked.cells, groups, strict=True):
        used = evidence.cell(cell)["attention_used"].fillna(True).astype(bool)
        kept.append(group[used.loc[group.index]])
    measured.n_used = len(kept[0])
    if all(map(len, kept)):
        measured.effect_used = float(np.dot([group.mean() for group in kept], signs(kept))) - (asked.value or 0.0)


def described(groups: list[pd.Series], asked: Question) -> Measured:
    """What needs no test. The effect: a - b, less the same of the controls; a - value where there is no b."""
    means = [float(group.mean()) for group in groups]
    sds = [float(group.std(ddof=1)) if len(group) > 1 else None for group in groups]
    effect = float(np.dot(means, signs(groups))) - (asked.value or 0.0)
    measured = Measured(Test.NONE, len(groups[0]), mean=means[0], sd=sds[0], effect=effect)
    if len(groups) > 1:
        measured.n_other, measured.mean_other, measured.sd_other = len(groups[1]), means[1], sds[1]
    return measured


def signs(groups: Sized) -> list[int]:
    """Of a, b and the two controls."""
    return [1, -1, -1, 1][: len(groups)]


def by_count(measured: Measured, groups: list[pd.Series], asked: Question, settings: Statistics) -> None:
    """Boschloo's test of two counts; of one against a number the binomial test, with Clopper and Pearson's interval."""
    if len(groups) == 2:
        measured.test, measured.p = Test.BOSCHLOO, statistics.boschloo(*groups)
        return
    n = len(groups[0])
    found, certain = stats.binomtest(int(groups[0].sum()), n, asked.value), 1 - sequential.level(n, settings)
    measured.test, measured.p = Test.BINOMIAL, float(found.pvalue)
    measured.low, measured.high = (end - asked.value for end in statistics.pair(found.proportion_ci(certain)))


def by_t(measured: Measured, groups: list[pd.Series], asked: Question, settings: Statistics) -> None:
    """Student's t of one sample, Welch's of two, Satterthwaite's of a difference of differences; or paired by seed."""
    measured.test = {1: Test.ONE_SAMPLE, 2: Test.WELCH, 4: Test.INTERACTION}[len(groups)]
    if settings.paired and len(groups) > 1 and all(group.index.equals(groups[0].index) for group in groups):
        if not statistics.constant(*groups):
            error, df = statistics.satterthwaite([g.var(ddof=1) for g in groups], [len(g) for g in groups])
            measured.p_welch = statistics.two_sided(measured.effect, error, df)
        parts = (sign * group for sign, group in zip(signs(groups), groups, strict=True))
        measured.test, groups = Test.PAIRED, [sum(parts)]  # pandas aligns them by seed
    if statistics.constant(*groups):
        measured.hindrance = Reason.NO_SPREAD
        measured.p = 1.0 if abs(measured.effect) <= statistics.rounding(*groups) else None
        return
    error, df = statistics.satterthwaite([g.var(ddof=1) for g in groups], [len(g) for g in groups])
    measured.error, measured.df = error, df
    measured.p = statistics.two_sided(measured.effect, error, df)
    certain = 1 - sequential.level(min(map(len, groups)), settings)
    measured.low, measured.high = statistics.pair(stats.t.interval(certain, df, measured.effect, error))
    if asked.margin is not None:
        measured.p_margin = statistics.inside(measured.effect, error, df, asked.margin, asked.expect in LOSSES)
