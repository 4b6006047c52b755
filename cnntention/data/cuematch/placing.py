"""Place the boxes: without contact, and the candidates at drawn distances from both cues."""

from functools import cache

import numpy as np

from cnntention.data.cuematch.knobs import BINS, Knobs
from cnntention.data.cuematch.words import Draws, Purpose, at, below, retry

_HOLD, _RELAX_AFTER = 8, 128  # placement attempts, see `place`
_ANY = len(BINS)  # index of the ring that allows every distance


@cache
def _windows(side: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Allowed top-left pixels of a box, given another at (row, column) in an image of `size` px: the windows at
    [..., size - 1 - row, size - 1 - column].

    First (4, ., ., span, span): at a distance in each of BINS, or at any. Second: with a gap of >= 1 px.
    """
    span, offset = size - 1 - side, np.arange(1 - size, size)
    squared = offset[:, None] ** 2 + offset**2
    rings = [(squared >= low**2) & (squared < high**2) for low, high in BINS.values()]
    close = abs(offset) <= side
    view = np.lib.stride_tricks.sliding_window_view
    rings = np.stack([*rings, squared >= 0])
    return view(rings, (span, span), axis=(1, 2)), view(~(close[:, None] & close), (span, span))


def _near_cues(windows: np.ndarray, bins: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(count, span, span) bool: positions in the bins (count, 2) of both cues, which are at `seen` (count, 2, 2)."""
    first, second = (windows[bins[:, cue], seen[:, cue, 0], seen[:, cue, 1]] for cue in (0, 1))
    return first & second


def _choose(allowed: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A random position (count, 2) among those `allowed` (count, span, span), and their number (count,)."""
    inside = allowed.view(np.int8).sum(1, dtype=np.int8)  # of each column
    upto = inside.cumsum(1, dtype=np.int16)
    rank = below(words, upto[:, -1])
    column = (upto > rank[:, None]).argmax(1)
    rank += at(inside, column) - at(upto, column)  # now within the column
    row = (allowed[np.arange(len(allowed)), :, column].cumsum(1) > rank[:, None]).argmax(1)
    return np.stack([row, column], axis=1), upto[:, -1]


def _try_place(words, shifts, bins, fixed, knobs: Knobs, soft: bool) -> tuple[np.ndarray, np.ndarray]:
    """One attempt: (count, n+2, 2) top-left pixels, and which images succeeded.

    First the cues, anywhere; then each candidate at a random free position in its bins (count, n, 2) from the two
    cues. If `soft`, candidates with `fixed` bins are placed first, and the others' bins are only preferred.
    """
    count, n = bins.shape[:2]
    rings, apart = _windows(knobs.side, knobs.size)
    span, live, edge = knobs.size - 1 - knobs.side, np.arange(count), knobs.size - 1
    order = np.argsort(~fixed.any(2) & soft, axis=1, kind="stable")
    free = np.ones((count, span, span), bool)
    tops = np.zeros((count, n + 2, 2), np.intp)
    for step in range(n + 2):
        k = np.full(len(live), n + step) if step < 2 else order[:, step - 2]
        allowed = free
        if step >= 2:
            seen = edge + at(shifts, k)[:, None] - (tops + shifts)[:, n:]
            allowed = free & _near_cues(rings, at(bins, k), seen)
            if soft:
                needed = free & _near_cues(rings, np.where(at(fixed, k), at(bins, k), _ANY), seen)
                allowed = np.where(allowed.any((1, 2), keepdims=True), allowed, needed)
        top, choices = _choose(allowed, words[:, step])
        tops[np.arange(len(live)), k] = top
        free = free & apart[edge - top[:, 0], edge - top[:, 1]]
        if not choices.all():  # continue with the images that still can succeed
            state = (live, words, shifts, bins, fixed, order, tops, free)
            live, words, shifts, bins, fixed, order, tops, free = (array[choices > 0] for array in state)
    result = np.zeros((count, n + 2, 2), np.intp)
    result[live] = tops + 1
    return result, result.any((1, 2))


def place(draws: Draws, knobs: Knobs, matches, bins, shifts) -> np.ndarray:
    """(count, n+2, 2) top-left pixels of the boxes; `matches` and `bins` (count, 2) are those of the two relations.

    Every candidate gets a random bin for each cue: if only the matches did, distance would reveal them. The other
    candidates' bins are kept for _HOLD attempts, since redrawing at once would favour easy ones, and are only
    preferred after _RELAX_AFTER, since in a full image not all can be met.
    """
    n, allowed = knobs.candidates, knobs.bins
    relax_after = _RELAX_AFTER if len(allowed) > 1 else _HOLD  # a single bin seldom has room for all
    fixed = np.arange(n)[:, None] == matches[:, None, :]  # (count, n, 2)

    def draw(rows: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        other = allowed[below(draws.words(Purpose.BINS, 2 * n, attempt // _HOLD)[rows], len(allowed))]
        wanted = np.where(fixed[rows], bins[rows, None], other.reshape(-1, n, 2))
        words = draws.words(Purpose.PLACES, n + 2, attempt)[rows]
        return _try_place(words, shifts[rows], wanted, fixed[rows], knobs, attempt >= relax_after)

    return retry(draws.count, draw)
