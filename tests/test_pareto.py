"""Who is on the front of accuracy and cost: by hand, against a plain reimplementation, and in simulated studies."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cnntention.config import Statistics
from cnntention.evaluation import pareto as fronts
from cnntention.evaluation.pareto import interval, pareto

SETTINGS = Statistics(min_seeds=3)


def front(accuracy, cost) -> dict[str, str]:
    return fronts.front(accuracy, cost, SETTINGS)


def around(mean: float, half: float = 0.001) -> list[float]:
    """Three seeds; two such means differ surely if they lie 2.78 sd sqrt(2 / 3) = 2.27 half apart."""
    return [mean - half, mean, mean + half]


def test_front_by_hand():
    accuracy = {
        "cheap": around(0.90),
        "equal": around(0.901),  # dearer, and the seeds do not tell it from cheap
        "worse": around(0.89),
        "best": around(0.93),
        "dear": around(0.931),  # the dearest, not surely above best
    }
    cost = {"cheap": 1.0, "equal": 2.0, "worse": 2.0, "best": 3.0, "dear": 4.0}
    expected = {"cheap": "yes", "equal": "possibly", "worse": "no", "best": "yes", "dear": "possibly"}
    assert front(accuracy, cost) == expected


def test_the_interval_that_decides_is_welchs():
    rng = np.random.default_rng(0)
    for _ in range(200):
        a, b = rng.normal(0, 1, 3 + rng.integers(5)), rng.normal(1, 2, 3 + rng.integers(5))
        own = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        expected = "no" if own.low > 0 else "yes" if own.high < 0 else "possibly"
        assert front({"a": a, "b": b}, {"a": 1, "b": 2}) == {"a": "yes", "b": expected}


def test_at_equal_cost_the_more_accurate_dominates():
    assert front({"a": around(0.9), "b": around(0.8)}, {"a": 5, "b": 5}) == {"a": "yes", "b": "no"}
    assert front({"a": around(0.9), "b": around(0.9005)}, {"a": 5, "b": 5}) == {"a": "possibly", "b": "possibly"}


def test_many_rivals_raise_the_bar():
    """p of one pair: 0.019 by Welch's t at 4 degrees of freedom; of three alike, Holm makes it 0.057."""
    rival = around(0.9 + 3.8 * (2 / 3) ** 0.5 * 0.001)
    assert front({"a": around(0.9), "b": rival}, {"a": 2, "b": 1})["a"] == "no"
    many = {"a": around(0.9), "b": rival, "c": rival, "d": rival}
    assert front(many, dict.fromkeys(many, 1))["a"] == "possibly"


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_decide_nothing_but_who_is_cheapest(seeds):
    accuracy = {"a": [0.9, 0.9001][:seeds], "b": [0.1, 0.1001][:seeds]}
    assert front(accuracy, {"a": 1, "b": 2}) == {"a": "yes", "b": "possibly"}
    assert np.isnan(interval(accuracy["a"])).all()


def test_seeds_without_spread_have_no_interval():
    assert np.isnan(interval([1.0, 1.0, 1.0])).all()
    assert front({"a": [1.0] * 3, "b": [0.3] * 3}, {"a": 1, "b": 2}) == {"a": "yes", "b": "possibly"}


def test_interval_of_the_mean():
    # sd 1, t(0.975, 2) = 4.30265
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-5)


def test_equal_models_are_seldom_called_dominated():
    """Under no difference the dearer is called surely worse at 2.5 %, and surely better at 2.5 %, of the time."""
    rng = np.random.default_rng(1)
    called = [front({"a": rng.normal(size=5), "b": rng.normal(size=5)}, {"a": 1, "b": 2})["b"] for _ in range(2000)]
    # two-sided, so half of the 5 %
    assert stats.binomtest(called.count("no"), 2000, 0.025).pvalue > 0.001
    assert stats.binomtest(called.count("yes"), 2000, 0.025).pvalue > 0.001


@pytest.fixture
def table() -> pd.DataFrame:
    runs = [
        {"dataset": d, "recipe": r, "model": m, "seed": seed, "test_accuracy": value}
        for d in ("cifar10", "mnist")
        for r in ("long", "short")
        for m, mean in (("plain", 0.90), ("looking", 0.92 if d == "cifar10" else 0.88))
        for seed, value in enumerate(around(mean + 0.01 * (r == "long")))
    ]
    # looking has more MACs, and on MNIST it was the quicker one
    cost = [
        {"dataset": d, "model": m, "macs": macs, "training_step_ms": ms, "latency_ms": ms / 10}
        for d in ("cifar10", "mnist")
        for m, macs, ms in (("looking", 80, 300.0 if d == "cifar10" else 100.0), ("plain", 40, 200.0))
    ]
    return pareto(pd.DataFrame(runs), pd.DataFrame(cost), SETTINGS)


def test_table(table):
    columns = "dataset recipe model mean low high macs training_step_ms latency_ms front_macs front_time"
    assert list(table) == columns.split()
    assert list(table[["dataset", "recipe", "model"]].itertuples(index=False, name=None)) == [
        (d, r, m) for d in ("cifar10", "mnist") for r in ("long", "short") for m in ("plain", "looking")
    ]
    row = table.iloc[5]  # mnist, long, looking
    half = 4.30265 * 0.001 / 3**0.5
    assert row[["mean", "low", "high"]].tolist() == pytest.approx([0.89, 0.89 - half, 0.89 + half], abs=1e-7)
    assert row[["macs", "training_step_ms", "latency_ms"]].tolist() == [80, 100.0, 10.0]


def test_each_dataset_and_recipe_and_cost_has_its_own_front(table):
    by = table.set_index(["dataset", "recipe", "model"])
    for recipe in ("long", "short"):
        assert by.loc[("cifar10", recipe, "plain"), ["front_macs", "front_time"]].tolist() == ["yes", "yes"]
        assert by.loc[("cifar10", recipe, "looking"), ["front_macs", "front_time"]].tolist() == ["yes", "yes"]
        assert by.loc[("mnist", recipe, "plain"), ["front_macs", "front_time"]].tolist() == ["yes", "yes"]
        assert by.loc[("mnist", recipe, "looking"), ["front_macs", "front_time"]].tolist() == ["no", "yes"]


def test_it_needs_no_torch():
    code = "import sys, cnntention.evaluation.pareto; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
