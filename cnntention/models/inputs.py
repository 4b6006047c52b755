"""What foreign modules ask of their input: some need it contiguous, some overwrite it."""

import torch
from torch import Tensor, nn

from cnntention.models.attention import make
from cnntention.seeding import seeded


class Copying:
    """Mixed into a module's class: it works on a contiguous copy of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.clone(memory_format=torch.contiguous_format))


class CopyingWithMaps(Copying):
    def maps(self, x: Tensor) -> dict[str, Tensor]:
        return super().maps(x.clone(memory_format=torch.contiguous_format))


@torch.no_grad()
def takes_as_is(module: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether a module works on channels_last features of this (C, H, W), and leaves them as they are.

    `view` fails on them where it would merge or split channels, and a ReLU in place would hide from every comparison
    of output and input what the module does.
    """
    x = torch.randn(2, *shape).contiguous(memory_format=torch.channels_last)
    try:
        module.eval()(x)
    except KeyboardInterrupt:
        raise
    except BaseException:  # if for another reason, a copy does not help, and whoever calls the module next says so
        return False
    return x._version == 0


def suited(cls: type[nn.Module], shape: tuple[int, int, int], options: dict) -> type[nn.Module]:
    """The class, or one that copies its input, if a module of it needs that."""
    channels, *size = shape
    with seeded(0, "probe"):  # draws nothing from the stream of the initialization
        if takes_as_is(make(cls, channels, tuple(size), options), shape):
            return cls
    mixin = CopyingWithMaps if hasattr(cls, "maps") else Copying
    return type(cls.__name__, (mixin, cls), {"__module__": cls.__module__})
