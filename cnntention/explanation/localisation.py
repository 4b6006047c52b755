"""How much of a map lies on the region that decides the label: scores against masks, with baselines.

Relevance mass accuracy and the AUC of the pixels' ranking, as in CLEVR-XAI (Arras et al. 2022, arXiv 2003.07258) and
XAI-TRIS (Clark et al. 2024, arXiv 2306.12816); in the latter edge filters beat many methods, hence the baselines.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cnntention.data.datasets import MASK_CODES
from cnntention.explanation.cam import Sample, grid, through_grid
from cnntention.explanation.ranks import empty, ranks
from cnntention.results.tables import MapScore

REGIONS = {"match+cue": ("match", "cue"), "match": ("match",), "cue": ("cue",)}


def regions(chosen: Sample, extras: Mapping[str, np.ndarray], threshold: int | None) -> dict[str, np.ndarray]:
    """(N, H, W) bool masks by name, the primary one first; empty if the dataset has no masks.

    CueMatch has masks of its objects' boxes; track `local` has no cue. In other datasets a pixel is foreground if any
    channel exceeds `threshold` (0..255), unless that is None.
    """
    if "mask" in extras:
        codes = extras["mask"][chosen.index]
        masks = {name: np.isin(codes, [MASK_CODES[part] for part in parts]) for name, parts in REGIONS.items()}
        return masks if masks["cue"].any() else {"match": masks["match"]}
    return {} if threshold is None else {"foreground": (chosen.pixels > threshold).any(axis=1)}


def baselines(pixels: np.ndarray) -> dict[str, np.ndarray]:
    """(N, H, W) maps of (N, C, H, W) images without a network.

    uniform: 1 everywhere; centre: a Gaussian with an sd of a quarter of the image's side; edges: the magnitude of the
    Sobel gradient of the channels' mean.
    """
    n, _, h, w = pixels.shape
    rows, columns = ((np.arange(side) + 0.5) / side - 0.5 for side in (h, w))
    centre = np.exp(-8 * (rows[:, None] ** 2 + columns**2))
    grey = pixels.mean(axis=1)
    edges = np.hypot(sobel(grey), sobel(grey.mT).mT)
    return {"uniform": np.ones((n, h, w)), "centre": np.broadcast_to(centre, (n, h, w)), "edges": edges}


def sobel(images: np.ndarray) -> np.ndarray:
    """(N, H, W): vertical Sobel gradient, with mirrored borders as in scipy.ndimage."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)), mode="symmetric")
    change = padded[:, 2:] - padded[:, :-2]
    return 2 * change[..., 1:-1] + (change[..., :-2] + change[..., 2:])


def relevance_mass(maps: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,): share of each map's sum that lies in its mask; NaN for an empty map. Maps must not be negative."""
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    inside = np.where(mask, maps, 0).sum(axis=(1, 2), dtype=np.float64)
    return np.divide(inside, total, out=np.full(len(maps), np.nan), where=total > 0)


def ranking_auc(ranked: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,): probability that a pixel in the mask outranks one outside, ties counting half; from `ranks` of the maps.

    This is the area under the ROC curve (Mann and Whitney's U). NaN if the mask is empty or the whole image.
    """
    inside = mask.reshape(ranked.shape)
    n = inside.sum(axis=1)
    wins = np.where(inside, ranked, 0).sum(axis=1) - n * (n + 1) / 2
    pairs = n * (inside.shape[1] - n)
    return np.divide(wins, pairs, out=np.full(len(ranked), np.nan), where=pairs > 0)


@dataclass(frozen=True, eq=False)
class Method:
    """Maps (N, H, W), with cached derived values."""

    maps: np.ndarray

    @cached_property
    def ranks(self) -> np.ndarray:
        return ranks(self.maps)

    @cached_property
    def shown(self) -> np.ndarray:
        """(N,) bool: which maps are not empty."""
        return ~empty(self.maps)


def localise(
    trained: np.ndarray, untrained: np.ndarray, chosen: Sample, region: str, mask: np.ndarray
) -> list[MapScore]:
    """A score for each method, of (N, H, W) maps against a (N, H, W) mask.

    Methods: gradcam; untrained, the maps of an untrained network; the `baselines`; and ceiling, the mask at the maps'
    resolution. The ceiling is the score of a map that shows the whole region, not an upper bound: a map that shows only
    the region's middle has more mass.
    """
    maps = {"gradcam": trained, "untrained": untrained} | baselines(chosen.pixels)
    maps["ceiling"] = through_grid(mask, grid(chosen.pixels.shape[2:]))
    scores = compare({name: Method(of) for name, of in maps.items()}, mask)
    return [MapScore(region=region, method=method, **row) for method, row in scores.items()]


def compare(methods: Mapping[str, Method], mask: np.ndarray) -> dict[str, dict]:
    """Mean mass, normalized mass and AUC of each method's maps against a mask.

    The means are over images whose mask is neither empty nor the whole image, and whose maps by Grad-CAM and by the
    method are not empty; `images` is their number. empty: number of empty maps of the method. normalized_mass =
    (mass - uniform) / (ceiling - uniform), of means over the same images.
    """
    share = mask.mean(axis=(1, 2))
    usable = (share > 0) & (share < 1) & methods["gradcam"].shown
    masses = {name: relevance_mass(method.maps, mask) for name, method in methods.items()}
    result = {}
    for name, method in methods.items():
        used = usable & method.shown
        result[name] = {"images": int(used.sum()), "empty": int((~method.shown).sum())}
        result[name] |= {"mass": None, "normalized_mass": None, "auc": None}
        if used.any():
            mass, low, high = (float(masses[of][used].mean()) for of in (name, "uniform", "ceiling"))
            auc = float(ranking_auc(method.ranks[used], mask[used]).mean())
            result[name] |= {"mass": mass, "normalized_mass": (mass - low) / (high - low), "auc": auc}
    return result
