"""Draw the images: background noise, then the glyphs."""

import numpy as np

from cnntention.data.cuematch.knobs import Knobs
from cnntention.data.cuematch.shapes import DISC, RGB, glyphs, vocabulary
from cnntention.data.cuematch.words import Draws, Purpose, bits

# Weights of the octaves with 2, 4, ..., 32 cells: equal variance per octave gives a 1/f amplitude spectrum.
_OCTAVES = {2: 28, 4: 29, 8: 28, 16: 26, 32: 16}
_UNIT = 20_753  # standard deviation of the summed octaves (5292) times 1000 parts, over 255


def _double(grid: np.ndarray) -> np.ndarray:
    """(N, 3, g, g) to (N, 3, 2g, 2g): bilinear, periodic, rounded to integers."""
    for axis in (2, 3):
        shape = (*grid.shape[:axis], 2 * grid.shape[axis], *grid.shape[axis + 1 :])
        pair = [3 * grid + np.roll(grid, step, axis) for step in (1, -1)]
        grid = np.stack(pair, axis + 1).reshape(shape)
    return (grid + 8) >> 4


def background(draws: Draws, permille: int) -> np.ndarray:
    """(count, 3, 32, 32) uint8: 1/f colour noise with mean 0.35 and sd permille / 1000, as shares of 255, clipped.

    Smaller images use a corner of it.
    """
    cells = 3 * sum(g * g for g in _OCTAVES)
    raw = 2 * bits(draws.words(Purpose.NOISE, -(-cells // 8)), "u1").astype(np.int32) - 255
    field, used = None, 0
    for g, weight in _OCTAVES.items():
        octave = weight * raw[:, used : used + 3 * g * g].reshape(-1, 3, g, g)
        field, used = octave if field is None else _double(field) + octave, used + 3 * g * g
    mean = 35 * 255 * _UNIT // 100 + _UNIT // 2  # rounds to the nearest
    return ((field * permille + mean) // _UNIT).clip(0, 255).astype(np.uint8)


def render(draws: Draws, knobs: Knobs, pairs, matches, tops, shifts) -> dict[str, np.ndarray]:
    """`images`, and `boxes` and `pixels` of the candidates, the two cues and the dot (see Scenes)."""
    n, size, rows = knobs.candidates, knobs.glyph_size, np.arange(draws.count)
    pairs = vocabulary(knobs.vocabulary)[pairs]
    stroke, dot = glyphs(size)
    match_colour, match_shape, marked = matches.T
    disc = np.full(draws.count, DISC)
    kinds = np.column_stack([pairs[:, 0], disc, pairs[rows, 0, match_shape]])
    inks = np.full((draws.count, n + 3, 3), 255, np.uint8)
    inks[:, :n] = RGB[pairs[:, 1]]
    inks[:, n] = RGB[pairs[rows, 1, match_colour]]
    strokes = stroke[kinds]  # (count, n+2, size, size)
    if knobs.dropout:
        words = draws.words(Purpose.DROPOUT, -(-strokes[0].size // 4))
        keep = bits(words, "<u2")[:, : strokes[0].size] >= round(1000 * knobs.dropout) * 2**16 // 1000
        strokes &= keep.reshape(strokes.shape) | (kinds == DISC)[:, :, None, None]
    layers = np.concatenate([strokes, dot[pairs[rows, 0, marked]][:, None]], axis=1)
    corners = np.concatenate([tops + shifts, (tops + shifts)[rows, marked][:, None]], axis=1)

    images = background(draws, round(1000 * knobs.noise))[:, :, : knobs.size, : knobs.size].copy()
    boxes, pixels = np.zeros((2, draws.count, knobs.size, knobs.size), np.uint8)
    image, layer, row, column = np.nonzero(layers)
    row, column = corners[image, layer].T + np.stack([row, column])
    images[image, :, row, column] = inks[image, layer]
    pixels[image, row, column] = layer + 1
    inside = tops[..., None] + np.arange(knobs.side)  # (count, n+2, 2, side)
    codes = np.arange(1, n + 3)[:, None, None]
    boxes[rows[:, None, None, None], inside[:, :, 0, :, None], inside[:, :, 1, None, :]] = codes
    return {"images": images, "boxes": boxes, "pixels": pixels}
