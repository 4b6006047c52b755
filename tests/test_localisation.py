"""Scores of maps against masks: worked by hand, by counting pairs, and on CueMatch, whose masks are known."""

import numpy as np
import pytest
import torch

from cnntention.config import Model
from cnntention.data import cuematch
from cnntention.explanation import localisation
from cnntention.explanation.cam import Sample, grid, through_grid
from cnntention.explanation.localisation import Method, baselines, compare, localise, ranking_auc, relevance_mass
from cnntention.explanation.ranks import rank_correlation, ranks
from cnntention.models.registry import build


def chosen(pixels: np.ndarray) -> Sample:
    nobody = torch.zeros(len(pixels), dtype=torch.long)
    return Sample(list(range(len(pixels))), pixels, torch.from_numpy(pixels).float(), nobody, nobody)


def counted_auc(maps: np.ndarray, mask: np.ndarray) -> float:
    """Every pair of a pixel inside and one outside: won, tied or lost."""
    inside, outside = maps[mask][:, None], maps[~mask]
    return float(((inside > outside) + 0.5 * (inside == outside)).mean())


def test_mass_by_hand():
    maps = np.array([[[1, 2], [3, 4]], [[0, 0], [0, 0]], [[0, 0], [0, 5]]], np.float32)
    mask = np.array([[[0, 1], [0, 1]]] * 3, bool)
    assert relevance_mass(maps, mask) == pytest.approx([0.6, np.nan, 1.0], nan_ok=True)


def test_auc_counts_pairs_with_ties_half():
    draws = np.random.default_rng(0)
    maps = np.maximum(draws.integers(-3, 6, (20, 7, 9)), 0)  # many ties, most of them at 0
    mask = draws.random((20, 7, 9)) < 0.3
    expected = [counted_auc(m, inside) for m, inside in zip(maps, mask, strict=True)]
    assert ranking_auc(ranks(maps), mask) == pytest.approx(expected)
    assert ranking_auc(ranks(mask * 1.0), mask) == pytest.approx(1)
    assert ranking_auc(ranks(np.ones(maps.shape)), mask) == pytest.approx(0.5)
    assert np.isnan(ranking_auc(ranks(maps[:1]), np.ones((1, 7, 9), bool)))


def test_rank_correlation_equals_scipys():
    from scipy.stats import spearmanr

    draws = np.random.default_rng(1)
    first, second = np.maximum(draws.normal(size=(2, 6, 8, 8)), 0)
    first[5] = 0
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first[:5], second[:5], strict=True)]
    assert rank_correlation(first, second) == pytest.approx([*expected, np.nan], nan_ok=True)


def test_ranks_equal_scipys():
    from scipy.stats import rankdata

    draws = np.random.default_rng(2)
    for maps in (draws.random((3, 5, 7)), draws.integers(0, 9, (4, 6, 6), dtype=np.uint8), np.zeros((2, 3, 3))):
        assert np.array_equal(ranks(maps), rankdata(maps.reshape(len(maps), -1), axis=1))


def test_edges_equal_scipys():
    from scipy.ndimage import sobel

    pixels = np.random.default_rng(3).integers(0, 256, (4, 3, 9, 12), dtype=np.uint8)
    expected = [np.hypot(sobel(grey, axis=0), sobel(grey, axis=1)) for grey in pixels.mean(axis=1)]
    assert np.array_equal(baselines(pixels)["edges"], expected)


def test_baselines_by_hand():
    step = np.zeros((2, 3, 16, 16), np.uint8)
    step[:, :, :, 8:] = 30
    found = baselines(step)
    assert (found["uniform"] == 1).all()
    edges = np.zeros((16, 16))
    edges[:, 7:9] = 4 * 30  # Sobel: 1 2 1 times the step of 30
    np.testing.assert_allclose(found["edges"], [edges, edges])
    middle = found["centre"][0, 7]
    assert middle[11] / middle[7] == pytest.approx(np.exp(-(3.5**2 - 0.5**2) / (2 * 4**2)))  # sd 4 of 16 pixels
    np.testing.assert_allclose(found["centre"], found["centre"][:, ::-1, ::-1])


def test_the_ceiling_of_two_boxes():
    """Two 7 x 7 boxes are .096 of the image; their mask at 8 x 8 cells has .60 of its mass inside."""
    codes = cuematch.generate("test", 300).mask("relation-colour")
    mask = (codes == 1) | (codes == 2)
    assert relevance_mass(np.ones(mask.shape), mask) == pytest.approx(98 / 1024)
    assert grid((32, 32)) == (8, 8)
    assert relevance_mass(through_grid(mask, (8, 8)), mask).mean() == pytest.approx(0.60, abs=0.01)


