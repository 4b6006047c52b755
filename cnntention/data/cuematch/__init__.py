"""CueMatch: generated images that separate relating two distant places from reading one place. See docs/cuematch.md.

An image has N coloured glyphs (the candidates, with distinct shapes and colours), a disc in the colour of one
candidate, a white glyph in the shape of one, and a white dot in the box of one. These three candidates are drawn
independently and uniformly, so a model that does not relate a cue to its match can only guess.

Every byte comes from integer arithmetic on Philox words, so it is the same on every machine and numpy version.
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
