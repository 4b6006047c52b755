"""Do two models differ over their seeds? Student's t with unequal variances, and what it could have seen.

A sample is one value a run, runs differing in the seed alone: numpy arrays or lists of shape (seeds,), in any unit
(shares of 1 for an accuracy); differences, intervals, margins and standard deviations are in that same unit.
Samples are independent of one another. What does not exist is None, and the result's note says why; too few seeds
raise NotEnoughSeeds. Here is what assumes normal values; `resampling` assumes less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans

FEWEST = 3  # seeds a model: two have a variance, but no one should believe it
NO_SPREAD = "no spread: the runs of each model all have one value, so there is no t"


class NotEnoughSeeds(ValueError):
    """A sample has n values and the method needs more: a reason for no verdict, not a mistake of the user's."""

    def __init__(self, n: int, needs: int):
        super().__init__(n, needs)
        self.n, self.needs = n, needs

    def __str__(self) -> str:
        return f"not enough seeds (n = {self.n}, needs {self.needs})"


@dataclass(frozen=True)
class TTest:
    difference: float
    t: float | None
    df: float | None
    p: float | None  # two-sided
    interval: tuple[float, float] | None  # 95 %
    note: str = ""


@dataclass(frozen=True)
class Equivalence:
    difference: float
    margin: float
    p: float | None  # the larger of the two one-sided ones
    interval: tuple[float, float] | None  # of level 1 - 2 alpha: inside (-margin, margin) exactly when p < alpha
    equivalent: bool
    note: str = ""


def enough(n: int, needs: int) -> None:
    if n < needs:
        raise NotEnoughSeeds(n, needs)


def samples(*groups: ArrayLike, needs: int) -> list[np.ndarray]:
    """The groups as float arrays, each of at least `needs` values, all finite (ValueError)."""
    arrays = [np.asarray(group, dtype=float) for group in groups]
    enough(min(len(array) for array in arrays), needs)
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("a run's value is not finite: leave the run out, and say so, before comparing")
    return arrays


def constant(*groups: np.ndarray) -> bool:
    """Whether no group has any spread. Exact: the variance of equal values may come out as 1e-34."""
    return all(np.ptp(group) == 0 for group in groups)


def rounding(*groups: np.ndarray) -> float:
    """What differences of means may be off by: 0.9 - 0.8 and 0.2 - 0.1 are not the same float."""
    return 1e-12 * float(max(np.abs(group).max() for group in groups))


def pair(bounds: Sequence[float]) -> tuple[float, float]:
    low, high = bounds
    return float(low), float(high)


def welch(a: ArrayLike, b: ArrayLike, needs: int = FEWEST) -> TTest:
    """Welch's two-sided t-test of mean(a) - mean(b), with its 95 % interval (Welch 1947).

    Samples without any spread have no t: equal ones get p = 1 (there is nothing to reject), different ones p = None
    (no error to hold the difference against; 0 would claim certainty), both without an interval.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST))
    difference = float(a.mean() - b.mean())
    if constant(a, b):
        return TTest(difference, None, None, 1.0 if abs(difference) <= rounding(a, b) else None, None, NO_SPREAD)
    both = CompareMeans.from_data(a, b)
    t, p, df = both.ttest_ind(usevar="unequal")
    return TTest(difference, float(t), float(df), float(p), pair(both.tconfint_diff(alpha=0.05, usevar="unequal")))


def difference_in_differences(a1: ArrayLike, b1: ArrayLike, a2: ArrayLike, b2: ArrayLike, needs: int = FEWEST) -> TTest:
    """Welch's t-test of (mean(a1) - mean(b1)) - (mean(a2) - mean(b2)): does a gain more over b in 1 than in 2?

    Four independent samples, degrees of freedom by Welch and Satterthwaite; without any spread as `welch`.
    """
    groups = samples(a1, b1, a2, b2, needs=max(needs, FEWEST))
    difference = float(np.dot([1, -1, -1, 1], [group.mean() for group in groups]))
    if constant(*groups):
        return TTest(difference, None, None, 1.0 if abs(difference) <= rounding(*groups) else None, None, NO_SPREAD)
    error, df = satterthwaite([group.var(ddof=1) for group in groups], [len(group) for group in groups])
    t, p = difference / error, 2 * stats.t.sf(abs(difference / error), df)
    return TTest(difference, t, df, float(p), pair(stats.t.interval(0.95, df, difference, error)))


def satterthwaite(variances: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a signed sum of independent means (Satterthwaite 1946, Welch 1947)."""
    parts, n = np.divide(variances, sizes), np.asarray(sizes)
    return math.sqrt(parts.sum()), float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum())


