"""ROAD and randomization on networks and maps that were planted, so that the answer is known."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from torch import nn

from cnntention.config import Model
from cnntention.explanation.cam import Sample, grad_cam
from cnntention.explanation.faithfulness import SHARES, confidence, kept, randomization, removal_order, road
from cnntention.explanation.imputation import NOISE, impute, smooth
from cnntention.models.registry import build

PATCH = np.zeros((16, 16), bool)
PATCH[3:7, 9:13] = True


# --- ROAD -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", SHARES)
def test_exactly_the_asked_share_is_removed_though_most_of_a_map_is_0(share):
    draws = np.random.default_rng(0)
    maps = np.where(draws.random((5, 20, 20)) < 0.1, draws.random((5, 20, 20)), 0)
    order = removal_order(maps, seed=0)
    for which in ("morf", "lerf"):
        keep = kept(order, share, which, (20, 20))
        assert ((~keep).sum(axis=(1, 2)) == round(share * 400)).all()
    assert not (kept(order, share, "morf", (20, 20)) & (maps > 0)).any()  # all of the 10 % go first
    assert kept(order, share, "lerf", (20, 20))[maps > 0].all()  # and last


def test_order_is_by_relevance_with_ties_at_random():
    maps = np.zeros((2, 2, 3))
    maps[:, 0, :] = (0.1, 0.3, 0.2)
    order = removal_order(maps, seed=0)
    assert order[:, 3:].tolist() == [[0, 2, 1]] * 2
    first = [tuple(removal_order(np.zeros((1, 1, 4)), seed)[0]) for seed in range(200)]
    assert len(set(first)) == 24
    assert np.array_equal(order, removal_order(maps, seed=0))


@pytest.mark.parametrize("kind", ["scattered", "one hole"])
def test_imputation_solves_the_librarys_system(kind):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 32, 32)
    keep = torch.rand(4, 32, 32) > 0.8
    if kind == "one hole":
        keep = torch.ones(4, 32, 32, dtype=torch.bool)
        keep[:, 2:, :28] = False
    exact = NoisyLinearImputer(noise=0)
    expected = torch.stack([exact(image, mask.float()) for image, mask in zip(images, keep, strict=True)])
    found = smooth(images.to(memory_format=torch.channels_last), keep)
    np.testing.assert_allclose(found, expected, atol=0.2 * NOISE)
    assert torch.equal(found[keep[:, None].expand_as(images)], images[keep[:, None].expand_as(images)])


def test_imputation_adds_noise_to_removed_pixels_alone():
    images, keep = torch.full((6, 1, 32, 32), 2.0), torch.rand(6, 32, 32) > 0.5
    found = impute(images, keep, seed=0)[:, 0]
    assert (found[keep] == 2).all()
    assert found[~keep].mean() == pytest.approx(2, abs=0.1 * NOISE)
    assert found[~keep].std() == pytest.approx(NOISE, rel=0.1)
    assert torch.equal(found, impute(images, keep, seed=0)[:, 0])


class PatchReader(nn.Module):
    """Two classes: is the patch bright or dark? Nothing else matters."""

    def forward(self, x):
        score = x[:, 0, torch.from_numpy(PATCH)].mean(1)
        return torch.stack([score, -score], dim=1)


def patches(count: int) -> Sample:
    draws = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(count, 1, 16, 16, generator=draws)
    classes = torch.arange(count) % 2
    images[:, 0, torch.from_numpy(PATCH)] += 2.0 * (1 - 2 * classes[:, None])
    assert torch.equal(PatchReader()(images).argmax(1), classes)
    return Sample(list(range(count)), np.zeros((count, 1, 16, 16), np.uint8), images, classes, classes)


def test_road_finds_the_map_that_says_what_a_network_uses():
    images = patches(40)
    right = np.broadcast_to(PATCH * 1.0, (40, 16, 16))
    found = road(PatchReader(), images, {"right": right, "wrong": 1 - right, "random": 0 * right}, seed=0)
    scores = {row.method: row.road for row in found}
    assert scores["right"] == pytest.approx(-scores["wrong"], abs=0.02)
    assert scores["right"] > 0.15
    assert abs(scores["random"]) < 0.05
    right = found[0]
    whole, _ = confidence(PatchReader(), images.images, images.predicted)
    # the patch is 1/16 of the image: least relevant first never touches it, most relevant first always takes all of it
    assert (right.images, right.lerf, right.lerf_unchanged) == (40, pytest.approx(whole.mean()), 1.0)
    assert right.morf == pytest.approx(0.5, abs=0.05)
    assert right.road == pytest.approx((right.lerf - right.morf) / 2)


def test_confidence_is_of_the_named_class():
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    p, first = confidence(nn.Identity(), logits, torch.tensor([0, 0]))
    assert p == pytest.approx([1 / (1 + np.e), 1 / (1 + np.exp(-2))])
    assert first.tolist() == [False, True]


# --- randomization ----------------------------------------------------------------------------------------------


def network(seed: int) -> nn.Module:
    attention = {"stage2": {"kind": "self-attention", "gate_init": 0.5}}
    return build(Model(depth=8, width=4, attention=attention), 3, 10, seed).eval()


def test_maps_of_the_same_parameters_survive():
    torch.manual_seed(0)
    images, classes = torch.randn(6, 3, 32, 32), torch.arange(6)
    maps = [grad_cam(network(seed), images, classes) for seed in (0, 0, 1)]
    same = randomization(maps[0], maps[1:2], 0.5)
    assert (same.correlation, same.sane) == (pytest.approx(1), False)
    assert randomization(maps[0], maps[2:], 0.5).correlation < 0.99


def test_maps_of_the_image_alone_are_not_sane_and_unrelated_ones_are():
    draws = np.random.default_rng(1)
    edges, *others = draws.random((4, 6, 32, 32))
    assert not randomization(edges, [edges, edges], 0.5).sane
    unrelated = randomization(edges, others, 0.5)
    assert (unrelated.sane, unrelated.draws, unrelated.images) == (True, 3, 6)
    assert abs(unrelated.correlation) < 0.04  # 18 pairs of 1024 independent pixels: se 0.007


def test_maps_that_cannot_be_compared_are_not_sane():
    nothing = randomization(np.zeros((4, 8, 8)), [np.ones((4, 8, 8))], 0.5)
    assert (nothing.correlation, nothing.sane) == (None, False)
