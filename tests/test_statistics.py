"""Comparisons over seeds against closed forms, other implementations, worked examples and simulated nulls."""

import gc
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats
from scipy.stats import norm
from statsmodels.stats.power import TTestIndPower

from cnntention.evaluation import resampling as boot
from cnntention.evaluation import statistics as st

A = np.array([0.912, 0.915, 0.909, 0.917, 0.911, 0.914])
B = np.array([0.908, 0.913, 0.910, 0.905, 0.909, 0.911])
HITS = np.random.default_rng(0).random((2, 4, 50)) < 0.8  # two models, 4 seeds, 50 images

# name: a call on samples of n values, and the fewest that it takes
CALLS = {
    "welch": (lambda n, **k: st.welch(A[:n], B[:n], **k), 3),
    "difference_in_differences": (lambda n, **k: st.difference_in_differences(A[:n], B, B, A, **k), 3),
    "equivalence": (lambda n, **k: st.equivalence(A[:n], B, 0.01, **k), 3),
    "minimum_detectable_effect": (lambda n, **k: st.minimum_detectable_effect(0.2, n, 0.2, 6, **k), 3),
    "bca_interval": (lambda n, **k: boot.bca_interval(A, B[:n], **k), 3),
    "probability_of_improvement": (lambda n, **k: boot.probability_of_improvement(A[:n], B, **k), 3),
    "two_level_interval": (lambda n, **k: boot.two_level_interval(HITS[0][:n], HITS[1], **k), 3),
    "sign_flip": (lambda n, **k: boot.sign_flip(A[:n], B[:n], **k), 6),
}


def share(passed, repeats):
    """How often passed(), a draw and its judgement, is true."""
    return sum(passed() for _ in range(repeats)) / repeats


def inside(interval, value):
    return interval[0] <= value <= interval[1]


# ---------------------------------------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("name", CALLS)
def test_too_few_seeds_are_said(name):
    call, fewest = CALLS[name]
    call(fewest if name != "two_level_interval" else 4)
    with pytest.raises(st.NotEnoughSeeds) as caught:
        call(2)
    assert str(caught.value) == f"not enough seeds (n = 2, needs {fewest})"
    assert (caught.value.n, caught.value.needs) == (2, fewest)
    with pytest.raises(st.NotEnoughSeeds):
        call(fewest - 1, needs=2)  # the bar goes up, never down
    with pytest.raises(st.NotEnoughSeeds, match=r"needs 10\)"):
        call(6, needs=10)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "minimum_detectable_effect"])
def test_results_are_plain_numbers(name):
    result = asdict(CALLS[name][0](6))
    numbers = [x for value in result.values() for x in (value if isinstance(value, tuple) else [value])]
    assert {type(x) for x in numbers} <= {float, bool, str}
    assert None not in numbers
    assert json.loads(json.dumps(result)) == {k: list(v) if isinstance(v, tuple) else v for k, v in result.items()}


def test_a_diverged_run_is_not_averaged():
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="not finite"):
            st.welch([0.9, 0.91, value], [0.9, 0.91, 0.92])


def test_draws_follow_the_seed():
    for call in (boot.bca_interval, boot.probability_of_improvement):
        assert call(A, B, seed=1) == call(A, B, seed=1)
    assert boot.bca_interval(A, B, seed=1) != boot.bca_interval(A, B, seed=2)
    assert boot.two_level_interval(*HITS, seed=1) == boot.two_level_interval(*HITS, seed=1)
    assert boot.two_level_interval(*HITS, seed=1) != boot.two_level_interval(*HITS, seed=2)


# ------------------------------------------------------------------------------------------------------- Welch's t-test


