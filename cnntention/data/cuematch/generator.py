"""Generate scenes: draw the candidates and the cues' matches, place the boxes, draw the pixels."""

from collections.abc import Sequence

import numpy as np

from cnntention.data.cuematch.drawing import render
from cnntention.data.cuematch.knobs import BINS, Knobs
from cnntention.data.cuematch.placing import place
from cnntention.data.cuematch.scenes import Scenes
from cnntention.data.cuematch.words import Draws, Purpose, below, distinct, retry

VERSION = 1  # raise it with every change of the bytes: stored datasets and published numbers depend on them
CHUNK = 1024  # scenes generated at a time
# Fixed orders of shapes and colours: `held_out` makes a permutation of the 100 pairs from them.
_HELD_OUT_ORDER = np.array([(3, 7, 0, 9, 4, 1, 8, 2, 6, 5), (6, 2, 9, 4, 0, 8, 5, 1, 7, 3)])


def held_out(count: int) -> np.ndarray:
    """(count, 2): the first `count` held-out pairs, index into SHAPES and into COLOURS.

    In Latin-square order: every ten hold out each shape and each colour once, which keeps the labels uniform.
    """
    i = np.arange(count)
    return np.stack([_HELD_OUT_ORDER[0][i % 10], _HELD_OUT_ORDER[1][(i + i // 10) % 10]], axis=1)


def _candidates(draws: Draws, knobs: Knobs) -> np.ndarray:
    """(count, 2, n): distinct shapes and colours; held-out pairs only in test-pairs, never in train, val."""
    n, held = knobs.candidates, knobs.held_out_pairs
    is_held = np.zeros((10, 10), bool)
    is_held[tuple(held_out(held).T)] = True

    def draw(rows: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        words = draws.words(Purpose.PAIRS, 2 * n, attempt)[rows]
        if knobs.split == "test-pairs":
            first = distinct(words[:, :n], min(held, 10))
            layer = below(words[:, n:], (held - first + 9) // 10)
            pairs = held_out(held)[first + 10 * layer].transpose(0, 2, 1)
            colours = np.sort(pairs[:, 1], axis=1)
            return pairs, (colours[:, 1:] != colours[:, :-1]).all(1)
        pairs = np.stack([distinct(words[:, :n], knobs.vocabulary), distinct(words[:, n:], knobs.vocabulary)], axis=1)
        return pairs, ~is_held[pairs[:, 0], pairs[:, 1]].any(1) | (knobs.split == "test")

    return retry(draws.count, draw)


def _scenes(draws: Draws, knobs: Knobs) -> dict[str, np.ndarray]:
    """The fields of Scenes for one chunk."""
    n, rows = knobs.candidates, np.arange(draws.count)
    pairs, roles = _candidates(draws, knobs), draws.words(Purpose.ROLES, 5)
    matches, bins = below(roles[:, :3], n), knobs.bins[below(roles[:, 3:], len(knobs.bins))]
    shifts = below(draws.words(Purpose.SHIFTS, 2 * (n + 2)), knobs.jitter + 1).reshape(-1, n + 2, 2)
    tops = place(draws, knobs, matches[:, :2], bins, shifts)
    centres = tops + shifts + knobs.glyph_size // 2
    gaps = centres[rows[:, None], matches[:, :2]] - centres[:, n:]
    distances = np.sqrt((gaps**2).sum(2)).astype(np.float32)
    factors = {"shapes": pairs[:, 0], "colours": pairs[:, 1], "centres": centres}
    factors |= dict(zip(("match_colour", "match_shape", "marked"), matches.T, strict=True))
    factors |= dict(zip(("bin_colour", "bin_shape"), bins.T, strict=True))
    return {
        **render(draws, knobs, pairs, matches, tops, shifts),
        **{name: values.astype(np.int8) for name, values in factors.items()},
        "distance_colour": distances[:, 0],
        "distance_shape": distances[:, 1],
    }


def generate(
    split: str,
    count: int,
    *,
    seed: int = 0,
    candidates: int = 4,
    noise: float = 0.15,
    glyph_size: int = 7,
    jitter: int = 0,
    dropout: float = 0.0,
    distances: Sequence[str] = tuple(BINS),
    held_out_pairs: int = 0,
    size: int = 32,
    vocabulary: int = 10,
) -> Scenes:
    """The first `count` scenes of a split. Scene i depends only on i, the split, the seed and the other arguments.

    noise: standard deviation of the background as a fraction of 255; jitter: largest shift of a glyph, px, in a box
    that is this much larger; dropout: chance that a stroke pixel of a candidate or of the shape cue is missing (noise
    and dropout are rounded to thousandths); distances: bins from cue to match; held_out_pairs: (shape, colour) pairs
    that no candidate of train and val has, and every candidate of test-pairs; size: side of the image, px, 24 or 32;
    vocabulary: how many of the ten shapes and of the ten colours are used; with few, the relation is learned from far
    fewer images.

    With a single bin not all other candidates fit into it, and positions reveal the match (62 % instead of 25 % with
    only far): fine for a test split, not for training. Raises ValueError with the argument, its value and valid ones.
    """
    knobs = Knobs(
        split, count, seed, candidates, noise, glyph_size, jitter, dropout, distances, held_out_pairs, size, vocabulary
    )
    whole: dict[str, np.ndarray] = {}
    for start in range(0, max(count, 1), CHUNK):
        chunk = _scenes(Draws(seed, split, start, min(CHUNK, count - start)), knobs)
        for name, values in chunk.items():
            if not start:
                whole[name] = np.empty((count, *values.shape[1:]), values.dtype)
            whole[name][start : start + len(values)] = values
    return Scenes(**whole)
