"""CueMatch: generated 32x32 images that separate global look-up from local vision.

One image serves three tracks. It holds N coloured glyphs (the candidates, distinct shapes and colours), a
disc in one candidate's colour, a white glyph of one candidate's shape, and a white dot in one candidate's
box. These three are drawn independently and uniformly: who does not relate a cue to its match can only guess.

Every byte is decided by integers cut from Philox words, so it is the same on every machine and numpy version.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

VERSION = 1  # raise it with every change of the bytes: stored datasets and published numbers hang on them
SIZE = 32
TRACKS = ("relation-colour", "relation-shape", "local")
SPLITS = ("train", "val", "test", "test-pairs")
BINS = {"near": (8, 12), "mid": (12, 18), "far": (18, 34)}  # px between centres, [low, high)
SHAPES = ("ring", "plus", "x", "square", "triangle", "corner", "H", "T", "L", "Z")
COLOURS = ("cyan", "blue", "violet", "magenta", "coral", "orange", "sand", "olive", "green", "mint")
# Searched for the largest smallest distance in CIELAB (35) at L* between 64.9 and 67.3.
RGB = np.array(
    [
        *([0, 175, 200], [85, 165, 250], [180, 140, 245], [255, 80, 250], [255, 110, 130]),
        *([245, 130, 0], [180, 160, 95], [135, 170, 0], [5, 190, 40], [75, 180, 140]),
    ],
    np.uint8,
)
# '#' is the stroke; 'o' is where the white dot goes when the candidate is marked.
GLYPHS = {
    7: """
    ..###..  ...#...  #.oo..#  #######  oo.#...  #######  #.....#  #######  #......  #######
    .#...#.  .oo#...  .#oo.#.  #.....#  oo#.#..  ......#  #.....#  ...#...  #......  .oo..#.
    #.oo..#  .oo#...  ..#.#..  #.oo..#  ..#.#..  ..oo..#  #.oo..#  .oo#...  #..oo..  .oo.#..
    #.oo..#  #######  ...#...  #.oo..#  .#...#.  ..oo..#  #.oo..#  .oo#...  #..oo..  ...#...
    #.....#  ...#...  ..#.#..  #.....#  .#...#.  ......#  #######  ...#...  #......  ..#....
    .#...#.  ...#...  .#...#.  #.....#  #.....#  ......#  #.....#  ...#...  #......  .#.....
    ..###..  ...#...  #.....#  #######  #######  ......#  #.....#  ...#...  #######  #######
    """,
    5: """
    ..#..  oo#..  #.o.#  #####  oo#..  #####  #.o.#  #####  #....  #####
    .#.#.  ..#..  .#o#.  #...#  .#.#.  ....#  #.o.#  ..#..  #.oo.  oo.#.
    #.oo#  #####  ..#..  #oo.#  .#.#.  .oo.#  #####  oo#..  #....  ..#..
    .#.#.  ..#..  .#.#.  #...#  #...#  ....#  #...#  ..#..  #....  .#...
    ..#..  ..#..  #...#  #####  #####  ....#  #...#  ..#..  #####  #####
    """,
}
_PAIRS, _ROLES, _SHIFTS, _BINS, _PLACES, _NOISE, _DROPOUT = range(7)  # what words are for: one stream each
_HOLD, _RELAX_AFTER, _GIVE_UP = 8, 128, 100_000  # placement attempts, see _place
_ANY = len(BINS)  # the ring that allows every distance
_CHUNK = 1024
_DISC = len(SHAPES)
# Fixed orders of shapes and colours, from which `held_out` makes a permutation of the 100 pairs.
_HELD_OUT_ORDER = np.array([(3, 7, 0, 9, 4, 1, 8, 2, 6, 5), (6, 2, 9, 4, 0, 8, 5, 1, 7, 3)])
# Weight of the octave of 2, 4, 8, 16, 32 cells: equal variance an octave is a 1/f amplitude spectrum.
_OCTAVES = {2: 28, 4: 29, 8: 28, 16: 26, 32: 16}
_UNIT = 20_753  # standard deviation of the summed octaves (5292) times 1000 parts, over 255


@dataclass(frozen=True)
class Scenes:
    """The images of a split and everything known about them; n candidates an image, then the two cues."""

    images: np.ndarray  # (N, 3, 32, 32) uint8, RGB
    boxes: np.ndarray  # (N, 32, 32) uint8: 0 background, 1..n candidates, n+1 colour cue, n+2 shape cue
    pixels: np.ndarray  # the same codes on drawn pixels only; n+3 is the white dot
    shapes: np.ndarray  # (N, n) int8, index into SHAPES
    colours: np.ndarray  # (N, n) int8, index into COLOURS
    centres: np.ndarray  # (N, n+2, 2) int8, row and column of the drawn glyph's centre
    match_colour: np.ndarray  # (N,) int8, the candidate that has the disc's colour
    match_shape: np.ndarray  # (N,) int8, the candidate that has the white glyph's shape
    marked: np.ndarray  # (N,) int8, the candidate with the white dot
    bin_colour: np.ndarray  # (N,) int8, index into BINS of the distance from the disc to its match
    bin_shape: np.ndarray  # (N,) int8, the same for the white glyph
    distance_colour: np.ndarray  # (N,) float32, px
    distance_shape: np.ndarray  # (N,) float32, px

    def match(self, track: str) -> np.ndarray:
        """(N,) int8: the candidate the track asks about."""
        _one_of("track", track, TRACKS)
        return (self.match_colour, self.match_shape, self.marked)[TRACKS.index(track)]

    def labels(self, track: str) -> np.ndarray:
        """(N,) int64: the match's shape on relation-colour, its colour on the other two."""
        match = self.match(track)
        values = self.shapes if track == "relation-colour" else self.colours
        return _at(values, match).astype(np.int64)

    def mask(self, track: str, area: str = "boxes") -> np.ndarray:
        """(N, 32, 32) uint8 of `boxes` or `pixels`: 0 background, 1 match, 2 the track's cue, 3 the rest."""
        match, n = self.match(track), self.shapes.shape[1]
        _one_of("area", area, ("boxes", "pixels"))
        objects = getattr(self, area)
        mask = np.where(objects > 0, np.uint8(3), np.uint8(0))
        mask[objects == match[:, None, None] + 1] = 1
        if track == "local":
            mask[objects == n + 3] = 1  # the dot is part of what is asked about
        else:
            mask[objects == n + 1 + TRACKS.index(track)] = 2
        return mask

    def factors(self, track: str) -> dict[str, np.ndarray]:
        """Arrays to store beside the images, the same keys for every track; -1 where `local` has no cue."""
        match, n = self.match(track), self.shapes.shape[1]
        none = np.full(len(match), -1, np.int8)
        distance, bins, cue_centre = none.astype(np.float32), none, np.stack([none, none], 1)
        if track != "local":
            distance = self.distance_colour if track == "relation-colour" else self.distance_shape
            bins = self.bin_colour if track == "relation-colour" else self.bin_shape
            cue_centre = self.centres[:, n + TRACKS.index(track)].copy()  # contiguous, as safetensors asks
        return {
            "shapes": self.shapes,
            "colours": self.colours,
            "centres": self.centres,
            "cue_colour": _at(self.colours, self.match_colour),
            "cue_shape": _at(self.shapes, self.match_shape),
            "match": match,
            "match_centre": _at(self.centres, match),
            "cue_centre": cue_centre,
            "distance": distance,
            "distance_bin": bins,
        }


