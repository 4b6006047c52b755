"""Every kind of attention, each with options with which it works in a small network on 32 px."""

from typing import get_args

import torch
from torch import nn

from cnntention.config import Model
from cnntention.config.attention import TimmName
from cnntention.models.registry import attention_modules, build

NAMES = get_args(TimmName)
NEEDED = {"ge": {"use_mlp": False}, "bat": {"block_size": 4}}  # else they do not work, here or at all
ADDING = {"gca", "lambda", "bottleneck", "halo", "nl", "bat"}  # by reading their code
OWN = {
    "self-attention": {"gate_init": 0.0},
    "multi-head": {"heads": 4, "residual": "plain"},
    "cbam": {"reduction": 4},
    "simam": {},
    "triplet": {},
    "bam": {"reduction": 4},
}
MULTIPLYING = {"cbam", "simam", "triplet", "bam"}
ALL = {name: {"kind": "timm", "name": name} | NEEDED.get(name, {}) for name in NAMES}
ALL |= {f"own {kind}": {"kind": kind} | options for kind, options in OWN.items()}


def network(name: str, placement: str = "stage", **more) -> nn.Module:
    options = ALL[name] | more
    return build(Model(depth=8, width=8, attention={"stage1": options, "stage3": options}, placement=placement), 3, 10)


def module_of(name: str, **more) -> nn.Module:
    return dict(attention_modules(network(name, **more)))["stage3"]  # (32, 8, 8) features


def features(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 32, 8, 8, generator=torch.Generator().manual_seed(0)).relu()
