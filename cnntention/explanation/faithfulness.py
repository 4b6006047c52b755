"""Are maps faithful to the network? ROAD (Rong et al. 2022, arXiv 2202.00449) and the parameter-randomization check
(Adebayo et al. 2018, arXiv 1810.03292).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from cnntention.explanation.cam import Sample
from cnntention.explanation.imputation import impute
from cnntention.explanation.ranks import rank_correlation
from cnntention.results.records import Sanity
from cnntention.results.tables import RoadScore
from cnntention.seeding import generator

SHARES = (0.2, 0.4, 0.6, 0.8)  # of the pixels that are removed
ORDERS = ("morf", "lerf")  # most relevant first, least relevant first


# --- ROAD -------------------------------------------------------------------------------------------------------


def removal_order(maps: np.ndarray, seed: int) -> np.ndarray:
    """(N, HW): indices of the pixels from least to most relevant, ties in random order.

    pytorch-grad-cam's ROAD removes the pixels below a percentile. In a rectified map most pixels are 0, so it would
    remove all of those whatever the percentile; ranks remove exactly the given share.
    """
    flat = maps.reshape(len(maps), -1)
    chance = torch.rand(flat.shape, generator=generator(seed, "road/ties")).numpy()
    return np.lexsort((chance, flat), axis=1)


def kept(order: np.ndarray, share: float, which: str, shape: tuple[int, int]) -> np.ndarray:
    """(N, *shape) bool: the pixels that are kept when this share is removed from the "morf" or "lerf" end."""
    count = round(share * order.shape[1])
    gone = order[:, -count:] if which == "morf" else order[:, :count]
    keep = np.ones(order.shape, bool)
    np.put_along_axis(keep, gone, False, axis=1)
    return keep.reshape(-1, *shape)


@torch.no_grad()
def confidence(model: nn.Module, images: Tensor, classes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N,) probability of each image's given class, and whether it is the predicted class."""
    logits = torch.cat([model(part) for part in images.split(128)])
    p = logits.softmax(dim=1).gather(1, classes[:, None]).squeeze(1)
    return p.cpu().numpy(), (logits.argmax(1) == classes).cpu().numpy()


def road(model: nn.Module, chosen: Sample, methods: Mapping[str, np.ndarray], seed: int) -> list[RoadScore]:
    """Confidence in the predicted class when pixels are removed in the order of each method's (N, H, W) maps.

    A row per method, with means over SHARES and images. An empty map is a random order, with an expected road of 0.
    """
    scores, shape = [], (len(ORDERS), len(SHARES), -1)
    for name, maps in methods.items():
        order, row, curves = removal_order(maps, seed), {}, {}
        masks = [kept(order, share, which, maps.shape[1:]) for which in ORDERS for share in SHARES]
        filled = [impute(chosen.images, torch.from_numpy(m).to(chosen.images.device), seed) for m in masks]
        scored = confidence(model, torch.cat(filled), chosen.predicted.repeat(len(filled)))
        for which, p, unchanged in zip(ORDERS, *(part.reshape(shape) for part in scored), strict=True):  # (shares, N)
            row |= {which: p.mean(), f"{which}_unchanged": unchanged.mean()}
            curves[which] = p.mean(axis=0)
        each = (curves["lerf"] - curves["morf"]) / 2
        row |= {"road": each.mean(), "road_se": each.std(ddof=1) / len(each) ** 0.5}
        scores.append(RoadScore(method=name, images=len(chosen.index), **row))
    return scores


# --- randomization ----------------------------------------------------------------------------------------------


def randomization(trained: np.ndarray, untrained: list[np.ndarray], threshold: float) -> Sanity:
    """The parameter-randomization check of (N, H, W) maps: maps that hardly change show the image, not the network.

    `untrained`: maps for the same images and classes by networks with random parameters. `correlation` is Spearman's
    rho, mean over images and networks; the maps are sane if it is below `threshold`, and not if it is undefined.
    """
    rho = np.stack([rank_correlation(trained, maps) for maps in untrained])
    correlation = float(np.nanmean(rho)) if not np.isnan(rho).all() else None
    sane = correlation is not None and correlation < threshold
    return Sanity(draws=len(untrained), images=len(trained), threshold=threshold, correlation=correlation, sane=sane)
