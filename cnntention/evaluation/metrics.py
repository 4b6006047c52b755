"""Scores of a classifier from its logits. numpy only; natural logarithms; shares, not percent."""

import numpy as np

Z = 1.959963984540054  # 97.5 % quantile of the normal distribution


def evaluate(logits: np.ndarray, labels: np.ndarray, bins: int) -> dict:
    """All scores of (N, classes) logits against (N,) labels.

    top1 with its 95 % Wilson interval (sampling of test images only, not the spread over seeds), top2, nll (mean
    negative log-likelihood), brier (sum over classes, 0 to 2), ece, accuracy per class, and the confusion matrix
    (row = label, column = prediction).
    """
    classes = logits.shape[1]
    log_p = log_softmax(logits.astype(np.float64))
    p = np.exp(log_p)
    predicted = logits.argmax(axis=1)
    hits = predicted == labels
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    one_hot = np.eye(classes)[labels]
    return {
        "images": len(labels),
        "top1": float(hits.mean()),
        "top1_interval": wilson(int(hits.sum()), len(hits)),
        "top2": top_k(logits, labels, 2),
        "nll": float(-log_p[np.arange(len(labels)), labels].mean()),
        "brier": float(((p - one_hot) ** 2).sum(axis=1).mean()),
        "ece": calibration_error(p.max(axis=1), hits, bins),
        "class_accuracy": [float(row[i] / row.sum()) if row.sum() else None for i, row in enumerate(confusion)],
        "confusion": confusion.tolist(),
    }


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax of float64 (N, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def wilson(hits: int, n: int) -> list[float]:
    """The 95 % score interval of a proportion (Wilson 1927), in Newcombe's form (1998), as in scipy."""
    p = hits / n
    scale = 2 * (n + Z**2)
    centre, half = (2 * n * p + Z**2) / scale, Z / scale * (4 * n * p * (1 - p) + Z**2) ** 0.5
    return [centre - half if hits else 0.0, centre + half if hits < n else 1.0]


def by_distance(hits: np.ndarray, bins: np.ndarray, distances: np.ndarray, names: list[str]) -> dict:
    """Accuracy by the distance of cue and match: {name: accuracy, …, "slope"}.

    hits (N,) bool, bins (N,) index into `names`, distances (N,) px.

    slope: change of the log odds of a hit per 10 px, by logistic regression; None if all images are hits, or none is.
    A network that cannot relate the two places has a slope near 0; one that relates only near places a negative one.
    """
    accuracy = {name: float(hits[bins == i].mean()) if (bins == i).any() else None for i, name in enumerate(names)}
    return accuracy | {"slope": logistic_slope(hits, distances / 10)}


def logistic_slope(hits: np.ndarray, x: np.ndarray) -> float | None:
    """Slope b of logit P(hit) = a + b x by maximum likelihood; None if all are hits, or none is."""
    if hits.all() or not hits.any():
        return None
    from scipy.optimize import minimize  # 0.5 s to import, and only needed for CueMatch
    from scipy.special import expit

    centred, y = x - x.mean(), hits.astype(float)

    def loss(ab: np.ndarray) -> tuple[float, np.ndarray]:
        z = ab[0] + ab[1] * centred
        residual = expit(z) - y
        return float((np.logaddexp(0, z) - y * z).mean()), np.array([residual.mean(), (residual * centred).mean()])

    fit = minimize(loss, np.zeros(2), jac=True, method="BFGS")
    return float(fit.x[1])


def top_k(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """Share of images for which fewer than k classes have a larger logit than the label."""
    of_label = np.take_along_axis(logits, labels[:, None], axis=1)
    return float(((logits > of_label).sum(axis=1) < k).mean())


def calibration_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Expected calibration error (Guo et al. 2017, eq. 3): mean |accuracy - confidence| over equal-width bins."""
    index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(index, weights=hits.astype(float) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(hits))
