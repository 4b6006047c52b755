"""GPU code without a GPU: fake CUDA tensors catch a tensor that was left on the CPU."""

import re

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from torch._subclasses.fake_tensor import FakeTensorMode

from cnntention.config import Optimizer, load
from cnntention.models.registry import attention_modules, build
from cnntention.training.loop import autocast
from cnntention.training.recipe import make_optimizer

MODELS = load([ROOT / "config.yaml"]).models


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
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
