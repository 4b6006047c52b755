"""CueMatch: its bytes never change, labels follow from the pixels, and no track is solved without its cue."""

import dataclasses
import hashlib
import re

import numpy as np
import pytest

from cnntention.data.cuematch import (
    BINS,
    COLOURS,
    RGB,
    SHAPES,
    SPLITS,
    TRACKS,
    generate,
    generator,
    glyphs,
    held_out,
    vocabulary,
)
from cnntention.data.cuematch.drawing import background
from cnntention.data.cuematch.words import Draws

# The 99.9999 % quantile of chi-square, by degrees of freedom: the draws are fixed, so a pass stays a pass.
CHI2 = {1: 23.9, 2: 27.6, 3: 30.7, 9: 45.1}
KNOBS = {
    "default": {},
    "one": {"candidates": 1},
    "six": {"candidates": 6},
    "small": {"glyph_size": 5, "candidates": 6},
    "jitter": {"jitter": 1},
    "dropout": {"dropout": 0.1},
    "crowded": {"candidates": 6, "jitter": 1, "dropout": 0.1},
    "far": {"distances": ["far"]},
    "near": {"distances": ["near"], "candidates": 6},
    "held-out": {"held_out_pairs": 15},
    "silent": {"noise": 0},
    "demo": {"size": 24, "vocabulary": 4, "candidates": 3, "glyph_size": 5, "noise": 0, "distances": ["near", "mid"]},
}
GOLDEN = {
    "default": "93553d239dc4e66587e2330cbe2ea08b28d7ef167fb866261b9160ca076cf413",
    "crowded": "c73e66410fe4097434ff8dab8db8446008103d5d20a207fed7cbc1392aba055f",
    "held-out": "73c53ee529c12234bed34858d5bc5e8737586b2d3250cb0ae900754a030b3bf0",
}


@pytest.fixture(scope="module", params=KNOBS)
def knobs(request):
    return KNOBS[request.param]


@pytest.fixture(scope="module")
def scenes(knobs):
    return generate("test", 120, **knobs)


@pytest.fixture(scope="module")
def many():
    return generate("train", 8000, noise=0)


def chi2(counts, expected=None):
    counts = np.asarray(counts, float)
    expected = counts.mean() if expected is None else expected
    return ((counts - expected) ** 2 / expected).sum()


def digest(scenes):
    sha = hashlib.sha256()
    for field in dataclasses.fields(scenes):
        values = getattr(scenes, field.name)
        sha.update(f"{field.name}{values.dtype.str}{values.shape}".encode() + values.tobytes())
    return sha.hexdigest()


# --- bytes ---


@pytest.mark.parametrize("name", GOLDEN)
def test_bytes_never_change(name):
    """If this fails, stored datasets are outdated: undo the change, or raise VERSION with the new hash."""
    assert digest(generate("train", 40, seed=3, **KNOBS[name])) == GOLDEN[name]


def test_scene_does_not_depend_on_count_or_chunk(monkeypatch):
    long = generate("val", 70)
    monkeypatch.setattr(generator, "CHUNK", 16)
    for count in (0, 1, 33):
        short = generate("val", count)
        for field in dataclasses.fields(short):
            np.testing.assert_array_equal(getattr(short, field.name), getattr(long, field.name)[:count])


def test_seeds_and_splits_differ_but_noise_keeps_the_scene():
    base, quiet = generate("train", 20), generate("train", 20, noise=0.05)
    np.testing.assert_array_equal(base.pixels, quiet.pixels)
    for other in (generate("train", 20, seed=1), generate("val", 20), generate("test", 20)):
        assert (other.images != base.images).any((1, 2, 3)).all()
        assert (other.centres != base.centres).any((1, 2)).all()


def test_shapes_and_types(scenes, knobs):
    size = knobs.get("size", 32)
    assert scenes.images.shape == (120, 3, size, size)
    assert scenes.images.dtype == scenes.boxes.dtype == scenes.pixels.dtype == np.uint8
    for track in TRACKS:
        assert scenes.labels(track).dtype == np.int64
        assert scenes.mask(track).dtype == np.uint8
        factors = scenes.factors(track)
        assert factors.keys() == scenes.factors("local").keys()
        assert all(len(v) == 120 and v.flags.c_contiguous for v in factors.values())