@dataclass(frozen=True)
class _Knobs:
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

    def __post_init__(self) -> None:
        _one_of("split", self.split, SPLITS)
        _one_of("glyph_size", self.glyph_size, tuple(GLYPHS))
        limits = {"count": (0, 10**9), "seed": (0, 2**64 - 1), "candidates": (1, 6), "jitter": (0, 1)}
        for name, (low, high) in (limits | {"held_out_pairs": (0, 50)}).items():
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
        if self.split == "test-pairs" and self.held_out_pairs < self.candidates:
            raise ValueError(
                f"held_out_pairs is {self.held_out_pairs}: give at least candidates={self.candidates}, "
                "for split test-pairs shows held-out pairs alone"
            )

    @property
    def side(self) -> int:
        """Pixels of a box's side."""
        return self.glyph_size + self.jitter

    @property
    def bins(self) -> np.ndarray:
        """The allowed bins, index into BINS and in its order."""
        return np.array([i for i, name in enumerate(BINS) if name in self.distances])


@dataclass(frozen=True)
class _Draws:
    """The random words of images start .. start+count: image i has the same words whatever the chunk."""

    seed: int
    split: str
    start: int
    count: int

    def words(self, purpose: int, width: int, attempt: int = 0) -> np.ndarray:
        """(count, width) uint64."""
        blocks = -(-width // 4)  # Philox makes four words a counter step
        key = np.array([self.seed, SPLITS.index(self.split)], np.uint64)
        counter = np.array([self.start * blocks, 0, attempt, purpose], np.uint64)
        raw = np.random.Philox(key=key, counter=counter).random_raw(self.count * blocks * 4)
        return raw.reshape(self.count, blocks * 4)[:, :width]


def _one_of(name: str, value: object, known: Sequence) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}: give one of {', '.join(map(str, known))}")


