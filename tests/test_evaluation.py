"""Scores against hand-computed values and scikit-learn."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from cnntention.evaluation.metrics import by_distance, calibration_error, evaluate, logistic_slope, top_k, wilson


@pytest.fixture(scope="module")
def predictions():
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 5, 400)
    logits = draws.normal(size=(400, 5)) + 1.5 * np.eye(5)[labels]
    return logits.astype(np.float32), labels


def test_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]]))
    scores = evaluate(logits, np.array([0, 1, 2, 2]), bins=10)
    assert scores["top1"] == 0.75
    assert scores["top2"] == 0.75
    assert scores["nll"] == pytest.approx(-np.log([0.7, 0.6, 0.2, 0.6]).mean())
    assert scores["brier"] == pytest.approx((0.14 + 0.26 + 0.98 + 0.24) / 4)
    # one image a bin but two at 0.6: |1 - .7|, |0 - .5|, |2 - 1.2| over 4 images
    assert scores["ece"] == pytest.approx((0.3 + 0.5 + 0.8) / 4)
    assert scores["class_accuracy"] == [1.0, 1.0, 0.5]
    assert scores["confusion"] == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]


def test_against_scikit_learn(predictions):
    logits, labels = predictions
    scores, p = evaluate(logits, labels, bins=15), softmax(logits.astype(float), axis=1)
    assert scores["top1"] == pytest.approx(sk.accuracy_score(labels, logits.argmax(1)))
    assert scores["top2"] == pytest.approx(sk.top_k_accuracy_score(labels, logits, k=2))
    assert scores["nll"] == pytest.approx(sk.log_loss(labels, p), rel=1e-6)
    assert scores["brier"] == pytest.approx(np.mean([((p[i] - np.eye(5)[y]) ** 2).sum() for i, y in enumerate(labels)]))
    assert scores["confusion"] == sk.confusion_matrix(labels, logits.argmax(1)).tolist()
    np.testing.assert_allclose(scores["class_accuracy"], sk.recall_score(labels, logits.argmax(1), average=None))


def test_the_interval_is_wilsons():
    logits = np.tile([1.0, 0.0], (100, 1))
    labels = np.r_[np.zeros(91, int), np.ones(9, int)]
    low, high = evaluate(logits, labels, bins=5)["top1_interval"]
    z, p, n = 1.959964, 0.91, 100
    centre, half = (p + z**2 / (2 * n)), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (low, high) == pytest.approx(((centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)), abs=1e-6)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 3), (3641, 4000)])
def test_the_interval_is_scipys(hits, n):
    from scipy.stats import binomtest

    expected = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == [expected.low, expected.high]


def test_calibration_error_of_a_calibrated_and_of_an_overconfident_classifier():
    draws = np.random.default_rng(1)
    confidence = draws.uniform(0.2, 1, 200_000)
    assert calibration_error(confidence, draws.uniform(size=200_000) < confidence, 15) < 0.005
    assert calibration_error(np.ones(1000), np.arange(1000) % 2 == 0, 15) == pytest.approx(0.5)


def test_ties_do_not_flatter():
    assert top_k(np.zeros((3, 4)), np.array([0, 1, 3]), 2) == 1.0  # no class is strictly ahead of the label
    assert evaluate(np.zeros((4, 4)), np.arange(4), 5)["top1"] == 0.25


def test_a_class_without_images_has_no_accuracy():
    assert evaluate(np.eye(3)[[0, 1]], np.array([0, 1]), 5)["class_accuracy"] == [1.0, 1.0, None]


def test_accuracy_by_distance():
    hits = np.array([True, True, True, False, False, False])
    found = by_distance(hits, np.array([0, 0, 1, 1, 2, 2]), np.array([9.0, 10, 13, 14, 20, 30]), ["near", "mid", "far"])
    assert found.pop("slope") < 0
    assert found == {"near": 1.0, "mid": 0.5, "far": 0.0}


def test_the_slope_is_that_of_a_logistic_regression():
    draws = np.random.default_rng(1)
    x = draws.uniform(0.8, 3.4, 3000)
    hits = draws.random(3000) < 1 / (1 + np.exp(-(1.0 - 0.7 * x)))
    reference = LogisticRegression(C=1e9, tol=1e-8).fit(x[:, None], hits).coef_[0, 0]
    assert logistic_slope(hits, x) == pytest.approx(reference, rel=1e-3)
    assert logistic_slope(hits, x) == pytest.approx(-0.7, abs=0.15)
    assert logistic_slope(np.ones(5, bool), np.arange(5.0)) is None
