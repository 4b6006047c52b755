"""The kinds that the study did not have, against their papers' equations written plainly."""

import math

import pytest
import torch
import torch.nn.functional as F

from cnntention.config import Model
from cnntention.models.registry import build


def plain_simam(x, state):
    y = torch.empty_like(x)
    b, c, h, w = x.shape
    for image in range(b):
        for channel in range(c):
            values = x[image, channel]
            mean = values.sum() / (h * w)
            variance = ((values - mean) ** 2).sum() / (h * w)
            energy = 4 * (variance + 1e-4) / ((values - mean) ** 2 + 2 * variance + 2 * 1e-4)
            y[image, channel] = values / (1 + torch.exp(-1 / energy))
    return y


def normalized(x, state, name):
    """BatchNorm of a batch, (B, C, H, W)."""
    mean = x.mean((0, 2, 3), keepdim=True)
    variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    weight, bias = (state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
    return weight * (x - mean) / torch.sqrt(variance + 1e-5) + bias


def plain_triplet(x, state):
    """Each gate along the axis that it does not see."""
    gates = []
    for name, axis in (("cw", 2), ("ch", 3), ("hw", 1)):
        pooled = torch.stack([x.max(dim=axis).values, x.sum(axis) / x.shape[axis]], dim=1)
        if name == "ch":  # (B, 2, C, H), rotated to (B, 2, H, C)
            pooled = pooled.mT
        y = F.conv2d(pooled, state[f"{name}.conv.weight"], padding=3)
        gates.append(normalized(y, state, f"{name}.bn")[:, 0].sigmoid())
    cw, hc, hw = gates
    return x * (cw[:, :, None] + hc.mT[..., None] + hw[:, None]) / 3


def plain_bam(x, state):
    def layer(name, x):
        y = torch.einsum("oi,bihw->bohw", state[f"{name}.weight"][..., 0, 0], x)
        return y + state[f"{name}.bias"][:, None, None]

    def dilated(name, x):
        """3x3, dilation 4, a tap at a time."""
        h, w = x.shape[2:]
        padded, kernel = F.pad(x, (4, 4, 4, 4)), state[f"{name}.weight"]
        taps = [
            torch.einsum("oi,bihw->bohw", kernel[:, :, i, j], padded[:, :, 4 * i : 4 * i + h, 4 * j : 4 * j + w])
            for i in range(3)
            for j in range(3)
        ]
        return sum(taps) + state[f"{name}.bias"][:, None, None]

    def hidden(y, name):
        return normalized(y, state, name).clamp_min(0)

    pooled = x.sum((2, 3), keepdim=True) / math.prod(x.shape[2:])
    channel = normalized(layer("channel.3", hidden(layer("channel.0", pooled), "channel.1")), state, "channel.4")
    y = hidden(layer("place.0", x), "place.1")
    y = hidden(dilated("place.6", hidden(dilated("place.3", y), "place.4")), "place.7")
    place = normalized(layer("place.9", y), state, "place.10")
    return x + x * torch.sigmoid(channel + place)


PLAIN = {"simam": plain_simam, "triplet": plain_triplet, "bam": plain_bam}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("stage", [1, 2])
def test_outputs_and_gradients_equal_the_plain_equations(kind, stage):
    torch.manual_seed(stage)
    options = {"kind": kind} | ({"reduction": 4} if kind == "bam" else {})
    net = build(Model(depth=8, width=8, attention={f"stage{stage}": options}), 3, 10)
    module = net.attention[f"stage{stage}"].double().train()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(3, 8 * stage, 12, 10, dtype=torch.float64, requires_grad=True)
    ours, plain = module(x), PLAIN[kind](x, dict(module.named_parameters()))
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-10)
    cotangent, inputs = torch.randn_like(x), [x, *module.parameters()]
    mine, reference = (torch.autograd.grad(y, inputs, cotangent) for y in (ours, plain))
    for one, other in zip(mine, reference, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)
