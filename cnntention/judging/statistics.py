"""The tests and what they could have seen, on samples of one value a run: arrays of shape (seeds,), in any unit."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq


def constant(*groups: np.ndarray) -> bool:
    """Whether no group has any spread. Exact: the variance of equal values may come out as 1e-34."""
    return all(np.ptp(group) == 0 for group in groups)


def rounding(*groups: np.ndarray) -> float:
    """What differences of means may be off by: 0.9 - 0.8 and 0.2 - 0.1 are not the same float."""
    return 1e-12 * float(max(np.abs(group).max() for group in groups))


def pair(bounds: Sequence[float]) -> tuple[float, float]:
    low, high = bounds
    return float(low), float(high)


def satterthwaite(variances: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a signed sum of independent means (Satterthwaite 1946, Welch 1947)."""
    parts, n = np.divide(variances, sizes), np.asarray(sizes)
    return math.sqrt(parts.sum()), float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum())


def two_sided(effect: float, error: float, df: float) -> float:
    """P-value of a t."""
    return float(2 * stats.t.sf(abs(effect / error), df))


def inside(effect: float, error: float, df: float, margin: float, above_only: bool) -> float:
    """P-value of the claim that the true effect lies within the margin: two one-sided t-tests (Schuirmann 1987).

    above_only: that it lies above -margin (non-inferiority).
    """
    above = stats.t.sf((effect + margin) / error, df)
    return float(above if above_only else max(above, stats.t.cdf((effect - margin) / error, df)))


def surely_above_or_not(values: np.ndarray, alpha: float) -> tuple[bool, bool]:
    """Whether the mean is above 0 for sure, and whether it surely is not: one-sided t-tests at alpha each."""
    if constant(values):
        return bool(values[0] > 0), bool(values[0] <= 0)
    above, below = (stats.ttest_1samp(values, 0, alternative=side).pvalue for side in ("greater", "less"))
    return bool(above < alpha), bool(below < alpha)


def boschloo(a: ArrayLike, b: ArrayLike) -> float:
    """Boschloo's exact two-sided p-value of two samples of 0 and 1: have both the same chance of a 1 (Boschloo 1970)?

    Unconditional, so more powerful than Fisher's: 3 of 3 against 0 of 3 has p = 1/32.
    """
    ones = [int(np.sum(a)), int(np.sum(b))]
    return float(stats.boschloo_exact([ones, [len(a) - ones[0], len(b) - ones[1]]]).pvalue)


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's p-values (1979). Not statsmodels': that collects garbage at each call, a fifth of a second."""
    order = np.argsort(p)
    steps = np.asarray(p, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def detectable(error: float, df: float, alpha: float, power: float) -> float:
    """The difference at which a t of this standard error exceeds its two-sided critical value with that power.

    Noncentral t. The far tail, significance with the wrong sign, is left out: at a useful power it is below 1e-5, and
    scipy's `nct.cdf` gives NaN there.
    """
    critical = stats.t.isf(alpha / 2, df)
    return error * brentq(lambda shift: stats.nct.sf(critical, df, shift) - power, 0, 10 * critical)
