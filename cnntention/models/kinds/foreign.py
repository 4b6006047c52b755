"""Attention modules of timm (https://github.com/huggingface/pytorch-image-models)."""

import inspect
from collections.abc import Callable
from functools import cache, partial
from math import gcd

from torch import Tensor, nn

from cnntention.config import nearest
from cnntention.errors import UserError
from cnntention.models.attention import Attention, register

# `stride` and `dim_out` would change the shape; eca and its kin compute `kernel_size` from the channels
NO_OPTIONS = {"feat_size", "stride", "dim_out", "device", "dtype"}
NO_OPTIONS_OF = {name: {"kernel_size"} for name in ("eca", "ecam", "ceca")}
NOT_DETERMINISTIC = {"bat"}  # the backward pass of adaptive max-pooling has no deterministic GPU kernel


@cache
def constructor(name: str) -> Callable[..., nn.Module]:
    from timm.layers.create_attn import get_attn  # takes seconds to import

    return get_attn(name)


def parameters_of(name: str) -> dict[str, inspect.Parameter]:
    """Those of its constructor, without the first, the channels."""
    return dict(list(inspect.signature(constructor(name)).parameters.items())[1:])


def options_of(name: str) -> set[str]:
    """The options of timm's module `name`."""
    made, known = constructor(name), parameters_of(name)
    fixed = made.keywords if isinstance(made, partial) else {}
    named = {option for option, parameter in known.items() if parameter.kind is not parameter.VAR_KEYWORD}
    return named - set(fixed) - NO_OPTIONS - NO_OPTIONS_OF.get(name, set())


@register("timm")
class Timm(Attention):
    """timm's module `name`, with its options; `feat_size`: (H, W) of its features.

    Raises UserError for an unknown option, and for heads or blocks that do not divide the features.
    """

    def __init__(self, channels: int, name: str, feat_size: tuple[int, int], residual: str = "none", **options):
        super().__init__(residual, **{key: options.pop(key) for key in ("gate_init", "gate_learned") if key in options})
        for option in options:
            if option not in (known := options_of(name)):
                raise UserError(f"timm's {name}: unknown option {option!r}{nearest(option, known)}.")
        known = parameters_of(name)
        given = {option: parameter.default for option, parameter in known.items()} | options
        if any(side % given.get("block_size", 1) for side in feat_size):
            size, common = " x ".join(map(str, feat_size)), gcd(*feat_size)
            fit = ", ".join(str(n) for n in range(2, common + 1) if common % n == 0) or "1"
            raise UserError(
                f"timm's {name}: block_size {given['block_size']} does not divide the features' {size}; "
                f"of those that do, set one: {fit}."
            )
        if name == "ge" and (given["use_mlp"] or given["extra_params"]):  # a TypeError of timm 1.0.29
            raise UserError("timm's ge: timm can make it only without parameters: set use_mlp: false, no extra_params.")
        if channels % given.get("num_heads", 1):
            raise UserError(f"timm's {name}: num_heads {given['num_heads']} does not divide the {channels} channels.")
        sized = {"feat_size": tuple(feat_size)} if "feat_size" in known else {}
        self.module = constructor(name)(channels, **options, **sized)
        if name in ("bottleneck", "nl"):  # they hold an (HW, HW) matrix for each head
            self.heads = given.get("num_heads", 1)

    def attend(self, x: Tensor) -> Tensor:
        return self.module(x)
