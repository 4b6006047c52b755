"""A module of a plugin or timm, tried before anything is trained: forward, backward, evaluation, maps."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnntention.errors import UserError, explained
from cnntention.models.attention import make
from cnntention.models.inputs import suited
from cnntention.seeding import seeded

SIDES = (32, 28, 24)  # px of images, tried in turn: a module may be made for one size
IMAGES = 2


@contextmanager
def blamed(sentence: str) -> Iterator[None]:
    """Whatever foreign code raises in the block, also by sys.exit, becomes a UserError that starts so."""
    try:
        yield
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if isinstance(error, RuntimeError) and (told := explained(error)):
            raise told from error
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
        raise UserError(f"{sentence} ({reason}).") from error


def tried(key: str, cls: type[nn.Module], channels: int, options: dict, stage: int, after_relu: bool) -> None:
    """Raise UserError unless the module works on the features of stage 0, 1 or 2 of images of one of the sizes."""
    first = None
    for side in SIDES:
        try:
            with seeded(0, "trial"):
                x = torch.randn(IMAGES, channels, *(-(-side // 2**stage),) * 2)
                try_on(key, cls, options, x.relu() if after_relu else x)
            return
        except UserError as error:
            first = first or error
    raise first


def try_on(key: str, cls: type[nn.Module], options: dict, x: Tensor) -> None:
    """`x`: (B, C, H, W) features."""
    words = ", ".join([str(x.shape[1]), *(f"{name}={value!r}" for name, value in options.items())])
    what = f"{key}: {cls.__name__}({words})"
    with blamed(f"{what} cannot be made"):
        cls = suited(cls, tuple(x.shape[1:]), options)
        module = make(cls, x.shape[1], tuple(x.shape[2:]), options)
    check_parameters(what, module)
    held = layout(module)
    with blamed(f"{what} fails in training on features {tuple(x.shape)}"):
        x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
        y = module.train()(x)
        check_output(f"{what} in training", y, x)
        if y.requires_grad:
            y.square().mean().backward()
        if not all(p.grad.isfinite().all() for p in (x, *module.parameters()) if p.grad is not None):
            raise UserError(f"{what} has gradients that are not finite.")
    with torch.no_grad(), blamed(f"{what} fails in evaluation on features {tuple(x.shape)}"):
        check_output(f"{what} in evaluation", module.eval()(x), x)
    if layout(module) != held:
        raise UserError(
            f"{what} gets parameters or buffers in its first forward pass, which a file of weights cannot restore; "
            "make them in its constructor, which is told `feat_size`, (H, W), if it has an argument of that name."
        )
    with torch.no_grad(), blamed(f"{what}.maps() fails"):
        check_maps(f"{what}.maps()", module.maps(x) if hasattr(module, "maps") else {}, x)


def check_parameters(what: str, module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if is_lazy(parameter):
            raise UserError(f"{what}: {name} gets its shape in the first forward pass; give it in the constructor.")
        if not parameter.numel():
            shape = tuple(parameter.shape)
            raise UserError(f"{what}: {name} has the shape {shape}, without a number; choose a smaller reduction.")


def layout(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shapes of what a file of its weights holds."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def check_output(what: str, y: Tensor, x: Tensor) -> None:
    if not isinstance(y, Tensor) or y.shape != x.shape:
        got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise UserError(f"{what} returns {got} for features {tuple(x.shape)}; it must keep their shape.")
    if not y.isfinite().all():
        raise UserError(f"{what} returns values that are not finite.")


def check_maps(what: str, maps: dict[str, Tensor], x: Tensor) -> None:
    b, c, h, w = x.shape
    known = {"attention": (b, None, h * w, h * w), "channel": (b, c), "spatial": (b, h, w)}
    if not isinstance(maps, dict) or not all(isinstance(value, Tensor) for value in maps.values()):
        raise UserError(f"{what} returns no mapping of tensors; see docs/extending.md.")
    for name, values in maps.items():
        shape = known.get(name, tuple(values.shape))
        if len(shape) != values.ndim or any(
            want not in (None, got) for want, got in zip(shape, values.shape, strict=True)
        ):
            wanted = str(shape).replace("None", "heads")
            raise UserError(f"{what}: {name!r} has the shape {tuple(values.shape)}; it must be {wanted}.")
        if not values.isfinite().all():
            raise UserError(f"{what}: {name!r} has values that are not finite.")
