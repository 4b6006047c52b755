"""What a module does to its input: it adds to it, or it multiplies it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def multiplies(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> bool:
    """Whether the module that `make` returns gives y = x * g(x), so that y is 0 wherever x is; `shape`: (B, C, H, W).

    Its parameters are drawn anew, since modules start without effect: a gate or a norm's scale of 0. Twice: with both
    signs, and all positive, so that no ReLU can hide what is added.
    """
    module = make().eval()
    module(torch.randn(shape))  # lazy parameters get their shapes
    for positive in (False, True):
        for parameter in module.parameters():
            if parameter.is_floating_point():
                parameter.uniform_(0.1, 1) if positive else parameter.normal_(std=0.5)
        x, closed = torch.rand(shape) if positive else torch.randn(shape), torch.rand(shape) < 0.5
        if (module(x.masked_fill(closed, 0))[closed] != 0).any():
            return False
    return True


def gate_parts(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """For y = x * g: g |x| and |x|, in fp32. The ratio of their sums is a mean of g; where x is 0, g is unknown."""
    x, y = x.float(), y.float()
    return y * x.sign(), x.abs()