def test_a_grid_rounds_up_as_the_network_does():
    net, sizes = build(Model(depth=8, width=4), 1, 10).eval(), []
    net.end("stage3").register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[2:])))
    net(torch.zeros(1, 1, 30, 25))
    assert sizes == [grid((30, 25))]


def test_normalized_mass_is_0_for_uniform_and_1_for_the_ceiling():
    mask = np.zeros((3, 8, 8), bool)
    mask[0, 2:5, 2:5] = mask[1, 0, 0] = True  # the third image's mask is empty
    draws = np.random.default_rng(0)
    methods = {
        "gradcam": draws.random(mask.shape),
        "uniform": np.ones(mask.shape),
        "ceiling": through_grid(mask, (4, 4)),
    }
    scores = compare({name: Method(maps) for name, maps in methods.items()}, mask)
    assert [scores[name]["images"] for name in scores] == [2, 2, 2]
    assert scores["uniform"]["normalized_mass"] == 0
    assert scores["uniform"]["mass"] == pytest.approx((9 + 1) / 64 / 2)
    assert scores["ceiling"]["normalized_mass"] == 1
    low, high = scores["uniform"]["mass"], scores["ceiling"]["mass"]
    mass = relevance_mass(methods["gradcam"], mask)[:2].mean()
    assert scores["gradcam"]["normalized_mass"] == pytest.approx((mass - low) / (high - low))
    assert scores["gradcam"]["auc"] == pytest.approx(
        np.mean([counted_auc(methods["gradcam"][i], mask[i]) for i in (0, 1)])
    )


def test_empty_maps_count_as_nothing():
    mask = np.zeros((4, 8, 8), bool)
    mask[:, :4, :4] = True
    maps = mask * 1.0
    maps[3] = 0
    methods = {"gradcam": maps, "uniform": np.ones(mask.shape), "ceiling": mask * 1.0, "untrained": 0 * maps}
    scores = compare({name: Method(maps) for name, maps in methods.items()}, mask)
    assert scores["gradcam"] == {"images": 3, "empty": 1, "mass": 1, "normalized_mass": 1, "auc": 1}
    assert scores["uniform"]["images"] == 3  # the same images
    assert scores["untrained"] == {"images": 0, "empty": 4, "mass": None, "normalized_mass": None, "auc": None}


def test_regions_come_from_the_masks_of_cuematch():
    scenes = cuematch.generate("test", 6)
    images = chosen(scenes.images)
    for track, names in (("relation-shape", ["match+cue", "match", "cue"]), ("local", ["match"])):
        codes = scenes.mask(track)
        found = localisation.regions(images, {"mask": codes}, None)
        assert list(found) == names
        assert np.array_equal(found["match"], codes == 1)
    both = localisation.regions(images, {"mask": scenes.mask("relation-shape")}, None)
    assert np.array_equal(both["match+cue"], both["match"] | both["cue"])
    assert (both["match+cue"].sum(axis=(1, 2)) == 98).all()


def test_regions_come_from_a_threshold_where_there_are_no_masks():
    pixels = np.zeros((2, 3, 4, 4), np.uint8)
    pixels[0, 1, 2, 3] = 11
    found = localisation.regions(chosen(pixels), {}, 10)
    assert found["foreground"].sum() == 1
    assert found["foreground"][0, 2, 3]
    assert not localisation.regions(chosen(pixels), {}, 11)["foreground"].any()
    assert localisation.regions(chosen(pixels), {}, None) == {}


def test_scores_of_maps_that_are_known():
    scenes = cuematch.generate("test", 8)
    images = chosen(scenes.images)
    mask = localisation.regions(images, {"mask": scenes.mask("relation-colour")}, None)["match+cue"]
    perfect, blind = through_grid(mask, grid((32, 32))), np.ones((8, 32, 32))
    scores = {score.method: score for score in localise(perfect, blind, images, "match+cue", mask)}
    assert list(scores) == ["gradcam", "untrained", "uniform", "centre", "edges", "ceiling"]
    assert {score.region for score in scores.values()} == {"match+cue"}
    assert scores["gradcam"].mass == scores["ceiling"].mass
    assert (scores["gradcam"].normalized_mass, scores["untrained"].normalized_mass) == (1, 0)
    assert scores["untrained"].mass == pytest.approx(98 / 1024)
