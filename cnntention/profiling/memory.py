"""A training step, the memory that it needs, and processes of their own."""

import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntention.config import Model, Profiling
from cnntention.errors import UserError, explained
from cnntention.models.registry import build, load_plugins
from cnntention.models.resnet import channels_last
from cnntention.training.recipe import uncompiled

Shape = tuple[int, int, int]


def batch_of(count: int, shape: Shape, classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images (count, C, H, W) and labels (count,)."""
    images = torch.randn(count, *shape, device=device).to(memory_format=torch.channels_last)
    return images, torch.randint(classes, (count,), device=device)


def training_step(net: nn.Module, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A function that makes one fp32 step of SGD with momentum."""
    optimizer = uncompiled(torch.optim.SGD)(net.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return step


def resident() -> tuple[int, int]:
    """The process's resident set size now, and its peak, bytes; on macOS the peak twice, since only that is known."""
    if sys.platform == "linux":  # there ru_maxrss includes the parent's peak, even after exec
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now, peak = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM"))  # kB
        return now, peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak, peak


def first_step(config: Model, shape: Shape, classes: int, images: int, device) -> Callable[[], None]:
    """A function that makes a new network's first training step; the libraries are warmed up by a step before."""

    def step_of(count: int) -> Callable[[], None]:
        net = channels_last(build(config, shape[0], classes, image=shape[1:]).to(device))
        return training_step(net.train(), *batch_of(count, shape, classes, device))

    step_of(2)()  # two, since a single value has no batch statistics
    return step_of(images)


def growth(config: Model, shape: Shape, classes: int, settings: Profiling, plugins: Sequence[str]) -> int:
    """Bytes that a first training step on the CPU adds to the peak of this process; needs a new process each time."""
    load_plugins(plugins)
    torch.set_num_threads(settings.threads)
    step = first_step(config, shape, classes, settings.batch_size, torch.device("cpu"))
    before, _ = resident()
    step()
    return resident()[1] - before


def alone(context: BaseContext, function: Callable[..., Any], *args: Any) -> Any:
    """The result of a function in a new process; UserError if that fails or is killed."""
    try:
        with ProcessPoolExecutor(1, context) as process:
            return process.submit(function, *args).result()
    except BrokenProcessPool:
        raise UserError("a process that measures was killed; free memory, or lower profiling.batch_size.") from None
    except RuntimeError as error:
        said = str(error).strip().split("\n")[0]
        raise explained(error) or UserError(f"a process that measures failed: {said}") from None


def fresh() -> BaseContext:
    """A context for new processes. On Linux they are forks of a process that has only imported torch."""
    if sys.platform != "linux":
        return get_context("spawn")  # macOS's libraries do not survive a fork
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def measure_memory(config: Model, shape: Shape, classes: int, settings: Profiling, device, plugins) -> tuple[int, str]:
    """What a first training step needs beside weights and images, at its peak, bytes; and where that was read."""
    if device.type == "cuda":
        step = first_step(config, shape, classes, settings.batch_size, device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) - before, "CUDA allocator"
    grown = alone(fresh(), growth, config, shape, classes, settings, plugins)
    return grown, "resident set of a process of its own, on the CPU"
