"""A recipe's optimizer with its parameter groups, and its learning rate at every step."""

import inspect
import math
from functools import cache

import torch
from torch import nn

from cnntention.config import Optimizer, Schedule


def is_exempt(name: str, parameter: nn.Parameter, exempt: tuple[str, ...]) -> bool:
    """Whether a parameter of a ResNet gets no weight decay. 1-D parameters named `weight` are norm scales."""
    last = name.rsplit(".", 1)[-1]
    groups = {
        "gates": last == "gate",
        "biases": last == "bias",
        "norms": parameter.ndim == 1 and last == "weight",
        "attention": name.startswith("attention."),
    }
    return any(groups[group] for group in exempt)


@cache
def uncompiled(optimizer: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """The optimizer class without the wrappers that keep torch.compile out of its methods.

    The first call of such a wrapper imports the compiler, which takes 1.5 s.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    methods["step"] = torch.no_grad()(methods["step"])  # as its wrapper does
    return type(optimizer.__name__, (optimizer,), methods)


def make_optimizer(model: nn.Module, config: Optimizer) -> torch.optim.Optimizer:
    """The configured optimizer over the learned parameters, in two groups: decayed and exempt."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (spared if is_exempt(name, parameter, config.decay_exempt) else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "sgd":
        sgd = uncompiled(torch.optim.SGD)
        return sgd(groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov)
    adam = uncompiled(torch.optim.Adam if config.name == "adam" else torch.optim.AdamW)
    return adam(groups, lr=config.lr, betas=config.betas)


def lr_factor(schedule: Schedule, step: int, steps: int, steps_per_epoch: int) -> float:
    """The learning rate at `step` (from 0) of `steps`, as a share of its peak.

    It depends on the step only, so resuming needs no state. multistep counts epochs as torch's MultiStepLR; onecycle
    is torch's OneCycleLR with cosine annealing (from 1/25 of the peak, to 1/250,000).
    """
    if schedule.name == "onecycle":
        top = schedule.peak * steps - 1
        if step <= top:
            return cosine(1 / 25, 1.0, step / top if top > 0 else 1.0)
        return cosine(1.0, 1 / 250_000, (step - top) / (steps - 1 - top))
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / warmup
    if schedule.name == "cosine":
        return cosine(1.0, 0.0, (step - warmup) / (steps - warmup))
    if schedule.name == "multistep":
        return schedule.gamma ** sum(step // steps_per_epoch >= m for m in schedule.milestones)
    return 1.0


def cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