# --- glyphs, colours and noise ---


@pytest.mark.parametrize(("size", "least"), [(7, 11), (5, 7)])
def test_glyphs_differ(size, least):
    strokes, dots = glyphs(size)
    letters = strokes[:-1]
    differing = (letters[:, None] != letters).sum((2, 3))[~np.eye(10, dtype=bool)]
    assert strokes.shape == (11, size, size)
    assert differing.min() >= least
    assert not (letters & dots).any()  # the dot hides no stroke
    assert set(dots.sum((1, 2))) == ({4} if size == 7 else {2})
    for axis in (1, 2):
        assert letters.any(axis)[:, [0, -1]].all()  # each fills its box


def test_colours_are_equally_light_and_far_apart():
    linear = (RGB / 255.0 <= 0.04045) * RGB / 255 / 12.92 + (RGB / 255 > 0.04045) * ((RGB / 255 + 0.055) / 1.055) ** 2.4
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    x, y, z = np.cbrt(xyz / [0.9505, 1, 1.089]).T
    lab = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    apart = np.linalg.norm(lab[:, None] - lab, axis=2)[~np.eye(10, dtype=bool)]
    assert np.ptp(lab[:, 0]) < 3
    assert apart.min() > 30
    assert len(SHAPES) == len(COLOURS) == len(RGB) == 10


@pytest.mark.parametrize("noise", [0, 0.05, 0.15, 0.25])
def test_noise_has_the_mean_and_deviation_asked_for(noise):
    scenes = generate("train", 300, noise=noise)
    values = scenes.images.transpose(1, 0, 2, 3)[:, scenes.pixels == 0] / 255
    clipped = 0.02 if noise == 0.25 else 0.01
    assert values.mean() == pytest.approx(0.35, abs=clipped)
    assert values.std() == pytest.approx(noise, rel=0.1, abs=0.002)


def test_noise_amplitude_falls_as_one_over_frequency():
    draws = Draws(seed=0, split="train", start=0, count=400)
    noise = background(draws, 80).reshape(-1, 32, 32).astype(float)
    power = (abs(np.fft.rfft2(noise)) ** 2).mean(0)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(32), np.fft.rfftfreq(32), indexing="ij"))
    band = (frequency > 0) & (frequency < 0.5)
    slope = np.polyfit(np.log(frequency[band]), np.log(power[band]) / 2, 1)[0]
    assert -1.4 < slope < -0.7


# --- the scene ---


def test_boxes_lie_inside_and_apart(scenes, knobs):
    n, side = scenes.shapes.shape[1], knobs.get("glyph_size", 7) + knobs.get("jitter", 0)
    for boxes in scenes.boxes:
        spots = [np.argwhere(boxes == code) for code in range(1, n + 3)]
        assert [len(spot) for spot in spots] == [side**2] * (n + 2)  # none cut, none covered
        lows, highs = np.array([s.min(0) for s in spots]), np.array([s.max(0) for s in spots])
        assert lows.min() >= 1
        assert highs.max() <= knobs.get("size", 32) - 2
        gaps = np.maximum(lows[:, None] - highs, lows - highs[:, None]).max(2) - 1
        assert gaps[~np.eye(n + 2, dtype=bool)].min() >= 1
    drawn = (scenes.pixels > 0) & (scenes.pixels <= n + 2)
    assert (scenes.pixels[drawn] == scenes.boxes[drawn]).all()


def test_candidates_are_distinct_and_cues_copy_them(scenes):
    for values in (scenes.shapes, scenes.colours):
        assert all(len(set(row)) == len(row) for row in values.tolist())
    factors = scenes.factors("local")
    assert (scenes.colours == factors["cue_colour"][:, None]).sum(1).tolist() == [1] * 120
    assert (scenes.shapes == factors["cue_shape"][:, None]).sum(1).tolist() == [1] * 120