def test_welch_by_hand_and_by_scipy():
    a, b = [1, 2, 3, 4, 5], [2, 4, 6]  # means 3 and 4, variances 2.5 and 4, squared errors 1/2 and 4/3
    result, error = st.welch(a, b), math.sqrt(11 / 6)
    df = (11 / 6) ** 2 / ((1 / 2) ** 2 / 4 + (4 / 3) ** 2 / 2)
    half = stats.t.ppf(0.975, df) * error
    assert (result.difference, result.t, result.df) == pytest.approx((-1, -1 / error, df))
    assert result.interval == pytest.approx((-1 - half, -1 + half))
    ours, scipys = st.welch(A, B[:4]), stats.ttest_ind(A, B[:4], equal_var=False)
    assert (ours.t, ours.df, ours.p) == pytest.approx((scipys.statistic, scipys.df, scipys.pvalue))
    assert ours.interval == pytest.approx(tuple(scipys.confidence_interval(0.95)))


def test_welch_without_spread():
    same = st.welch([0.1] * 3, [0.1] * 7)
    assert (same.t, same.df, same.p, same.interval) == (None, None, 1.0, None)
    other = st.welch([0.9] * 4, [0.8] * 4)
    assert other.difference == pytest.approx(0.1)
    assert (other.t, other.df, other.p, other.interval) == (None, None, None, None)
    assert "no spread" in same.note
    assert "no spread" in other.note
    assert st.welch(A, A).p == 1.0
    assert st.welch(A, A).note == ""


@pytest.mark.filterwarnings("error")
def test_one_model_without_spread_is_a_one_sample_test():
    result, one = st.welch(A, [0.9] * 5), stats.ttest_1samp(A, 0.9)
    assert (result.t, result.df, result.p) == pytest.approx((one.statistic, 5, one.pvalue))
    assert inside(boot.bca_interval(A, [0.9] * 5).interval, A.mean() - 0.9)


@pytest.mark.parametrize(("n_b", "sd_b"), [(5, 1.0), (5, 3.0), (15, 2.0)])
def test_welch_keeps_its_level_and_its_interval_covers(n_b, sd_b):
    draws = np.random.default_rng(10)
    tests = [st.welch(draws.normal(size=5) + 0.5, draws.normal(size=n_b) * sd_b + 0.5) for _ in range(5000)]
    assert 0.04 <= np.mean([test.p < 0.05 for test in tests]) <= 0.06
    assert 0.93 <= np.mean([inside(test.interval, 0) for test in tests]) <= 0.97


# -------------------------------------------------------------------------------------------- difference in differences


def test_difference_in_differences_by_hand():
    # means 3, 4, 2, 1: (3 - 4) - (2 - 1) = -2; squared errors 5/2/5, 4/3, 1/3, 1/3 sum to 2.5
    result = st.difference_in_differences([1, 2, 3, 4, 5], [2, 4, 6], [1, 2, 3], [0, 1, 2])
    df = 2.5**2 / (0.5**2 / 4 + (4 / 3) ** 2 / 2 + 2 * (1 / 3) ** 2 / 2)
    half = stats.t.ppf(0.975, df) * math.sqrt(2.5)
    assert (result.difference, result.t, result.df) == pytest.approx((-2, -2 / math.sqrt(2.5), df))
    assert result.p == pytest.approx(2 * stats.t.cdf(-2 / math.sqrt(2.5), df))
    assert result.interval == pytest.approx((-2 - half, -2 + half))


def test_difference_in_differences_from_a_known_effect_is_welch():
    ours, welch = st.difference_in_differences(A, B, [0.5] * 3, [0.4] * 3), st.welch(A - 0.1, B)
    assert (ours.difference, ours.t, ours.df, ours.p) == pytest.approx((welch.difference, welch.t, welch.df, welch.p))
    assert ours.interval == pytest.approx(welch.interval)


def test_difference_in_differences_without_spread():
    same = st.difference_in_differences([0.9] * 3, [0.8] * 3, [0.2] * 3, [0.1] * 3)  # not 0 in floats
    assert (same.t, same.p, same.interval) == (None, 1.0, None)
    other = st.difference_in_differences([0.9] * 3, [0.8] * 3, [0.3] * 3, [0.1] * 3)
    assert (other.t, other.p, other.interval) == (None, None, None)
    assert "no spread" in other.note


