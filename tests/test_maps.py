"""Attention rows and look-up scores, from attention that was planted."""

import numpy as np
import pytest
import torch

from cnntention.config import Model
from cnntention.data import cuematch
from cnntention.explanation.cam import Sample
from cnntention.explanation.maps import attention_rows, cells_of, look_up, look_ups, matrices, queries
from cnntention.models.registry import attention_modules, build


def network(placement: str = "stage", **options) -> torch.nn.Module:
    kinds = [{"kind": "multi-head", "heads": 2, **options}, {"kind": "self-attention", **options}]
    attention = {"stage1": {"kind": "cbam", "reduction": 2}, "stage2": kinds, "stage3": kinds[0]}
    return build(Model(depth=8, width=4, attention=attention, placement=placement), 3, 10, seed=3).eval()


def chosen(count: int, size: tuple[int, int] = (32, 32)) -> Sample:
    torch.manual_seed(0)
    nobody = torch.zeros(count, dtype=torch.long)
    pixels = np.zeros((count, 3, *size), np.uint8)
    return Sample(list(range(count)), pixels, torch.randn(count, 3, *size), nobody, nobody)


def test_cells_of_a_grid():
    assert [cells_of(n, (32, 32)) for n in (1024, 256, 64, 63)] == [(32, 32), (16, 16), (8, 8), None]
    assert cells_of(7 * 8, (28, 32)) == (7, 8)


def test_uniform_attention_has_a_look_up_of_1():
    draws = torch.Generator().manual_seed(0)
    match, cue = torch.rand(2, 3, 64, generator=draws)
    weights = torch.full((3, 4, 64, 64), 1 / 64)
    np.testing.assert_allclose(look_up(weights, match, cue), np.ones((3, 4)), rtol=1e-5)


def test_attention_to_the_cue_alone_has_a_look_up_of_one_over_its_area():
    match, cue = torch.zeros(1, 64), torch.zeros(1, 64)
    match[0, :4], cue[0, 40:48] = 1, 1
    weights = torch.full((1, 2, 64, 64), 1 / 64)
    weights[0, 0, :4] = 0
    weights[0, 0, :4, 40] = 1  # the first head looks from the match at one cell of the cue
    score = look_up(weights, match, cue)
    assert score[0].tolist() == pytest.approx([64 / 8, 1])
    weights[0, 1, :4] = 0
    weights[0, 1, :4, 50] = 1  # the second, elsewhere
    assert look_up(weights, match, cue)[0, 1] == 0


def test_cells_count_by_their_share_of_the_object():
    match, cue = torch.zeros(1, 4), torch.zeros(1, 4)
    match[0, 0], match[0, 1], cue[0, 2], cue[0, 3] = 1.0, 0.25, 0.5, 1.0
    weights = torch.zeros(1, 1, 4, 4)
    weights[0, 0, 0] = torch.tensor([0.5, 0, 0.5, 0])
    weights[0, 0, 1] = torch.tensor([0, 0, 0, 1.0])
    # from cell 0, weight 0.8: 0.5 x 0.5; from cell 1, weight 0.2: 1 x 1; the cue is 1.5 / 4 of the area
    assert look_up(weights, match, cue).item() == pytest.approx((0.8 * 0.25 + 0.2 * 1) / 0.375)


@pytest.mark.parametrize("placement", ["stage", "block"])
def test_a_network_whose_attention_is_uniform_scores_1_everywhere(placement):
    codes = cuematch.generate("test", 10).mask("relation-colour")
    net = network(placement, query_key="zero")
    found = look_ups(net, chosen(10), codes == 1, codes == 2)
    names = [name for name, module in attention_modules(net) if hasattr(module, "query")]
    assert list(dict.fromkeys(row.module for row in found)) == names
    assert "stage2_1" in names or "stage2_block0_1" in names
    assert [row.score for row in found] == pytest.approx([1] * len(found), rel=1e-4)
    assert [row.se for row in found] == pytest.approx([0] * len(found), abs=1e-5)


def test_look_ups_are_means_over_images_of_either_direction():
    codes = cuematch.generate("test", 11).mask("relation-colour")
    net, images = network(), chosen(11)
    found = [row for row in look_ups(net, images, codes == 1, codes == 2) if row.module == "stage3"]
    weights, _ = matrices(net, images.images)["stage3"]
    pool = torch.nn.AvgPool2d(4)
    match, cue = (pool(torch.from_numpy(codes == code).float()).flatten(1) for code in (1, 2))
    for direction, (a, b) in {"match_to_cue": (match, cue), "cue_to_match": (cue, match)}.items():
        each = torch.stack(
            [
                sum(a[i, q] * (w[:, q] * b[i]).sum(1) for q in range(64)) / a[i].sum() / (49 / 1024)
                for i, w in enumerate(weights)
            ]
        ).numpy()
        heads = [row for row in found if row.direction == direction]
        assert [(row.head, row.images) for row in heads] == [(0, 11), (1, 11)]
        assert [row.score for row in heads] == pytest.approx(each.mean(0), rel=1e-4)
        assert [row.se for row in heads] == pytest.approx(each.std(0, ddof=1) / 11**0.5, rel=1e-4)


def test_rows_are_those_of_the_query_cells():
    net, images = network(), chosen(9, (28, 32))
    draws = np.random.default_rng(0)
    places = {name: draws.integers(0, (28, 32), (9, 2)) for name in ("a", "b", "c")}
    found = attention_rows(net, images, places)
    assert set(found) == {f"attention.{n}{s}" for n in ("stage2_0", "stage2_1", "stage3") for s in ("", ".queries")}
    assert found["attention.stage2_1"].shape == (9, 3, 1, 14, 16)
    assert found["attention.stage3"].shape == (9, 3, 2, 7, 8)
    np.testing.assert_allclose(found["attention.stage3"].astype(float).sum(axis=(3, 4)), 1, atol=0.01)
    weights, _ = matrices(net, images.images)["stage3"]
    for image, query in ((0, 0), (8, 2)):
        row, column = list(places.values())[query][image] // 4
        assert found["attention.stage3.queries"][image, query].tolist() == [row, column]
        expected = weights[image, :, row * 8 + column].reshape(2, 7, 8)
        np.testing.assert_allclose(found["attention.stage3"][image, query], expected, rtol=1e-3, atol=1e-6)


def test_queries_of_cuematch_are_the_objects_centres():
    scenes = cuematch.generate("test", 7)
    for track, names in (("relation-shape", ["match", "cue"]), ("local", ["match"])):
        extras = {f"factors.{name}": values for name, values in scenes.factors(track).items()}
        found = queries(chosen(7), extras, np.zeros((7, 32, 32)))
        assert list(found) == names
        for code, name in enumerate(names, start=1):
            rows, columns = found[name].T
            assert (scenes.mask(track)[np.arange(7), rows, columns] == code).all()


def test_queries_elsewhere_are_three_fixed_places_and_the_strongest_pixel():
    cams = np.zeros((2, 28, 32))
    cams[0, 5, 30] = cams[1, 27, 0] = 1
    found = queries(chosen(2, (28, 32)), {}, cams)
    assert {name: at.tolist() for name, at in found.items()} == {
        "centre": [[14, 16]] * 2,
        "upper-left": [[7, 8]] * 2,
        "lower-right": [[21, 24]] * 2,
        "strongest": [[5, 30], [27, 0]],
    }
