"""Ranks of the pixels of maps, since the scales of two maps cannot be compared. Imports no torch."""

import numpy as np


def empty(maps: np.ndarray) -> np.ndarray:
    """(N,) bool: which of the (N, H, W) maps have no positive value."""
    return maps.reshape(len(maps), -1).max(axis=1) <= 0


def ranks(maps: np.ndarray) -> np.ndarray:
    """(N, H, W) -> (N, HW): each pixel's rank in its map, from 1; ties get the mean of their ranks."""
    flat = maps.reshape(len(maps), -1)
    order = flat.argsort(axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    place = np.arange(flat.shape[1])
    rises = ordered[:, 1:] != ordered[:, :-1]  # between neighbours that are not ties
    first = np.maximum.accumulate(np.where(np.pad(rises, ((0, 0), (1, 0))), place, 0), axis=1)
    last = np.where(np.pad(rises, ((0, 0), (0, 1))), place, place[-1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    result = np.empty(flat.shape)
    np.put_along_axis(result, order, (first + last) / 2 + 1, axis=1)
    return result


def standardized(maps: np.ndarray) -> np.ndarray:
    """(N, H, W) -> (N, HW): ranks with mean 0 and norm 1, whose dot product is Spearman's rho; NaN if all are equal."""
    centred = ranks(maps) - (maps[0].size + 1) / 2
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return np.divide(centred, length, out=np.full_like(centred, np.nan), where=length > 0)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,): Spearman's rho of the two maps of each image; NaN if either is empty."""
    return (standardized(first) * standardized(second)).sum(axis=1)