def test_difference_in_differences_keeps_its_level_and_covers():
    draws, spread = np.random.default_rng(11), (1, 3, 0.5, 2)
    tests = [
        st.difference_in_differences(*(draws.normal(m, sd, 6) for m, sd in zip((3, 2, 5, 4), spread, strict=True)))
        for _ in range(5000)
    ]
    assert 0.04 <= np.mean([test.p < 0.05 for test in tests]) <= 0.06
    assert 0.93 <= np.mean([inside(test.interval, 0) for test in tests]) <= 0.97


# ---------------------------------------------------------------------------------------------------------- equivalence


def test_equivalence_is_the_larger_of_two_one_sided_tests():
    result = st.equivalence(A, B, 0.006)
    above = stats.ttest_ind(A + 0.006, B, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(A - 0.006, B, equal_var=False, alternative="less").pvalue
    assert result.p == pytest.approx(max(above, below))
    low, high = stats.ttest_ind(A, B, equal_var=False).confidence_interval(0.90)
    assert result.interval == pytest.approx((low, high))


@pytest.mark.parametrize("alpha", [0.01, 0.05])
def test_equivalent_is_an_interval_inside_the_margin(alpha):
    edge = max(map(abs, st.equivalence(A, B, 1, alpha).interval))
    assert st.equivalence(A, B, edge * 1.001, alpha).equivalent
    assert not st.equivalence(A, B, edge * 0.999, alpha).equivalent
    assert st.equivalence(A, B, edge, alpha).p == pytest.approx(alpha)


def test_equivalence_without_spread_is_not_shown():
    for b in (0.9, 0.8):
        result = st.equivalence([0.9] * 3, [b] * 3, 0.2)
        assert (result.p, result.interval, result.equivalent) == (None, None, False)
        assert "no spread" in result.note
    assert st.equivalence(A, A, 0.01).equivalent


def test_equivalence_keeps_its_level_at_the_margin():
    draws = np.random.default_rng(12)
    level = share(lambda: st.equivalence(draws.normal(0.3, 0.2, 10), draws.normal(0, 0.1, 15), 0.3).equivalent, 5000)
    assert 0.04 <= level <= 0.06


# ----------------------------------------------------------------------------------------------------------------- Holm


@pytest.mark.parametrize("n", [3, 4, 6])
def test_boschloo_keeps_its_level_whatever_the_chance_of_a_success(n):
    """Exactly, by enumeration: at no common chance do more than 5 % of all outcomes have p below .05."""
    p = np.array([[st.boschloo([1] * i + [0] * (n - i), [1] * j + [0] * (n - j)) for j in range(n + 1)]
                  for i in range(n + 1)])  # fmt: skip
    np.testing.assert_allclose(p, p.T)
    assert p[0, n] == pytest.approx(2 ** (1 - 2 * n), rel=1e-3)
    for chance in np.linspace(0, 1, 101):
        mass = stats.binom.pmf(np.arange(n + 1), n, chance)
        assert (np.outer(mass, mass) * (p < 0.05)).sum() <= 0.05 + 1e-9


def test_holm_by_hand():
    assert st.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])  # 3 × .01, then 2 × .03, then no less
    assert st.holm([0.9, 0.6]) == [1.0, 1.0]
    assert st.holm([]) == []


def test_holm_leaves_out_what_was_not_tested():
    assert st.holm([0.01, None, 0.04, math.nan]) == [pytest.approx(0.02), None, pytest.approx(0.04), None]
    assert st.holm([None, math.nan]) == [None, None]


