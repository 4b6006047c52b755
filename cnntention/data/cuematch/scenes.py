"""The images of a split, with labels, masks and factors for each track."""

from dataclasses import dataclass

import numpy as np

from cnntention.data.cuematch.knobs import TRACKS, one_of
from cnntention.data.cuematch.words import at


@dataclass(frozen=True)
class Scenes:
    """The images of a split and how they were made. n: candidates in an image; the two cues follow them."""

    images: np.ndarray  # (N, 3, H, W) uint8, RGB
    boxes: np.ndarray  # (N, H, W) uint8: 0 background, 1..n candidates, n+1 colour cue, n+2 shape cue
    pixels: np.ndarray  # the same codes on drawn pixels only; n+3 is the white dot
    shapes: np.ndarray  # (N, n) int8, index into the vocabulary's shapes
    colours: np.ndarray  # (N, n) int8, and colours
    centres: np.ndarray  # (N, n+2, 2) int8, row and column of the drawn glyph's centre
    match_colour: np.ndarray  # (N,) int8, the candidate that has the disc's colour
    match_shape: np.ndarray  # (N,) int8, the candidate that has the white glyph's shape
    marked: np.ndarray  # (N,) int8, the candidate with the white dot
    bin_colour: np.ndarray  # (N,) int8, index into BINS of the distance from the disc to its match
    bin_shape: np.ndarray  # (N,) int8, the same for the white glyph
    distance_colour: np.ndarray  # (N,) float32, px
    distance_shape: np.ndarray  # (N,) float32, px

    def match(self, track: str) -> np.ndarray:
        """(N,) int8: the candidate that the track's label is about."""
        one_of("track", track, TRACKS)
        return (self.match_colour, self.match_shape, self.marked)[TRACKS.index(track)]

    def labels(self, track: str) -> np.ndarray:
        """(N,) int64: the match's shape for relation-colour, its colour for the other two."""
        match = self.match(track)
        values = self.shapes if track == "relation-colour" else self.colours
        return at(values, match).astype(np.int64)

    def mask(self, track: str, area: str = "boxes") -> np.ndarray:
        """(N, H, W) uint8 of `boxes` or `pixels`: 0 background, 1 match, 2 the track's cue, 3 the rest."""
        match, n = self.match(track), self.shapes.shape[1]
        one_of("area", area, ("boxes", "pixels"))
        objects = getattr(self, area)
        mask = np.where(objects > 0, np.uint8(3), np.uint8(0))
        mask[objects == match[:, None, None] + 1] = 1
        if track == "local":
            mask[objects == n + 3] = 1  # the dot belongs to the match
        else:
            mask[objects == n + 1 + TRACKS.index(track)] = 2
        return mask

    def factors(self, track: str) -> dict[str, np.ndarray]:
        """Arrays to store beside the images, with the same keys for every track; -1 for the cue that `local` lacks."""
        match, n = self.match(track), self.shapes.shape[1]
        none = np.full(len(match), -1, np.int8)
        distance, bins, cue_centre = none.astype(np.float32), none, np.stack([none, none], 1)
        if track != "local":
            distance = self.distance_colour if track == "relation-colour" else self.distance_shape
            bins = self.bin_colour if track == "relation-colour" else self.bin_shape
            cue_centre = self.centres[:, n + TRACKS.index(track)].copy()  # safetensors needs it contiguous
        return {
            "shapes": self.shapes,
            "colours": self.colours,
            "centres": self.centres,
            "cue_colour": at(self.colours, self.match_colour),
            "cue_shape": at(self.shapes, self.match_shape),
            "match": match,
            "match_centre": at(self.centres, match),
            "cue_centre": cue_centre,
            "distance": distance,
            "distance_bin": bins,
        }
