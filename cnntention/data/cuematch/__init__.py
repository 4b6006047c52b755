"""CueMatch: generated images that separate global look-up from local vision.

One image serves three tracks. It holds N coloured glyphs (the candidates, distinct shapes and colours), a
disc in one candidate's colour, a white glyph of one candidate's shape, and a white dot in one candidate's
box. These three are drawn independently and uniformly: who does not relate a cue to its match can only guess.

Every byte is decided by integers cut from Philox words, so it is the same on every machine and numpy version.
"""

from cnntention.data.cuematch.generator import VERSION, generate, held_out
from cnntention.data.cuematch.knobs import BINS, SIZES, SPLITS, TRACKS
from cnntention.data.cuematch.scenes import Scenes
from cnntention.data.cuematch.shapes import COLOURS, GLYPHS, RGB, SHAPES, glyphs, vocabulary

__all__ = [
    "BINS",
    "COLOURS",
    "GLYPHS",
    "RGB",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "TRACKS",
    "VERSION",
    "Scenes",
    "generate",
    "glyphs",
    "held_out",
    "vocabulary",
]
