"""Looking at a study more than once: how small p must be at each look, so that all looks together keep alpha."""

import math
from functools import cache

import numpy as np
from scipy import stats

from cnntention.config import Statistics

GRID = 1201  # points of the density between looks; the levels are right to four digits


def pocock(fraction: float, alpha: float) -> float:
    """Of alpha, what is spent at this fraction of the seeds: looks are about equally strict (Lan and DeMets 1983)."""
    return alpha * math.log(1 + (math.e - 1) * fraction)


def obrien_fleming(fraction: float, alpha: float) -> float:
    """The same, strict at first (Lan and DeMets 1983)."""
    return float(4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(fraction)))


SPENDING = {"pocock": pocock, "obrien-fleming": obrien_fleming}


def level(n: int, settings: Statistics) -> float:
    """The p-value below which a test of n seeds decides, if more looks may follow; n is at least that of the first."""
    if settings.sequential is None:
        return settings.alpha
    looks, spending = settings.sequential.looks, settings.sequential.spending
    return levels(looks, settings.alpha, spending)[sum(look <= n for look in looks) - 1]


@cache
def levels(looks: tuple[int, ...], alpha: float, spending: str) -> list[float]:
    """Of two-sided tests at these numbers of seeds, in ascending order, the p-values below which each decides.

    The standardised sums at the looks are a random walk; its density inside the bounds goes from look to look by
    numerical integration (Armitage, McPherson and Rowe 1969). A t test has the same nominal p-values.
    """
    fractions = [look / looks[-1] for look in looks]
    found, spent, before = [], 0.0, 0.0
    points, mass = np.zeros(1), np.ones(1)  # of the walk that has not crossed a bound
    for fraction in fractions:
        step, edge = math.sqrt(fraction - before), 8 * math.sqrt(fraction)
        budget = SPENDING[spending](fraction, alpha) - spent
        grid = np.linspace(-edge, edge, GRID)
        width = grid[1] - grid[0]
        density = stats.norm.pdf((grid[:, None] - points) / step) @ mass / step
        # what lies beyond each point of the upper half, on both sides: from the outside in
        beyond = 2 * np.cumsum(density[: GRID // 2 : -1])[::-1] * width
        bound = float(np.interp(budget, beyond[::-1], grid[: GRID // 2 : -1] - width / 2))
        found.append(float(2 * stats.norm.sf(bound / math.sqrt(fraction))))
        inside = np.abs(grid) < bound
        points, mass = grid[inside], density[inside] * width
        spent, before = spent + budget, fraction
    return found