def test_holm_keeps_the_family_wise_error(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels calls it each time: 0.05 s
    draws = np.random.default_rng(13)

    def any_rejected():  # three models against one baseline, none better
        baseline, *models = draws.normal(size=(4, 10))
        return min(st.holm([st.welch(model, baseline).p for model in models])) < 0.05

    assert 0.03 <= share(any_rejected, 4000) <= 0.06


# ---------------------------------------------------------------------------------------------------------------- power


@pytest.mark.parametrize("comparisons", [1, 3])
@pytest.mark.parametrize(("sd", "n"), [(0.2, 3), (0.2, 10), (1.5, 30)])
def test_detectable_effect_of_equal_models_is_statsmodels(sd, n, comparisons):
    ours = st.minimum_detectable_effect(sd, n, sd, n, alpha=0.05 / comparisons)
    assert TTestIndPower().power(ours / sd, n, 0.05 / comparisons) == pytest.approx(0.8, abs=1e-5)


@pytest.mark.parametrize(
    ("sd", "comparisons", "percent"),  # for 3, 5, 8, 10, 15, 20 and 30 seeds, rounded up
    [
        (20, 1, [62, 41, 31, 27, 22, 19, 15]),
        (20, 3, [84, 51, 37, 32, 25, 22, 18]),
        (25, 1, [77, 51, 38, 34, 27, 23, 19]),
    ],
)
def test_detectable_effects_table(sd, comparisons, percent):
    effects = [st.minimum_detectable_effect(sd, n, sd, n, 0.05 / comparisons) for n in (3, 5, 8, 10, 15, 20, 30)]
    assert [math.ceil(effect) for effect in effects] == percent


def test_welch_sees_the_detectable_effect_as_often_as_said():
    draws = np.random.default_rng(14)
    effect = st.minimum_detectable_effect(0.3, 6, 0.1, 12, power=0.7)
    seen = share(lambda: st.welch(draws.normal(effect, 0.3, 6), draws.normal(0, 0.1, 12)).p < 0.05, 4000)
    assert seen == pytest.approx(0.7, abs=0.025)


@pytest.mark.parametrize(
    ("sd", "comparisons", "seeds"),  # for differences of 0.2, 0.3, 0.5 and 1
    [
        (0.15, 1, [10, 6, 3, 2]),
        (0.20, 1, [17, 9, 4, 3]),
        (0.20, 3, [23, 11, 6, 3]),
        (0.20, 6, [27, 13, 6, 4]),
        (0.25, 1, [26, 12, 6, 3]),
        (0.25, 3, [35, 17, 7, 4]),
        (0.30, 3, [49, 23, 10, 4]),
    ],
)
def test_seeds_needed_table(sd, comparisons, seeds):
    assert [st.seeds_needed(sd, difference, 0.05 / comparisons) for difference in (0.2, 0.3, 0.5, 1)] == seeds
    powers = [
        TTestIndPower().power(d / sd, n, 0.05 / comparisons) for d, n in zip((0.2, 0.3, 0.5), seeds, strict=False)
    ]
    assert min(powers) >= 0.8


def test_seeds_needed_is_the_inverse():
    for n in (5, 17, 400):
        effect = st.minimum_detectable_effect(0.2, n, 0.2, n)
        assert st.seeds_needed(0.2, effect * 1.0001) == n
        assert st.seeds_needed(0.2, effect * 0.9999) == n + 1
        assert st.seeds_needed(0.2, -effect * 1.0001) == n


def test_no_spread_has_no_power():
    assert st.minimum_detectable_effect(0.0, 5, 0.0, 5) is None
    assert st.minimum_detectable_effect(0.0, 5, 0.2, 5) > 0
    assert st.seeds_needed(0.0, 0.3) is None
    assert st.seeds_needed(0.2, 0.0) is None


# ------------------------------------------------------------------------------------------------------------ bootstrap


def test_bca_by_the_books_formula():
    a, b = A, np.array([0.90, 0.93, 0.905, 0.90])  # skewed: BCa is not the percentile interval
    ours, draws = boot.bca_interval(a, b, resamples=200_000), np.random.default_rng(99)
    theta = a.mean() - b.mean()
    resampled = draws.choice(a, (200_000, len(a))).mean(1) - draws.choice(b, (200_000, len(b))).mean(1)
    z0 = norm.ppf((np.mean(resampled < theta - 1e-12) + np.mean(resampled <= theta + 1e-12)) / 2)
    # each run's influence on the difference of means (Efron and Tibshirani 1993, 14.3, for two samples)
    influence = np.concatenate([(a - a.mean()) / len(a), -(b - b.mean()) / len(b)])
    acceleration = np.sum(influence**3) / (6 * np.sum(influence**2) ** 1.5)
    z = z0 + norm.ppf([0.025, 0.975])
    expected = np.quantile(resampled, norm.cdf(z0 + z / (1 - acceleration * z)))
    assert ours.value == pytest.approx(theta)
    assert ours.interval == pytest.approx(expected, abs=2e-4)
    assert abs(ours.interval[0] - np.quantile(resampled, 0.025)) > 5e-4


def test_bca_without_spread():
    result = boot.bca_interval([0.9] * 3, [0.8] * 4)
    assert result.value == pytest.approx(0.1)
    assert result.interval is None
    assert "same value" in result.note
    same = boot.bca_interval(A, A)
    assert same.value == 0
    assert same.interval[0] < 0 < same.interval[1]


def test_bca_covers():
    draws = np.random.default_rng(15)

    def covers():
        a, b = draws.normal(1, 1, 30), draws.normal(0, 1, 30)
        return inside(boot.bca_interval(a, b, resamples=999, seed=int(draws.integers(2**32))).interval, 1)

    assert 0.93 <= share(covers, 2000) <= 0.97


# ------------------------------------------------------------------------------------------- probability of improvement


def test_probability_of_improvement_is_mann_whitneys_u():
    assert boot.probability_of_improvement([1, 2, 3], [0, 2, 5]).value == pytest.approx((1 + 1.5 + 2) / 9)
    expected = stats.mannwhitneyu(A, B[:4]).statistic / 24
    assert boot.probability_of_improvement(A, B[:4]).value == pytest.approx(expected)
    assert boot.probability_of_improvement(B[:4], A).value == pytest.approx(1 - expected)


@pytest.mark.parametrize(("difference", "expected"), [(0.1, 0.64), (0.2, 0.76), (0.3, 0.86), (0.5, 0.96)])
def test_probability_of_improvement_of_normal_runs(difference, expected):
    grid = 0.2 * norm.ppf((np.arange(200) + 0.5) / 200)  # sd 0.2
    value = float(boot.superiority(grid + difference, grid))
    assert value == pytest.approx(norm.cdf(difference / 0.2 / math.sqrt(2)), abs=0.004)
    assert value == pytest.approx(expected, abs=0.006)


def test_samples_that_do_not_overlap_have_no_interval():
    for a, b, value in ([[2, 3, 4], [0, 1, 1], 1.0], [[0, 1, 1], [2, 3, 4], 0.0], [[1, 1, 1], [1, 1, 1], 0.5]):
        result = boot.probability_of_improvement(a, b)
        assert (result.value, result.interval) == (value, None)
        assert "same value" in result.note
    assert inside(boot.probability_of_improvement(A, A).interval, 0.5)


def test_probability_of_improvement_covers():
    draws, shift = np.random.default_rng(16), norm.ppf(0.75) * math.sqrt(2)

    def covers():
        a, b = draws.normal(shift, 1, 20), draws.normal(0, 1, 20)
        return inside(boot.probability_of_improvement(a, b, 999, seed=int(draws.integers(2**32))).interval, 0.75)

    assert 0.93 <= share(covers, 1500) <= 0.97


# ----------------------------------------------------------------------------------------------------------- sign flips


def test_sign_flip_is_scipys_permutation_test():
    draws = np.random.default_rng(17)
    for n in (6, 9, 12):
        a, b = draws.normal(size=(2, n))
        ours = boot.sign_flip(a, b)
        test = stats.permutation_test((a, b), boot.mean_difference, permutation_type="samples", n_resamples=2**n)
        assert ours.p == pytest.approx(test.pvalue)
        assert ours.exact
        assert ours.difference == pytest.approx(np.mean(a - b))
        assert ours.correlation == pytest.approx(stats.pearsonr(a, b).statistic)


def test_six_pairs_all_one_way_is_the_least():
    assert boot.sign_flip(np.arange(6) + 1, np.zeros(6)).p == 2 / 64


def test_sign_flip_counts_ties_of_rounded_shares():
    draws = np.random.default_rng(18)
    for _ in range(50):
        a, b = draws.integers(9100, 9110, size=(2, 8))  # right images of 10,000: whole numbers tie exactly
        assert boot.sign_flip(a / 10_000, b / 10_000).p == boot.sign_flip(a, b).p


def test_sampled_flips_come_close_to_all():
    a, b = np.random.default_rng(19).normal(size=(2, 17)) + np.array([[0.4], [0]])
    sampled = boot.sign_flip(a, b)
    d = a - b
    sums = np.array([0.0])
    for x in d:
        sums = np.concatenate([sums + x, sums - x])  # all 2^17
    assert sampled.p == pytest.approx(np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9), abs=0.005)
    assert not sampled.exact
    assert boot.sign_flip(np.arange(40) + 1, np.zeros(40), resamples=999).p == pytest.approx(1 / 1000)


