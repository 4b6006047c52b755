"""Do maps say what the network uses? ROAD (Rong et al. 2022, arXiv 2202.00449) and randomization (Adebayo et al. 2018,
arXiv 1810.03292).
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

SHARES = (0.2, 0.4, 0.6, 0.8)  # of the pixels, removed
ORDERS = ("morf", "lerf")  # most, least relevant first


# --- ROAD -------------------------------------------------------------------------------------------------------


def removal_order(maps: np.ndarray, seed: int) -> np.ndarray:
    """(N, HW): the pixels' numbers from least to most relevant, equal ones in a random order.

    pytorch-grad-cam's own ROAD removes all pixels below a percentile. Of a rectified map, where most are 0, that is all
    of them, whatever the percentile; ranks remove exactly what is asked for.
    """
    flat = maps.reshape(len(maps), -1)
    chance = torch.rand(flat.shape, generator=generator(seed, "road/ties")).numpy()
    return np.lexsort((chance, flat), axis=1)


def kept(order: np.ndarray, share: float, which: str, shape: tuple[int, int]) -> np.ndarray:
    """(N, *shape) bool: the pixels that stay when this share is removed from the order's "morf" or "lerf" end."""
    count = round(share * order.shape[1])
    gone = order[:, -count:] if which == "morf" else order[:, :count]
    keep = np.ones(order.shape, bool)
    np.put_along_axis(keep, gone, False, axis=1)
    return keep.reshape(-1, *shape)


@torch.no_grad()
def confidence(model: nn.Module, images: Tensor, classes: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N,) probability of each image's class, and whether it still is the network's first."""
    logits = torch.cat([model(part) for part in images.split(128)])
    p = logits.softmax(dim=1).gather(1, classes[:, None]).squeeze(1)
    return p.cpu().numpy(), (logits.argmax(1) == classes).cpu().numpy()


def road(model: nn.Module, chosen: Sample, methods: Mapping[str, np.ndarray], seed: int) -> list[RoadScore]:
    """What removing pixels does to the predicted class, in the order of each method's (N, H, W) maps.

    A row a method, means over SHARES and images. An empty map is a random order, and has a road of 0.
    """
    scores, shape = [], (len(ORDERS), len(SHARES), -1)
    for name, maps in methods.items():
        order, row, curves = removal_order(maps, seed), {}, {}
        masks = [kept(order, share, which, maps.shape[1:]) for which in ORDERS for share in SHARES]
        filled = [impute(chosen.images, torch.from_numpy(m).to(chosen.images.device), seed) for m in masks]
        found = confidence(model, torch.cat(filled), chosen.predicted.repeat(len(filled)))
        for which, p, unchanged in zip(ORDERS, *(part.reshape(shape) for part in found), strict=True):  # (shares, N)
            row |= {which: p.mean(), f"{which}_unchanged": unchanged.mean()}
            curves[which] = p.mean(axis=0)
        each = (curves["lerf"] - curves["morf"]) / 2
        row |= {"road": each.mean(), "road_se": each.std(ddof=1) / len(each) ** 0.5}
        scores.append(RoadScore(method=name, images=len(chosen.index), **row))
    return scores


# --- randomization ----------------------------------------------------------------------------------------------


def randomization(trained: np.ndarray, untrained: list[np.ndarray], threshold: float) -> Sanity:
    """Do (N, H, W) maps survive when all parameters are drawn anew? Maps that do show the image, not the network.

    `untrained`: maps of the same images and classes by networks of other random parameters. They are compared by
    Spearman's rho, mean over images and networks; sane is a mean below `threshold`, and not one that does not exist.
    """
    rho = np.stack([rank_correlation(trained, maps) for maps in untrained])
    correlation = float(np.nanmean(rho)) if not np.isnan(rho).all() else None
    sane = correlation is not None and correlation < threshold
    return Sanity(draws=len(untrained), images=len(trained), threshold=threshold, correlation=correlation, sane=sane)
