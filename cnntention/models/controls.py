"""Controls: attention of any kind that is not learned, not there, or the same for every image."""

import torch
from torch import Tensor, nn

from cnntention.models.attention import Attention
from cnntention.models.effects import gate_parts
from cnntention.seeding import seeded

MOMENTUM = 0.1  # of the running averages, as in BatchNorm


class Control(nn.Module):
    """Stands in a module's place and holds it as `inner`."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner


class Shut(Control):
    """y = x; the module has its parameters and is not computed."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Constant(Control):
    """The module's mean effect, the same for every image: y = x + mean of (f(x) - x), or y = x * mean gate.

    A gate's mean is weighted by |x|. In training the mean is over the batch, and gradients flow through it; in
    evaluation it is a running average of training's, and y = x before the first batch.
    """

    def __init__(self, inner: nn.Module, shape: tuple[int, int, int]):
        super().__init__(inner)
        self.register_buffer("total", torch.zeros(shape))  # (C, H, W)
        self.register_buffer("count", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.applied(x, self.total, self.count)
        y = self.inner(x)
        parts = gate_parts(x, y) if self.inner.multiplies else (y.float() - x.float(), torch.ones_like(x.float()))
        total, count = (part.mean(0) for part in parts)
        with torch.no_grad():
            self.total.lerp_(total, MOMENTUM)
            self.count.lerp_(count, MOMENTUM)
        return self.applied(x, total, count)

    def applied(self, x: Tensor, total: Tensor, count: Tensor) -> Tensor:
        mean = total / count.where(count > 0, 1)
        y = x * mean.where(count > 0, 1) if self.inner.multiplies else x + mean
        return y.to(x.dtype)


def controlled(module: nn.Module, control: str | None, shape: tuple[int, int, int]) -> nn.Module:
    """The module under a control of the configuration; `shape`: (C, H, W) of its features."""
    if control == "frozen":
        gated = isinstance(module, Attention) and module.residual == "gated"
        free = {"gate"} if gated else zeros(module) if is_identity(module, shape) else set()
        for name, parameter in module.named_parameters():
            if name not in free:  # how much is added is still learned
                parameter.requires_grad_(False)
    if control == "shut":
        return Shut(module)
    return Constant(module, shape) if control == "constant" else module


@torch.no_grad()
def is_identity(module: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a module starts without effect, as one does whose last scale is 0; frozen, it would never have one."""
    with seeded(0, "probe"):
        x = torch.randn(2, *shape)
        same = torch.equal(module.eval()(x.clone()), x)
    module.train()
    return same


def zeros(module: nn.Module) -> set[str]:
    """Names of the parameters that are 0."""
    return {name for name, parameter in module.named_parameters() if not parameter.any()}


def uncontrolled(module: nn.Module) -> nn.Module:
    """The module itself."""
    return module.inner if isinstance(module, Control) else module