def test_sign_flip_of_identical_constant_and_unpaired_samples():
    same = boot.sign_flip(A, A)
    assert (same.p, same.difference, same.correlation) == (1.0, 0.0, pytest.approx(1.0))
    steady = boot.sign_flip([0.9] * 6, [0.8] * 6)
    assert (steady.p, steady.correlation) == (2 / 64, None)
    with pytest.raises(ValueError, match="same seeds"):
        boot.sign_flip(np.arange(7), A)


def test_sign_flip_keeps_its_level():
    draws = np.random.default_rng(20)

    def rejected():  # pairs that correlate, of unequal spread
        common = draws.normal(size=8)
        return boot.sign_flip(common + draws.normal(size=8), common + 2 * draws.normal(size=8)).p < 0.05

    assert 0.04 <= share(rejected, 5000) <= 0.06  # 6 / 128 = 0.047: p comes in steps


# ------------------------------------------------------------------------------------------------------- seeds × images


def crossed_hits(draws, seeds, images, means):
    """Hits of two models from a latent score: image difficulty, its model-specific part, the run's luck, and noise."""
    difficulty = draws.normal(size=images)
    return [
        mean + difficulty + 0.3 * draws.normal(size=images) + 0.05 * draws.normal(size=(seeds, 1))
        + 0.3 * draws.normal(size=(seeds, images)) > 0
        for mean in means
    ]  # fmt: skip