def read(scenes, i, code, size):
    """The shape and the RGB of an object, from pixels alone: the nearest glyph, the strokes' one colour."""
    strokes, _ = glyphs(size)
    row, column = np.argwhere(scenes.boxes[i] == code).min(0)
    drawn = np.argwhere(scenes.pixels[i] == code)
    side = int((scenes.boxes[i] == code).sum() ** 0.5)
    costs = {}
    for down in range(side - size + 1):
        for right in range(side - size + 1):
            patch = np.zeros((side, side), bool)
            patch[tuple((drawn - (row, column)).T)] = True
            outside = patch.sum()
            patch = patch[down : down + size, right : right + size]
            outside -= patch.sum()
            for shape, stroke in enumerate(strokes):  # dropout only removes: a pixel too many rules a shape out
                wrong = (patch & ~stroke).sum() + outside
                costs[shape, down, right] = 100 * wrong + (stroke & ~patch).sum()
    inks = {tuple(ink) for ink in scenes.images[i][:, scenes.pixels[i] == code].T.tolist()}
    assert len(inks) == 1
    return min(costs, key=costs.get)[0], inks.pop()


def test_labels_can_be_read_from_the_pixels(scenes, knobs):
    n, size = scenes.shapes.shape[1], knobs.get("glyph_size", 7)
    words = vocabulary(knobs.get("vocabulary", 10))  # labels count the shapes and colours that are in use
    wrong = 0
    for i in range(40):
        seen = [read(scenes, i, code, size) for code in range(1, n + 3)]
        shapes, inks = [s for s, _ in seen], [ink for _, ink in seen]
        dot = np.argwhere(scenes.pixels[i] == n + 3)
        marked = {int(code) - 1 for code in scenes.boxes[i][tuple(dot.T)]}
        assert len(marked) == 1
        assert (scenes.images[i][:, scenes.pixels[i] == n + 3] == 255).all()
        assert shapes[n] == len(SHAPES)  # the disc
        assert inks[n + 1] == (255, 255, 255)
        assert inks[marked.pop()] == tuple(RGB[words[scenes.labels("local")[i]]].tolist())
        assert scenes.labels("relation-colour")[i] == scenes.shapes[i, inks.index(inks[n])]
        wrong += shapes[:n] != words[scenes.shapes[i]].tolist()
        wrong += shapes[n + 1] != words[scenes.shapes[i, scenes.match_shape[i]]]
        assert inks[scenes.match_shape[i]] == tuple(RGB[words[scenes.labels("relation-shape")[i]]].tolist())
    assert wrong <= (4 if knobs.get("dropout") else 0)  # dropout may turn one glyph into another


def test_distances_lie_in_their_bins(scenes, knobs):
    n, rows = scenes.shapes.shape[1], np.arange(len(scenes.images))
    for track, cue in (("relation-colour", n), ("relation-shape", n + 1)):
        factors = scenes.factors(track)
        gap = scenes.centres[rows, factors["match"]].astype(float) - scenes.centres[:, cue]
        np.testing.assert_allclose(factors["distance"], np.hypot(*gap.T), rtol=1e-6)
        low, high = np.array(list(BINS.values()))[factors["distance_bin"]].T
        assert ((low <= factors["distance"]) & (factors["distance"] < high)).all()
        names = {list(BINS)[b] for b in factors["distance_bin"]}
        assert names == set(knobs.get("distances", BINS))


@pytest.mark.parametrize("area", ["boxes", "pixels"])
def test_masks(scenes, area):
    n, objects = scenes.shapes.shape[1], getattr(scenes, area)
    for track in TRACKS:
        mask, match = scenes.mask(track, area), scenes.match(track)
        for i in range(20):
            asked = {int(match[i]) + 1} | ({n + 3} if track == "local" else set())
            cue = {"relation-colour": {n + 1}, "relation-shape": {n + 2}, "local": set()}[track]
            expected = [0 if c == 0 else 1 if c in asked else 2 if c in cue else 3 for c in range(n + 4)]
            np.testing.assert_array_equal(mask[i], np.array(expected)[objects[i]])
    assert (scenes.factors("local")["distance"] == -1).all()
    assert (scenes.factors("local")["cue_centre"] == -1).all()