def _at(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[i, index[i]] for every image i."""
    return values[np.arange(len(values)), index]


def _below(words: np.ndarray, n: int | np.ndarray) -> np.ndarray:
    """Uniform integers in [0, n) by multiply and shift of the upper 32 bits; the bias is under n / 2**32."""
    return ((words >> np.uint64(32)) * np.asarray(n, np.uint64) >> np.uint64(32)).astype(np.intp)


def _bits(words: np.ndarray, dtype: str) -> np.ndarray:
    """Words cut into smaller little-endian integers, (count, more)."""
    return words.astype("<u8").view(dtype)


def _retry(count: int, draw: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Call draw(rows, attempt) -> (values, ok) on the rows that are not ok yet, until all are."""
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


def _distinct(words: np.ndarray, n: int) -> np.ndarray:
    """(count, k) distinct integers in [0, n), one a word: k steps of a Fisher-Yates shuffle."""
    table, rows = np.tile(np.arange(n), (len(words), 1)), np.arange(len(words))
    for i in range(words.shape[1]):
        j = i + _below(words[:, i], n - i)
        table[rows, i], table[rows, j] = table[rows, j], table[rows, i]
    return table[:, : words.shape[1]]


def held_out(count: int) -> np.ndarray:
    """(count, 2): the first `count` held-out pairs, index into SHAPES and into COLOURS.

    In Latin-square order: every ten hold out each shape and each colour once, which keeps the labels uniform.
    """
    i = np.arange(count)
    return np.stack([_HELD_OUT_ORDER[0][i % 10], _HELD_OUT_ORDER[1][(i + i // 10) % 10]], axis=1)


def _candidates(draws: _Draws, knobs: _Knobs) -> np.ndarray:
    """(count, 2, n): distinct shapes and colours; held-out pairs only in test-pairs, never in train, val."""
    n, held = knobs.candidates, knobs.held_out_pairs
    is_held = np.zeros((10, 10), bool)
    is_held[tuple(held_out(held).T)] = True

    def draw(rows: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        words = draws.words(_PAIRS, 2 * n, attempt)[rows]
        if knobs.split == "test-pairs":
            first = _distinct(words[:, :n], min(held, 10))
            layer = _below(words[:, n:], (held - first + 9) // 10)
            pairs = held_out(held)[first + 10 * layer].transpose(0, 2, 1)
            colours = np.sort(pairs[:, 1], axis=1)
            return pairs, (colours[:, 1:] != colours[:, :-1]).all(1)
        pairs = np.stack([_distinct(words[:, :n], 10), _distinct(words[:, n:], 10)], axis=1)
        return pairs, ~is_held[pairs[:, 0], pairs[:, 1]].any(1) | (knobs.split == "test")

    return _retry(draws.count, draw)


@cache
def _windows(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a box's top-left may be, seen from a box at (row, column): windows[..., 31 - row, 31 - column].

    First (4, ., ., span, span): at a distance in each of BINS, or any. Second: apart, with a gap of >= 1 px.
    """
    span, offset = SIZE - 1 - side, np.arange(1 - SIZE, SIZE)
    squared = offset[:, None] ** 2 + offset**2
    rings = [(squared >= low**2) & (squared < high**2) for low, high in BINS.values()]
    close = abs(offset) <= side
    view = np.lib.stride_tricks.sliding_window_view
    rings = np.stack([*rings, squared >= 0])
    return view(rings, (span, span), axis=(1, 2)), view(~(close[:, None] & close), (span, span))


def _near_cues(windows: np.ndarray, bins: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(count, span, span) bool: places in the bins (count, 2) of the two cues, at seen (count, 2, 2)."""
    first, second = (windows[bins[:, cue], seen[:, cue, 0], seen[:, cue, 1]] for cue in (0, 1))
    return first & second


def _choose(allowed: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A random place (count, 2) of those `allowed` (count, span, span), and how many (count,) there are."""
    inside = allowed.view(np.int8).sum(1, dtype=np.int8)  # of each column
    upto = inside.cumsum(1, dtype=np.int16)
    rank = _below(words, upto[:, -1])
    column = (upto > rank[:, None]).argmax(1)
    rank += _at(inside, column) - _at(upto, column)  # now within the column
    row = (allowed[np.arange(len(allowed)), :, column].cumsum(1) > rank[:, None]).argmax(1)
    return np.stack([row, column], axis=1), upto[:, -1]


def _try_place(words, shifts, bins, fixed, side: int, soft: bool) -> tuple[np.ndarray, np.ndarray]:
    """One attempt: (count, n+2, 2) top-left pixels, and which images are ok.

    The cues go anywhere, then each candidate to a random free place in the bins (count, n, 2) that it has
    from the two cues. If `soft`, candidates with `fixed` bins go first and the others' bins are wishes.
    """
    count, n = bins.shape[:2]
    rings, apart = _windows(side)
    span, live, edge = SIZE - 1 - side, np.arange(count), SIZE - 1
    order = np.argsort(~fixed.any(2) & soft, axis=1, kind="stable")
    free = np.ones((count, span, span), bool)
    tops = np.zeros((count, n + 2, 2), np.intp)
    for step in range(n + 2):
        k = np.full(len(live), n + step) if step < 2 else order[:, step - 2]
        allowed = free
        if step >= 2:
            seen = edge + _at(shifts, k)[:, None] - (tops + shifts)[:, n:]
            allowed = free & _near_cues(rings, _at(bins, k), seen)
            if soft:
                needed = free & _near_cues(rings, np.where(_at(fixed, k), _at(bins, k), _ANY), seen)
                allowed = np.where(allowed.any((1, 2), keepdims=True), allowed, needed)
        top, choices = _choose(allowed, words[:, step])
        tops[np.arange(len(live)), k] = top
        free = free & apart[edge - top[:, 0], edge - top[:, 1]]
        if not choices.all():  # go on with the others alone
            state = (live, words, shifts, bins, fixed, order, tops, free)
            live, words, shifts, bins, fixed, order, tops, free = (array[choices > 0] for array in state)
    result = np.zeros((count, n + 2, 2), np.intp)
    result[live] = tops + 1
    return result, result.any((1, 2))


def _place(draws: _Draws, knobs: _Knobs, matches, bins, shifts) -> np.ndarray:
    """(count, n+2, 2) top-left pixels of the boxes; `matches` and `bins` (count, 2) are of the two relations.

    Every candidate has a drawn bin for either cue: if the matches alone had one, their distance would give
    them away. The distractors' bins stay for _HOLD attempts, because to drop hard ones at once would skew
    them, and are mere wishes after _RELAX_AFTER, because in a crowd not all can be met.
    """
    n, allowed = knobs.candidates, knobs.bins
    relax_after = _RELAX_AFTER if len(allowed) > 1 else _HOLD  # one bin seldom has room for all
    fixed = np.arange(n)[:, None] == matches[:, None, :]  # (count, n, 2)

    def draw(rows: np.ndarray, attempt: int) -> tuple[np.ndarray, np.ndarray]:
        other = allowed[_below(draws.words(_BINS, 2 * n, attempt // _HOLD)[rows], len(allowed))]
        wanted = np.where(fixed[rows], bins[rows, None], other.reshape(-1, n, 2))
        words = draws.words(_PLACES, n + 2, attempt)[rows]
        return _try_place(words, shifts[rows], wanted, fixed[rows], knobs.side, attempt >= relax_after)

    return _retry(draws.count, draw)


def _double(grid: np.ndarray) -> np.ndarray:
    """(N, 3, g, g) to (N, 3, 2g, 2g): bilinear, periodic, rounded to integers."""
    for axis in (2, 3):
        shape = (*grid.shape[:axis], 2 * grid.shape[axis], *grid.shape[axis + 1 :])
        pair = [3 * grid + np.roll(grid, step, axis) for step in (1, -1)]
        grid = np.stack(pair, axis + 1).reshape(shape)
    return (grid + 8) >> 4


def _background(draws: _Draws, permille: int) -> np.ndarray:
    """(count, 3, 32, 32) uint8: 1/f colour noise, mean .35 and sd permille / 1000 of 255, then clipped."""
    cells = 3 * sum(g * g for g in _OCTAVES)
    raw = 2 * _bits(draws.words(_NOISE, -(-cells // 8)), "u1").astype(np.int32) - 255
    field, used = None, 0
    for g, weight in _OCTAVES.items():
        octave = weight * raw[:, used : used + 3 * g * g].reshape(-1, 3, g, g)
        field, used = octave if field is None else _double(field) + octave, used + 3 * g * g
    mean = 35 * 255 * _UNIT // 100 + _UNIT // 2  # rounds to the nearest
    return ((field * permille + mean) // _UNIT).clip(0, 255).astype(np.uint8)


@cache
def glyphs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Strokes of SHAPES and, last, the disc (11, size, size) bool; the white dots (10, size, size) bool."""
    lines = [list(map(list, line.split())) for line in GLYPHS[size].splitlines() if line.strip()]
    cells = np.array(lines).swapaxes(0, 1)
    squared = (np.arange(size) - size // 2) ** 2
    disc = squared[:, None] + squared <= (size // 2) ** 2 + 1
    return np.concatenate([cells == "#", disc[None]]), cells == "o"


def _draw(draws: _Draws, knobs: _Knobs, pairs, matches, tops, shifts) -> dict[str, np.ndarray]:
    """`images`, `boxes` and `pixels` of the candidates, the two cues and the dot."""
    n, size, rows = knobs.candidates, knobs.glyph_size, np.arange(draws.count)
    stroke, dot = glyphs(size)
    match_colour, match_shape, marked = matches.T
    disc = np.full(draws.count, _DISC)
    kinds = np.column_stack([pairs[:, 0], disc, pairs[rows, 0, match_shape]])
    inks = np.full((draws.count, n + 3, 3), 255, np.uint8)
    inks[:, :n] = RGB[pairs[:, 1]]
    inks[:, n] = RGB[pairs[rows, 1, match_colour]]
    strokes = stroke[kinds]  # (count, n+2, size, size)
    if knobs.dropout:
        words = draws.words(_DROPOUT, -(-strokes[0].size // 4))
        keep = _bits(words, "<u2")[:, : strokes[0].size] >= round(1000 * knobs.dropout) * 2**16 // 1000
        strokes &= keep.reshape(strokes.shape) | (kinds == _DISC)[:, :, None, None]
    layers = np.concatenate([strokes, dot[pairs[rows, 0, marked]][:, None]], axis=1)
    corners = np.concatenate([tops + shifts, (tops + shifts)[rows, marked][:, None]], axis=1)

    images = _background(draws, round(1000 * knobs.noise))
    boxes, pixels = np.zeros((2, draws.count, SIZE, SIZE), np.uint8)
    image, layer, row, column = np.nonzero(layers)
    row, column = corners[image, layer].T + np.stack([row, column])
    images[image, :, row, column] = inks[image, layer]
    pixels[image, row, column] = layer + 1
    inside = tops[..., None] + np.arange(knobs.side)  # (count, n+2, 2, side)
    codes = np.arange(1, n + 3)[:, None, None]
    boxes[rows[:, None, None, None], inside[:, :, 0, :, None], inside[:, :, 1, None, :]] = codes
    return {"images": images, "boxes": boxes, "pixels": pixels}


def _scenes(draws: _Draws, knobs: _Knobs) -> dict[str, np.ndarray]:
    """The fields of Scenes for one chunk."""
    n, rows = knobs.candidates, np.arange(draws.count)
    pairs, roles = _candidates(draws, knobs), draws.words(_ROLES, 5)
    matches, bins = _below(roles[:, :3], n), knobs.bins[_below(roles[:, 3:], len(knobs.bins))]
    shifts = _below(draws.words(_SHIFTS, 2 * (n + 2)), knobs.jitter + 1).reshape(-1, n + 2, 2)
    tops = _place(draws, knobs, matches[:, :2], bins, shifts)
    centres = tops + shifts + knobs.glyph_size // 2
    gaps = centres[rows[:, None], matches[:, :2]] - centres[:, n:]
    distances = np.sqrt((gaps**2).sum(2)).astype(np.float32)
    factors = {"shapes": pairs[:, 0], "colours": pairs[:, 1], "centres": centres}
    factors |= dict(zip(("match_colour", "match_shape", "marked"), matches.T, strict=True))
    factors |= dict(zip(("bin_colour", "bin_shape"), bins.T, strict=True))
    return {
        **_draw(draws, knobs, pairs, matches, tops, shifts),
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
) -> Scenes:
    """The first `count` scenes of a split; scene i depends on i, the split, the seed and the knobs alone.

    `noise` is the background's standard deviation as a fraction of 255; `jitter` by how many pixels a glyph
    may be shifted in a box that is as many larger; `dropout` the chance that a stroke pixel of a candidate or
    of the shape cue is missing (noise and dropout count in thousandths); `distances` the bins from cue to
    match. With `held_out_pairs` no candidate of train and val has one of these (shape, colour) pairs, and in
    test-pairs all have.

    With one bin alone not all distractors find a place in it, and places give the match away (62 % instead of
    25 % with far alone): fine to test on, not to train on. Raises ValueError that names the knob, its value
    and what would do.
    """
    knobs = _Knobs(split, count, seed, candidates, noise, glyph_size, jitter, dropout, distances, held_out_pairs)
    whole: dict[str, np.ndarray] = {}
    for start in range(0, max(count, 1), _CHUNK):
        chunk = _scenes(_Draws(seed, split, start, min(_CHUNK, count - start)), knobs)
        for name, values in chunk.items():
            if not start:
                whole[name] = np.empty((count, *values.shape[1:]), values.dtype)
            whole[name][start : start + len(values)] = values
    return Scenes(**whole)