def test_two_level_spread_is_its_closed_form():
    """Counts of resampled units have covariance I - 1/n; seeds and images are drawn independently of each other."""
    draws = np.random.default_rng(21)
    hits = crossed_hits(draws, 6, 400, (1.5, 1.0))
    hits[1] = hits[1][:5]
    x = np.concatenate([hits[0] / hits[0].size, hits[1] / -hits[1].size])  # the difference is the sum of all
    seeds = np.zeros((11, 11))
    seeds[:6, :6], seeds[6:, 6:] = np.eye(6) - 1 / 6, np.eye(5) - 1 / 5
    images = np.eye(400) - 1 / 400
    by_seed, by_image = x.sum(1), x.sum(0)
    variance = by_seed @ seeds @ by_seed + by_image @ images @ by_image + np.trace(seeds @ x @ images @ x.T)
    result = boot.two_level_interval(*hits, resamples=20_000)
    assert result.value == pytest.approx(x.sum())
    assert result.interval[1] - result.interval[0] == pytest.approx(2 * 1.96 * math.sqrt(variance), rel=0.03)


def test_two_level_degenerate_inputs():
    runs = np.tile(HITS[0, 0], (3, 1))  # one image sample for both: two models with the same hits never differ
    for a, b in ((runs, runs), (np.ones((3, 50), bool), np.zeros((4, 50), bool))):
        result = boot.two_level_interval(a, b)
        assert result.value == a.mean() - b.mean()
        assert result.interval is None
        assert "same value" in result.note
    with pytest.raises(ValueError, match="same images"):
        boot.two_level_interval(HITS[0], HITS[1][:, :40])


def test_two_level_interval_covers():
    draws, sd = np.random.default_rng(22), math.sqrt(1 + 0.3**2 + 0.05**2 + 0.3**2)
    truth = norm.cdf(2.0 / sd) - norm.cdf(1.8 / sd)

    def covers():
        hits = crossed_hits(draws, 10, 500, (2.0, 1.8))
        return inside(boot.two_level_interval(*hits, resamples=400, seed=int(draws.integers(2**32))).interval, truth)

    assert 0.93 <= share(covers, 500) <= 0.99
