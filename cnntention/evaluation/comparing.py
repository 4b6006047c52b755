"""One model beside another, or beside a number, over their seeds: every statistic that the report and the claims show.

A sample is a Series of one value a run, by seed. Differences, intervals and margins are in the metric's own unit.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from cnntention.config import Statistics
from cnntention.evaluation import resampling, statistics
from cnntention.evaluation.statistics import NotEnoughSeeds


@dataclass
class Comparison:
    """What is known of mean(a) - mean(b); what could not be computed is None, and `note` says why."""

    n: tuple[int, ...]
    means: tuple[float, ...]
    sds: tuple[float | None, ...]
    difference: float
    p: float | None = None
    p_holm: float | None = None
    interval: tuple[float, float] | None = None
    bca: tuple[float, float] | None = None
    superiority: float | None = None
    superiority_interval: tuple[float, float] | None = None
    mde: float | None = None
    margin: float | None = None
    equivalence_p: float | None = None
    equivalence_interval: tuple[float, float] | None = None
    sign_flip_p: float | None = None
    seed_correlation: float | None = None
    two_level: tuple[float, float] | None = None
    family: str = ""
    tests: int = 1
    """How many comparisons of the family were tested."""
    note: str = ""
    errors: tuple[float, float] | None = field(default=None, repr=False)
    """Standard error and degrees of freedom of the difference: what the minimum detectable effect is made of."""

    @property
    def equivalent(self) -> bool:
        """Whether the whole interval of level 1 - 2 alpha lies inside the margin."""
        low, high = self.equivalence_interval or (-np.inf, np.inf)
        return self.margin is not None and -self.margin < low and high < self.margin


def compare(
    a: pd.Series,
    b: pd.Series,
    settings: Statistics,
    margin: float | None,
    hits: tuple[np.ndarray, np.ndarray] | None = None,
) -> Comparison:
    """mean(a) - mean(b); `margin` for equivalence, if that has a meaning; hits (seeds, images) for the two levels."""
    found = described([a, b], float(a.mean() - b.mean()), settings)
    if found.note:
        return found
    test = statistics.welch(a, b)
    found.p, found.interval, found.note = test.p, test.interval, test.note
    found.errors = None if test.p is None or test.df is None else errors([a, b])
    found.bca = resampling.bca_interval(a, b, settings.resamples, settings.seed).interval
    better = resampling.probability_of_improvement(a, b, settings.resamples, settings.seed)
    found.superiority, found.superiority_interval = better.value, better.interval
    if margin is not None:
        tost = statistics.equivalence(a, b, margin, settings.alpha)
        found.margin, found.equivalence_p, found.equivalence_interval = margin, tost.p, tost.interval
    shared = a.index.intersection(b.index)
    if len(shared) >= resampling.FEWEST_PAIRS:
        flipped = resampling.sign_flip(a[shared], b[shared], seed=settings.seed)
        found.sign_flip_p, found.seed_correlation = flipped.p, flipped.correlation
    if hits is not None:
        found.two_level = resampling.two_level_interval(*hits, seed=settings.seed).interval
    return found


def compare_counts(a: pd.Series, b: pd.Series, settings: Statistics) -> Comparison:
    """The shares of runs with a 1 in metrics that are 0 or 1; no interval, Boschloo's exact test."""
    found = described([a, b], float(a.mean() - b.mean()), settings)
    if not found.note:
        found.p = statistics.boschloo(a, b)
    return found


def compare_with_value(a: pd.Series, value: float, settings: Statistics, margin: float | None) -> Comparison:
    """mean(a) - value, by Student's one-sample t and two one-sided ones."""
    found = described([a], float(a.mean() - value), settings)
    if statistics.constant(a):
        found.note = found.note or statistics.NO_SPREAD
    if found.note:
        return found
    gap = a - value
    test = stats.ttest_1samp(gap, 0)
    found.p, found.interval = float(test.pvalue), tuple(map(float, test.confidence_interval(0.95)))
    found.errors = errors([a])
    if margin is not None:
        above = stats.ttest_1samp(gap, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(gap, margin, alternative="less").pvalue
        found.margin, found.equivalence_p = margin, float(max(above, below))
        found.equivalence_interval = tuple(map(float, test.confidence_interval(1 - 2 * settings.alpha)))
    return found


def compare_differences(groups: list[pd.Series], settings: Statistics) -> Comparison:
    """(mean a1 - mean b1) - (mean a2 - mean b2) of four independent samples [a1, b1, a2, b2]."""
    means = [group.mean() for group in groups]
    found = described(groups, float(means[0] - means[1] - means[2] + means[3]), settings)
    if found.note:
        return found
    test = statistics.difference_in_differences(*groups)
    found.p, found.interval, found.note = test.p, test.interval, test.note
    found.errors = None if test.df is None else errors(groups)
    return found


def described(groups: list[pd.Series], difference: float, settings: Statistics) -> Comparison:
    """What needs no test; the note says if there are too few seeds for one."""
    sds = tuple(float(g.std(ddof=1)) if len(g) > 1 else None for g in groups)
    found = Comparison(tuple(map(len, groups)), tuple(float(g.mean()) for g in groups), sds, difference)
    try:
        statistics.enough(min(found.n), settings.min_seeds)
    except NotEnoughSeeds as error:
        found.note = str(error)
    return found


def errors(groups: list[pd.Series]) -> tuple[float, float] | None:
    variances = [g.var(ddof=1) for g in groups]
    return statistics.satterthwaite(variances, [len(g) for g in groups]) if any(variances) else None


class Families:
    """Comparisons by the family that shares its chance of a false alarm; one asked for twice is tested once."""

    def __init__(self, settings: Statistics):
        self.settings = settings
        self.made: dict[str, dict[Hashable, Comparison]] = defaultdict(dict)

    def get(self, family: str, what: Hashable, make: Callable[[], Comparison]) -> Comparison:
        """The family's comparison of that name, made if it is the first time that it is asked for."""
        if what not in self.made[family]:
            self.made[family][what] = replace(make(), family=family)
        return self.made[family][what]

    def adjust(self) -> None:
        """Holm's p-values, and the minimum detectable effects at his first step, in place."""
        for family in self.made.values():
            comparisons = list(family.values())
            tested = sum(c.p is not None for c in comparisons)
            alpha = self.settings.alpha / max(tested, 1)
            for comparison, p in zip(comparisons, statistics.holm([c.p for c in comparisons]), strict=True):
                comparison.p_holm, comparison.tests = p, tested
                if comparison.errors is not None:
                    comparison.mde = statistics.detectable(*comparison.errors, alpha, self.settings.power)
