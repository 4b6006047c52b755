"""A training step, and the memory that it needs."""

import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntention.config import Model, Profiling
from cnntention.models.registry import build, load_plugins
from cnntention.training.recipe import uncompiled

Shape = tuple[int, int, int]


def batch_of(count: int, shape: Shape, classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Noise as images, (count, C, H, W), and as labels."""
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
    """The process's resident set now, and the largest so far, bytes; on macOS, which tells the latter alone, twice."""
    if sys.platform == "linux":  # where ru_maxrss begins at what the parent had, across exec
        lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now, peak = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM"))  # kB
        return now, peak
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak, peak


def first_step(config: Model, shape: Shape, classes: int, images: int, device) -> Callable[[], None]:
    """A new network's first training step, to be made; what the libraries load and keep for one is there already."""

    def step_of(count: int) -> Callable[[], None]:
        net = build(config, shape[0], classes).to(device, memory_format=torch.channels_last)
        return training_step(net.train(), *batch_of(count, shape, classes, device))

    step_of(2)()  # one image of one pixel would have no batch statistics
    return step_of(images)


def growth(config: Model, shape: Shape, classes: int, settings: Profiling, plugins: Sequence[str]) -> int:
    """Bytes that a first training step on the CPU adds to this process at its peak; that never falls: use a new one."""
    load_plugins(plugins)
    torch.set_num_threads(settings.threads)
    step = first_step(config, shape, classes, settings.batch_size, torch.device("cpu"))
    before, _ = resident()
    step()
    return resident()[1] - before


def fresh() -> BaseContext:
    """Makes processes that have run nothing. On Linux they are forks of one that has imported torch and no more."""
    if sys.platform != "linux":
        return get_context("spawn")  # macOS's own libraries do not stand a fork
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
    with ProcessPoolExecutor(1, fresh()) as process:
        grown = process.submit(growth, config, shape, classes, settings, plugins).result()
    return grown, "resident set of a process of its own, on the CPU"