def test_jitter_moves_glyphs_in_their_boxes():
    scenes = generate("train", 100, jitter=1)
    lows = np.array([[np.argwhere(b == code).min(0) for code in range(1, 7)] for b in scenes.boxes])
    shifts = scenes.centres - lows - 3
    assert sorted({tuple(s) for s in shifts.reshape(-1, 2).tolist()}) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_dropout_takes_its_share_and_spares_disc_and_dot():
    whole, holed = generate("train", 200), generate("train", 200, dropout=0.2)
    for code in range(1, 8):
        kept = (holed.pixels == code).sum() / (whole.pixels == code).sum()
        assert kept == (1 if code in (5, 7) else pytest.approx(0.8, abs=0.03))


# --- chance ---


def test_labels_and_roles_are_uniform(many):
    for track in TRACKS:
        assert chi2(np.bincount(many.labels(track), minlength=10)) < CHI2[9]
        assert chi2(np.bincount(many.match(track), minlength=4)) < CHI2[3]
    for bins in (many.bin_colour, many.bin_shape):
        assert chi2(np.bincount(bins, minlength=3)) < CHI2[2]
    for one, two in (
        ("match_colour", "match_shape"),
        ("match_colour", "marked"),
        ("bin_colour", "bin_shape"),
    ):
        joint = np.unique(getattr(many, one) * 4 + getattr(many, two), return_counts=True)[1]
        assert chi2(joint) < 50  # independent, too: 15 or 8 degrees of freedom


def test_without_the_cue_every_candidate_is_as_likely(many):
    """Given the candidates' shapes, colours and the mark, the match is uniform over them: 1/N is the end."""
    for match, values in ((many.match_colour, many.shapes), (many.match_shape, many.colours)):
        rank = (values < values[np.arange(len(match)), match][:, None]).sum(1)
        assert chi2(np.bincount(rank, minlength=4)) < CHI2[3]
        is_marked = (match == many.marked).sum()
        assert chi2([is_marked, len(match) - is_marked], len(match) * np.array([0.25, 0.75])) < CHI2[1]


@pytest.mark.parametrize(
    ("knobs", "best"),
    [({"candidates": 2}, 0.54), ({"candidates": 4}, 0.285), ({"candidates": 6}, 0.21), (KNOBS["demo"], 0.375)],
)
def test_places_do_not_give_the_match_away(knobs, best):
    """Who knows every distance but neither shape nor colour, and bets on the likeliest, stays near 1/N."""
    scenes = generate("train", 2500, **{"noise": 0} | knobs)
    n, rows, centre = knobs["candidates"], np.arange(2500), (knobs.get("size", 32) - 1) / 2
    for match, cue in ((scenes.match_colour, n), (scenes.match_shape, n + 1)):
        gaps = np.linalg.norm(scenes.centres[:, :n].astype(float) - scenes.centres[:, cue, None], axis=2)
        middle = np.linalg.norm(scenes.centres[:, :n] - centre, axis=2)
        for clue in (gaps, -gaps, middle, -middle, abs(gaps - 10), abs(gaps - 15), abs(gaps - 21)):
            assert (clue.argmin(1) == match).mean() < best
        other = np.ones((2500, n), bool)
        other[rows, match] = False
        edges = [8, 12, 18, 34]  # no bin is likelier for the match
        mine, theirs = (np.histogram(g, edges)[0] / g.size for g in (gaps[rows, match], gaps[other]))
        np.testing.assert_allclose(theirs, mine, atol=0.05)


def test_a_small_vocabulary_is_spread_over_the_whole():
    for size in range(2, 11):
        words = vocabulary(size)
        assert len(set(words.tolist())) == size
        assert words.max() < len(SHAPES)
    np.testing.assert_array_equal(vocabulary(10), np.arange(10))
    scenes = generate("train", 4000, **KNOBS["demo"])
    for track in TRACKS:
        assert chi2(np.bincount(scenes.labels(track), minlength=4)) < CHI2[3]


