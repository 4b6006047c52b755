"""GPU code without a GPU: fake CUDA tensors catch a tensor that was left on the CPU."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from torch._subclasses.fake_tensor import FakeTensorMode

from cnntention.config import Augmentation, Optimizer, load
from cnntention.data.augment import Batches
from cnntention.models import attention
from cnntention.models.registry import attention_modules, build
from cnntention.training.loop import autocast, logits_of
from cnntention.training.recipe import make_optimizer

MODELS = {n: m for n, m in load([ROOT / "config.yaml"]).models.items() if not n.startswith("zoo-")}


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("name", MODELS)
def test_forward_loss_and_optimizer_stay_on_the_device(name, precision):
    with FakeTensorMode(), torch.device("cuda"):
        net = build(MODELS[name], 3, 10)
        images = torch.empty(4, 3, 32, 32)
        labels = torch.empty(4, dtype=torch.long)
        with autocast(images.device, precision):
            logits = net(images)
        assert logits.device.type == "cuda"
        assert F.cross_entropy(logits.float(), labels).device.type == "cuda"
        assert make_optimizer(net, Optimizer(name="adamw", lr=0.1)).param_groups
        for slot, module in attention_modules(net):
            stage = int(re.search(r"\d", slot)[0])
            features = torch.empty(2, 16 * 2 ** (stage - 1), 8, 8)
            assert all(found.device.type == "cuda" for found in module.maps(features).values())


def test_positions_are_made_on_the_device(monkeypatch):
    """Not on the CPU and copied, which waits for the device; as in training, no device is the default."""
    made, really = [], torch.arange
    monkeypatch.setattr(torch, "arange", lambda *a, **k: made.append(really(*a, **k)) or made[-1])
    with FakeTensorMode():
        with torch.device("cuda"):
            module, x = attention.MultiHead(16, positions="sine"), torch.empty(2, 16, 8, 8)
        assert module(x).device.type == "cuda"
    assert {tensor.device.type for tensor in made} == {"cuda"}


@pytest.mark.parametrize(
    ("device", "dim", "width"),
    [("cuda", 2, 8), ("cuda", 12, 16), ("cuda", 16, 16), ("cpu", 2, 16), ("cpu", 16, 16), ("meta", 2, 2)],
)
def test_how_wide_the_fused_kernels_get_the_heads(monkeypatch, device, dim, width):
    """On meta they are counted, hence as they are."""
    seen, really = [], F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *t, **k: seen.extend(x.shape[-1] for x in t) or really(*t, **k)
    )
    with FakeTensorMode():
        q, k, v = (torch.empty(2, 4, 300, dim, device=device) for _ in range(3))
        assert attention.dot_product(q, k, v, 0.5).shape == (2, 4, 300, dim)
    assert seen == [width] * 3


def test_zeros_behind_a_head_change_nothing():
    """Exactly zeros in the products, so outputs and gradients differ by the order of sums alone."""
    q, k, v = torch.randn(3, 2, 4, 20, 2, dtype=torch.float64, requires_grad=True).unbind()
    plain = F.scaled_dot_product_attention(q, k, v, scale=0.7)
    wide = attention.padded(q, k, v, 0.7, 6)
    torch.testing.assert_close(wide, plain, rtol=1e-12, atol=1e-13)
    draws = torch.randn_like(plain)
    for one, other in zip(*(torch.autograd.grad((y * draws).sum(), (q, k, v)) for y in (plain, wide)), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-12, atol=1e-13)


# --- data -------------------------------------------------------------------------------------------------------


def test_a_batch_is_gathered_once(monkeypatch):
    """Of the padded images by the crop, or of the plain ones, never both."""

    class Counted(torch.Tensor):
        reads = 0

        def __getitem__(self, at):
            type(self).reads += 1
            return super().__getitem__(at).as_subclass(torch.Tensor)

    images = np.zeros((8, 3, 6, 6), np.uint8)
    for augment in (Augmentation(), Augmentation(flip=True), Augmentation(crop_padding=2)):
        data = Batches(images, np.zeros(8, int), [0.5] * 3, [0.5] * 3, torch.device("cpu"), augment)
        data.pixels = data.pixels.as_subclass(Counted)
        Counted.reads = 0
        assert len(list(data.shuffled(4, seed=0, epoch=1))) == 2
        assert Counted.reads == 2


def test_a_split_is_scored_with_one_copy_to_the_cpu(monkeypatch):
    """Each copy waits for the device."""
    copies, really = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor.shape) or really(tensor))
    draws = np.random.default_rng(0).integers(0, 256, (210, 3, 8, 8), dtype=np.uint8)
    data = Batches(draws, np.zeros(210, int), [0.5] * 3, [0.5] * 3, torch.device("cpu"))
    logits_of(build(MODELS["resnet20"], 3, 10), data)
    assert copies == [(210, 10)]
