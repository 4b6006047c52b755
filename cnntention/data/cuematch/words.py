"""Random words, and choices from them by integer arithmetic: uniform, distinct, or repeated until they fit."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from cnntention.data.cuematch.knobs import SPLITS

_GIVE_UP = 100_000  # attempts, see `retry`


class Purpose(IntEnum):
    """Purposes of random words; each is a stream."""

    PAIRS = 0
    ROLES = 1
    SHIFTS = 2
    BINS = 3
    PLACES = 4
    NOISE = 5
    DROPOUT = 6


@dataclass(frozen=True)
class Draws:
    """The random words of images start .. start+count. Those of image i do not depend on the chunk."""

    seed: int
    split: str
    start: int
    count: int

    def words(self, purpose: Purpose, width: int, attempt: int = 0) -> np.ndarray:
        """(count, width) uint64."""
        blocks = -(-width // 4)  # Philox makes four words a counter step
        key = np.array([self.seed, SPLITS.index(self.split)], np.uint64)
        counter = np.array([self.start * blocks, 0, attempt, purpose], np.uint64)
        raw = np.random.Philox(key=key, counter=counter).random_raw(self.count * blocks * 4)
        return raw.reshape(self.count, blocks * 4)[:, :width]


def at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[i, index[i]] for every image i."""
    return values[np.arange(len(values)), index]


def below(words: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Uniform integers in [0, n) by multiply and shift of the upper 32 bits; the bias is below n / 2**32."""
    return ((words >> np.uint64(32)) * np.asarray(n, np.uint64) >> np.uint64(32)).astype(np.intp)


def bits(words: np.ndarray, dtype: str) -> np.ndarray:
    """Words split into smaller little-endian integers, (count, more)."""
    return words.astype("<u8").view(dtype)


def retry(count: int, draw: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Call draw(rows, attempt) -> (values, ok) on the rows that have failed so far, until none has."""
    rows = np.arange(count)
    for attempt in range(_GIVE_UP):
        values, ok = draw(rows, attempt)
        if attempt == 0:
            result = values
        result[rows[ok]] = values[ok]
        rows = rows[~ok]
        if not len(rows):
            return result
    raise RuntimeError(f"{len(rows)} CueMatch scenes found no place in {_GIVE_UP} attempts")


def distinct(words: np.ndarray, n: int) -> np.ndarray:
    """(count, k) distinct integers in [0, n), one for each word: k steps of a Fisher-Yates shuffle."""
    table, rows = np.tile(np.arange(n), (len(words), 1)), np.arange(len(words))
    for i in range(words.shape[1]):
        j = i + below(words[:, i], n - i)
        table[rows, i], table[rows, j] = table[rows, j], table[rows, i]
    return table[:, : words.shape[1]]
