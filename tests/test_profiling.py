"""Costs against closed forms."""

import pytest
import torch
from conftest import ROOT

from cnntention.config import STAGES, Profiling, load
from cnntention.models.registry import build
from cnntention.profiling import attention_bytes, count_macs, profile

MODELS = load([ROOT / "config.yaml"]).models


def closed_form(model, channels=3, height=32, width=32, classes=10):
    """Multiply-accumulates by hand: k^2 c_in c_out a position, and two products of (HW)^2 d a head."""
    w = model.width
    total = 9 * channels * w * height * width
    blocks = (model.depth - 2) // 6
    for i, stage in enumerate(STAGES):
        c, h, v = w * 2**i, -(-height // 2**i), -(-width // 2**i)
        positions = h * v
        first = 9 * (c // 2 if i else c) * c * positions
        total += first + 9 * c * c * positions * (2 * blocks - 1)
        options = model.modules.get(stage)
        if options is None:
            continue
        if options.kind == "cbam":
            total += 2 * 2 * c * (c // options.reduction) + 2 * 49 * positions
        else:
            projections = 4 if options.kind == "multi-head" else 3
            total += projections * c * c * positions + 2 * positions**2 * c
    return total + 4 * w * classes


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_macs_equal_the_closed_form(name, shape):
    assert count_macs(build(MODELS[name], shape[0], 10), shape) == closed_form(MODELS[name], *shape)


def test_macs_are_those_of_the_study():
    macs = {name: count_macs(build(model, 3, 10), (3, 32, 32)) / 1e6 for name, model in MODELS.items()}
    assert {name: round(value, 2) for name, value in macs.items()} == {
        "resnet20": 40.55,
        "self-attention": 81.18,
        "multi-head": 81.97,
        "cbam": 40.68,
    }


def test_attention_matrices():
    mib = {name: attention_bytes(model, 32, 32) / 2**20 for name, model in MODELS.items()}
    # stages of 1024, 256 and 64 positions, 4 bytes an entry
    one_head = 4 * (1024**2 + 256**2 + 64**2) / 2**20
    assert mib == {"resnet20": 0, "cbam": 0, "self-attention": one_head, "multi-head": 8 * one_head}


def test_a_profile_measures_something():
    model = MODELS["cbam"].model_copy(update={"depth": 8})
    settings = Profiling(batch_size=8, min_seconds=0.02)
    found = profile(model, (3, 32, 32), 10, settings, torch.device("cpu"))
    assert found["parameters"]["attention"] == 969
    for name in ("latency_batch1", "inference", "training_step"):
        assert found[name]["median_ms"] > 0
        assert found[name]["iqr_ms"] >= 0
    assert found["inference"]["images_per_s"] == pytest.approx(8000 / found["inference"]["median_ms"])
    assert found["training_step"]["median_ms"] > found["inference"]["median_ms"]
    assert found["training_memory"]["bytes"] >= 0