def equivalence(a: ArrayLike, b: ArrayLike, margin: float, alpha: float = 0.05, needs: int = FEWEST) -> Equivalence:
    """Whether the means differ by less than `margin` either way: two one-sided Welch tests (Schuirmann 1987).

    Samples without any spread have no t, hence no p, and are not called equivalent.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST))
    difference = float(a.mean() - b.mean())
    if constant(a, b):
        return Equivalence(difference, margin, None, None, False, NO_SPREAD)
    both = CompareMeans.from_data(a, b)
    p = float(both.ttost_ind(-margin, margin, usevar="unequal")[0])
    return Equivalence(difference, margin, p, pair(both.tconfint_diff(2 * alpha, usevar="unequal")), p < alpha)


def boschloo(a: ArrayLike, b: ArrayLike, needs: int = FEWEST) -> float:
    """Boschloo's exact two-sided p-value of two samples of 0 and 1: have both the same chance of a 1 (Boschloo 1970)?

    Unconditional, so more powerful than Fisher's: 3 of 3 against 0 of 3 has p = 1/32.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST))
    ones = [int(a.sum()), int(b.sum())]
    return float(stats.boschloo_exact([ones, [len(a) - ones[0], len(b) - ones[1]]]).pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values of one declared family (Holm 1979), in its order: reject where they are below alpha.

    None and NaN, tests that could not be made, stay None and do not count: the family is the tests that were made.
    """
    made = [i for i, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    adjusted: list[float | None] = [None] * len(p_values)
    if made:
        for i, p in zip(made, multipletests([p_values[i] for i in made], method="holm")[1], strict=True):
            adjusted[i] = float(p)
    return adjusted


def minimum_detectable_effect(
    sd_a: float, n_a: int, sd_b: float, n_b: int, alpha: float = 0.05, power: float = 0.8, needs: int = FEWEST
) -> float | None:
    """The smallest true difference of means that `welch` calls significant, with the right sign, `power` of the time.

    For standard deviations over seeds sd_a and sd_b and that many seeds. None if neither model has any spread. For
    Holm's first step over m comparisons give alpha / m.
    """
    enough(min(n_a, n_b), max(needs, FEWEST))
    if sd_a == sd_b == 0:
        return None
    return detectable(*satterthwaite([sd_a**2, sd_b**2], [n_a, n_b]), alpha, power)


def seeds_needed(sd: float, difference: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """The fewest seeds a model, at least 2, with which `welch` sees a true difference between models of equal sd.

    The inverse of `minimum_detectable_effect`; None where there is none: sd or difference is 0. It may say 2, where the
    tests here ask for 3.
    """
    if sd == 0 or difference == 0:
        return None
    quantiles = stats.norm.isf(alpha / 2) + stats.norm.ppf(power)
    start = max(2, int(2 * (quantiles * sd / difference) ** 2))  # enough if sd were known, so never too many
    sizes = (n for n in count(start) if detectable(sd * math.sqrt(2 / n), 2 * n - 2, alpha, power) <= abs(difference))
    return next(sizes)


def detectable(error: float, df: float, alpha: float, power: float) -> float:
    """The difference at which a t of this standard error exceeds its two-sided critical value with that power.

    Noncentral t. The far tail, significance with the wrong sign, is left out: at a useful power it is below 1e-5, and
    scipy's `nct.cdf` gives NaN there.
    """
    critical = stats.t.isf(alpha / 2, df)
    return error * brentq(lambda shift: stats.nct.sf(critical, df, shift) - power, 0, 10 * critical)