# --- held-out pairs ---


def test_held_out_pairs_are_a_permutation_in_which_every_ten_are_balanced():
    pairs = held_out(100)
    assert len({tuple(p) for p in pairs.tolist()}) == 100
    for start in range(0, 100, 10):
        assert all(sorted(column) == list(range(10)) for column in pairs[start : start + 10].T.tolist())


@pytest.mark.parametrize(("count", "candidates"), [(4, 4), (15, 4), (50, 6)])
def test_held_out_pairs(count, candidates):
    held = {tuple(p) for p in held_out(count).tolist()}
    share = {}
    for split in SPLITS:
        scenes = generate(split, 200, held_out_pairs=count, candidates=candidates, glyph_size=5)
        pairs = np.stack([scenes.shapes, scenes.colours], axis=2).reshape(-1, 2)
        share[split] = np.mean([tuple(p) in held for p in pairs.tolist()])
    assert share["train"] == share["val"] == 0
    assert share["test-pairs"] == 1
    assert share["test"] == pytest.approx(count / 100, abs=0.05)


def test_labels_stay_uniform_with_pairs_held_out():
    scenes = generate("train", 4000, held_out_pairs=20, noise=0, glyph_size=5)
    for track in TRACKS:
        assert chi2(np.bincount(scenes.labels(track), minlength=10)) < CHI2[9]


# --- errors ---


@pytest.mark.parametrize(
    ("knob", "value", "remedy"),
    [
        ("count", -1, "a whole number from 0 to 1000000000"),
        ("seed", -1, "a whole number from 0 to 18446744073709551615"),
        ("candidates", 7, "a whole number from 1 to 6"),
        ("candidates", 2.0, "a whole number from 1 to 6"),
        ("candidates", True, "a whole number from 1 to 6"),
        ("jitter", 2, "a whole number from 0 to 1"),
        ("held_out_pairs", 51, "a whole number from 0 to 50"),
        ("noise", 0.6, "a fraction from 0 to 0.5"),
        ("noise", "0.1", "a fraction from 0 to 0.5"),
        ("dropout", float("nan"), "a fraction from 0 to 0.5"),
        ("glyph_size", 6, "one of 7, 5"),
        ("size", 28, "one of 24, 32"),
        ("vocabulary", 1, "a whole number from 2 to 10"),
        ("split", "dev", "one of train, val, test, test-pairs"),
        ("distances", "near", "a list of near, mid, far, at least one, each once"),
        ("distances", [], "a list of near, mid, far, at least one, each once"),
        ("distances", ["near", "near"], "a list of near, mid, far, at least one, each once"),
        ("distances", ["close"], "a list of near, mid, far, at least one, each once"),
    ],
)
def test_bad_knobs(knob, value, remedy):
    with pytest.raises(ValueError, match=f"^{re.escape(f'{knob} is {value!r}: give {remedy}')}$"):
        generate(**{"split": "train", "count": 1, knob: value})


def test_bad_names():
    with pytest.raises(ValueError, match=r"held_out_pairs is 3: give at least candidates=4, for split test-pairs"):
        generate("test-pairs", 1, held_out_pairs=3)
    with pytest.raises(ValueError, match=r"candidates is 4: give at most vocabulary=3, for all candidates differ"):
        generate("train", 1, vocabulary=3)
    with pytest.raises(ValueError, match=r"give near, mid, for in 24 px few candidates find a far place"):
        generate("train", 1, size=24)
    with pytest.raises(ValueError, match=r"vocabulary is 5: held_out_pairs needs all 10"):
        generate("train", 1, vocabulary=5, held_out_pairs=4)
    scenes = generate("test", 1)
    with pytest.raises(ValueError, match=r"track is 'colour': give one of relation-colour, relation-shape, local"):
        scenes.labels("colour")
    with pytest.raises(ValueError, match=r"area is 'box': give one of boxes, pixels"):
        scenes.mask("local", "box")
