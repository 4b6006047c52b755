"""Grad-CAM against the published equation, and the choice of images."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cnntention.config import Model
from cnntention.data.augment import Batches
from cnntention.explanation.cam import SLOTS, choose_images, explain, grad_cam, summary
from cnntention.models.registry import build

MODELS = {
    "plain": Model(depth=8, width=8),
    "self-attention": Model(depth=8, width=8, attention={"stage3": {"kind": "self-attention", "gate_init": 0.5}}),
}


def plain_grad_cam(net, image, target, stage):
    """Selvaraju et al. 2017, eq. 1 and 2, for one image; scaled to [0, 1] and resized as pytorch-grad-cam does."""
    kept = []
    hook = getattr(net, SLOTS[stage]).register_forward_hook(lambda _, __, out: kept.append(out))
    score = net(image[None])[0, target]
    hook.remove()
    (features,) = kept
    (gradient,) = torch.autograd.grad(score, features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    cam = F.relu((weights * features).sum(1, keepdim=True)).detach()
    cam = F.interpolate(cam, image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    cam = cam - cam.min()
    return (cam / (1e-7 + cam.max())).numpy()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stage", SLOTS)
def test_maps_equal_the_equation(name, stage):
    net = build(MODELS[name], 3, 10, seed=2).eval()
    torch.manual_seed(0)
    images, targets = torch.randn(3, 3, 32, 32), torch.tensor([1, 5, 9])
    maps = grad_cam(net, images, targets, stage)
    assert maps.shape == (3, 32, 32)
    for found, image, target in zip(maps, images, targets, strict=True):
        np.testing.assert_allclose(found, plain_grad_cam(net, image, int(target), stage), atol=0.02)


def test_explain_uses_the_chosen_images_as_the_test_split_has_them():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    data = Batches(images, draws.integers(0, 10, 40), [0.5] * 3, [0.3] * 3, torch.device("cpu"))
    net = build(MODELS["plain"], 3, 10)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = explain(net, data, [7, 3, 39], batch_size=2)
    assert np.array_equal(result["images"], images[[7, 3, 39]])
    assert np.array_equal(result["labels"], data.labels[[7, 3, 39]])
    assert result["cam.stage3.predicted"].shape == (3, 16, 16)
    same = result["predicted"] == result["labels"]
    assert np.array_equal(result["cam.stage2.predicted"][same], result["cam.stage2.label"][same])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert set(summary(result)) == {f"{stage}.{target}" for stage in SLOTS for target in ("predicted", "label")}


def test_empty_maps_are_counted():
    maps = np.zeros((3, 4, 4), np.uint8)
    maps[1, 2, 2] = 255
    assert summary({"cam.stage3.label": maps})["stage3.label"]["empty"] == 2


def test_the_sample_is_seeded_and_the_showcase_comes_first():
    chosen = choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[:2] == [7, 98]
    assert len(chosen) == len(set(chosen)) == 7
    assert chosen == choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[2:] != choose_images(5, 100, seed=1, showcase=(7, 98))[2:]
    assert len(choose_images(500, 20, seed=0, showcase=())) == 20
