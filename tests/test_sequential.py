"""Looks at a growing study keep alpha: against published bounds, and by simulation with the t tests that are used."""

import numpy as np
import pytest
from scipy import stats

from cnntention.judging.sequential import levels

LOOKS = (3, 6, 10, 15, 20)


@pytest.mark.parametrize(
    ("spending", "bounds"),  # five equal looks, two-sided 5 %: as in the documentation of R's ldbounds and gsDesign
    [
        ("pocock", [2.438, 2.427, 2.410, 2.397, 2.386]),
        ("obrien-fleming", [4.877, 3.357, 2.680, 2.290, 2.031]),
    ],
)
def test_the_bounds_are_the_published_ones(spending, bounds):
    found = stats.norm.isf(np.array(levels((1, 2, 3, 4, 5), 0.05, spending)) / 2)
    assert found == pytest.approx(bounds, abs=0.004)


def test_a_single_look_spends_all():
    assert levels((20,), 0.05, "pocock") == pytest.approx([0.05], rel=1e-3)


@pytest.mark.parametrize("spending", ["pocock", "obrien-fleming"])
@pytest.mark.parametrize("paired", [True, False])
def test_false_alarms_of_five_thousand_studies_without_an_effect(paired, spending):
    nominal, rng = levels(LOOKS, 0.05, spending), np.random.default_rng(1)
    a, b = rng.standard_normal((2, 5000, LOOKS[-1]))
    alarm = np.zeros(5000, bool)
    for n, level in zip(LOOKS, nominal, strict=True):
        test = stats.ttest_rel if paired else stats.ttest_ind
        p = test(a[:, :n], b[:, :n], axis=1, **({} if paired else {"equal_var": False})).pvalue
        alarm |= p < level
    assert alarm.mean() <= 0.05 + 3 * (0.05 * 0.95 / 5000) ** 0.5
    assert alarm.mean() >= 0.03  # nor is alpha wasted
