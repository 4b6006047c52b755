"""Do two models differ over their seeds, without a normal distribution? Bootstrap intervals and a permutation test.

Samples are as in `statistics`: one value a run, shape (seeds,), in any unit. All draws come from numpy's default
generator with the seed given: the same call gives the same numbers. Intervals are of 95 %.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from cnntention.evaluation.statistics import FEWEST, constant, enough, pair, rounding, samples

EXACT = 16  # pairs up to which all 2^n sign flips are made
FEWEST_PAIRS = 6  # 2 / 2^5 > 0.05: with five pairs no outcome is significant
ONE_VALUE = "every resample gives the same value, so there is no interval"


@dataclass(frozen=True)
class Estimate:
    value: float
    interval: tuple[float, float] | None  # 95 %
    note: str = ""


@dataclass(frozen=True)
class SignFlip:
    difference: float
    p: float  # two-sided
    exact: bool  # all flips, or a sample of them
    correlation: float | None  # Pearson's, of the pairs over seeds; None where a model has no spread


def mean_difference(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    return a.mean(axis=axis) - b.mean(axis=axis)


def bca_interval(a: ArrayLike, b: ArrayLike, resamples: int = 9999, seed: int = 0, needs: int = FEWEST) -> Estimate:
    """mean(a) - mean(b) with its BCa bootstrap interval (Efron 1987), runs resampled within each model.

    Too short for few seeds: of normal runs of equal spread it covers 88 % at 5 a model, 92 % at 10, 93 % at 20 and 94 %
    at 30 (10,000 draws each), where `welch` covers 95 %. No interval if neither sample has any spread.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST))
    value = float(mean_difference(a, b))
    if constant(a, b):
        return Estimate(value, None, ONE_VALUE)
    draws = np.random.default_rng(seed)
    boot = stats.bootstrap((a, b), mean_difference, method="BCa", n_resamples=resamples, vectorized=True, rng=draws)
    return Estimate(value, pair(boot.confidence_interval))


def superiority(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    """The share of pairs (of a run of a, a run of b) that a wins, ties counting half, over the last axis."""
    first, second = a[..., :, None], b[..., None, :]
    return ((first > second) + 0.5 * (first == second)).mean(axis=(-2, -1))  # (…, seeds a, seeds b) -> (…)


def probability_of_improvement(
    a: ArrayLike, b: ArrayLike, resamples: int = 9999, seed: int = 0, needs: int = FEWEST
) -> Estimate:
    """P(A > B), that a run of a beats a run of b: Mann and Whitney's U / (m n), with its percentile bootstrap interval.

    As Bouthillier et al. 2021 and Agarwal et al. 2021 report it. Of normal runs with P = 0.75 it covers 86 % at 5 a
    model, 91 % at 10 and 95 % at 20, less nearer to 1 (1,500 draws each, no interval counts as a miss). Samples that do
    not overlap (0 or 1) have no interval: every resample gives the same value, which is no sign of certainty.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST))
    draws = np.random.default_rng(seed)
    boot = stats.bootstrap((a, b), superiority, method="percentile", n_resamples=resamples, vectorized=True, rng=draws)
    return percentile_estimate(float(superiority(a, b)), boot.bootstrap_distribution)


def percentile_estimate(value: float, distribution: np.ndarray) -> Estimate:
    if constant(distribution):
        return Estimate(value, None, ONE_VALUE)
    return Estimate(value, pair(np.percentile(distribution, [2.5, 97.5])))


def sign_flip(
    a: ArrayLike, b: ArrayLike, resamples: int = 99_999, seed: int = 0, needs: int = FEWEST_PAIRS
) -> SignFlip:
    """Fisher's paired permutation test: a[i] and b[i] are the runs of one seed, which has no say in which is whose.

    Two-sided p of the mean difference over all 2^n flips of the pairs' signs up to n = 16 (never below 2 / 2^n), over
    `resamples` random ones above, the observed one counted (Phipson and Smyth 2010). Unequal lengths: ValueError.
    """
    a, b = samples(a, b, needs=max(needs, FEWEST_PAIRS))
    if len(a) != len(b):
        raise ValueError(f"pairs need the same seeds in both samples: {len(a)} and {len(b)} values")
    n, differences = len(a), a - b
    if n <= EXACT:
        signs = 1 - 2 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)  # (2^n, n), every row of ±1 once
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], size=(resamples, n))
        signs = np.vstack([np.ones(n, dtype=int), signs])
    extreme = np.abs(signs @ differences) >= abs(differences.sum()) - n * rounding(a, b)
    correlation = None if np.ptp(a) == 0 or np.ptp(b) == 0 else float(np.corrcoef(a, b)[0, 1])
    return SignFlip(float(differences.mean()), float(extreme.mean()), n <= EXACT, correlation)


def two_level_interval(
    hits_a: np.ndarray, hits_b: np.ndarray, resamples: int = 2000, seed: int = 0, needs: int = FEWEST
) -> Estimate:
    """The difference in accuracy, for other seeds and other test images: a percentile bootstrap over both.

    hits_a (seeds a, images) and hits_b (seeds b, images) say which run was right on which image, the same images in
    both (ValueError). Each resample draws the seeds of each model and one set of images for all.

    Where runs err independently of one another it is too long, such errors counting up to three times (Owen 2007, the
    pigeonhole bootstrap): 99 % covered. Where whole runs are better or worse it is as short as any bootstrap of few
    seeds: 88 % at 5 a model, 92 % at 10, 94 % at 20 (600 draws of 1,000 images each).
    """
    enough(min(len(hits_a), len(hits_b)), max(needs, FEWEST))
    if hits_a.shape[1] != hits_b.shape[1]:
        raise ValueError(f"both need the same images: {hits_a.shape[1]} and {hits_b.shape[1]}")
    draws, (split, images) = np.random.default_rng(seed), hits_a.shape
    hits = np.concatenate([hits_a, hits_b]).astype(np.float32)  # (seeds a + seeds b, images); counts < 2^24 are exact
    right = np.empty((resamples, len(hits)))
    for row in right:
        times = np.bincount(draws.integers(images, size=images), minlength=images)
        row[:] = hits @ times.astype(np.float32)
    distribution = (drawn_mean(right[:, :split], draws) - drawn_mean(right[:, split:], draws)) / images
    return percentile_estimate(float(hits_a.mean() - hits_b.mean()), distribution)


def drawn_mean(values: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """The mean over a resample of the seeds, another in each row: (resamples, seeds) -> (resamples,)."""
    n = values.shape[1]
    times = draws.multinomial(n, np.full(n, 1 / n), size=len(values))  # (resamples, seeds)
    return (times * values).sum(axis=1) / n
