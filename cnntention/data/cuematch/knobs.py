"""The generator's arguments, checked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnntention.data.cuematch.shapes import GLYPHS, SHAPES

SIZES = (24, 32)  # px, of an image's side
TRACKS = ("relation-colour", "relation-shape", "local")
SPLITS = ("train", "val", "test", "test-pairs")
BINS = {"near": (8, 12), "mid": (12, 18), "far": (18, 34)}  # px between centres, [low, high)


@dataclass(frozen=True)
class Knobs:
    """The arguments of `generate`, checked."""

    split: str
    count: int
    seed: int
    candidates: int
    noise: float
    glyph_size: int
    jitter: int
    dropout: float
    distances: Sequence[str]
    held_out_pairs: int
    size: int
    vocabulary: int

    def __post_init__(self) -> None:
        one_of("split", self.split, SPLITS)
        one_of("glyph_size", self.glyph_size, tuple(GLYPHS))
        one_of("size", self.size, SIZES)
        limits = {"count": (0, 10**9), "seed": (0, 2**64 - 1), "candidates": (1, 6), "jitter": (0, 1)}
        limits |= {"held_out_pairs": (0, 50), "vocabulary": (2, len(SHAPES))}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not (whole and low <= value <= high):
                raise ValueError(f"{name} is {value!r}: give a whole number from {low} to {high}")
        for name in ("noise", "dropout"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 0.5:
                raise ValueError(f"{name} is {value!r}: give a fraction from 0 to 0.5")
        names = self.distances
        if isinstance(names, str) or not names or len(set(names)) < len(names) or not set(names) <= set(BINS):
            raise ValueError(f"distances is {names!r}: give a list of {', '.join(BINS)}, at least one, each once")
        if self.size < 32 and "far" in names:
            raise ValueError(
                f"distances is {names!r}: give near, mid, for in {self.size} px few candidates find a far place"
            )
        if self.candidates > self.vocabulary:
            raise ValueError(
                f"candidates is {self.candidates}: give at most vocabulary={self.vocabulary}, for all candidates differ"
            )
        if self.held_out_pairs and self.vocabulary < len(SHAPES):
            raise ValueError(f"vocabulary is {self.vocabulary}: held_out_pairs needs all {len(SHAPES)}")
        if self.split == "test-pairs" and self.held_out_pairs < self.candidates:
            raise ValueError(
                f"held_out_pairs is {self.held_out_pairs}: give at least candidates={self.candidates}, "
                "for split test-pairs shows held-out pairs alone"
            )

    @property
    def side(self) -> int:
        """Side of a box, px."""
        return self.glyph_size + self.jitter

    @property
    def bins(self) -> np.ndarray:
        """The allowed bins, index into BINS and in its order."""
        return np.array([i for i, name in enumerate(BINS) if name in self.distances])


def one_of(name: str, value: object, known: Sequence) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}: give one of {', '.join(map(str, known))}")
