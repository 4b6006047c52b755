"""What a model costs on one image size: parameters, MACs, memory and times on this machine."""

import logging
import resource
import statistics
import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cnntention.config import STAGES, Model, Profiling
from cnntention.models.registry import build, parameter_counts


def count_macs(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image's forward pass in convolutions, matrix products and attention.

    The flop counter sees nothing of the CPU's fused attention kernels (PyTorch issue 195460), so the pass runs on
    the plain ones, which do the same products.
    """
    # counted unpadded: dot_product() pads narrow heads on the CPU alone, for speed
    model = model.eval().to("meta")
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *shape, device="meta"))
    return counter.get_total_flops() // 2


def attention_bytes(model: Model, height: int, width: int) -> int:
    """Bytes of one image's fp32 attention matrices, were they stored: 4 heads (HW)^2, summed over the stages."""
    total = 0
    for stage, options in model.modules.items():
        heads = {"self-attention": 1, "multi-head": getattr(options, "heads", 1)}.get(options.kind, 0)
        positions = -(-height // 2 ** STAGES.index(stage)) * -(-width // 2 ** STAGES.index(stage))
        total += 4 * heads * positions**2
    return total


def timing(statement: str, scope: dict, settings: Profiling) -> dict:
    """Median and interquartile range, ms, of a statement (torch's benchmark timer: warm-up, synchronization)."""
    # the benchmark module imports torch's compiler tools, which warn of an absent GPU where a CUDA compiler is present
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    from torch.utils.benchmark import Timer

    timer = Timer(statement, globals=scope, num_threads=settings.threads)
    timer.timeit(1)
    measured = timer.blocked_autorange(min_run_time=settings.min_seconds)
    times = [t * 1e3 for t in measured.times]
    spread = statistics.quantiles(times, n=4) if len(times) > 1 else [times[0]] * 3
    return {"median_ms": measured.median * 1e3, "iqr_ms": spread[2] - spread[0], "repeats": len(times)}


def peak_rss() -> int:
    """The process's largest resident set so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def training_step(model: nn.Module, optimizer: torch.optim.Optimizer, images, labels) -> None:
    """One fp32 step of SGD."""
    optimizer.zero_grad(set_to_none=True)
    F.cross_entropy(model(images), labels).backward()
    optimizer.step()
    if images.device.type == "cuda":
        torch.cuda.synchronize()


def measure_memory(scope: dict, device: torch.device) -> dict:
    """Peak memory of one training step: the allocator's on a GPU, else the growth of the process's resident set."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        training_step(**scope)
        return {"bytes": torch.cuda.max_memory_allocated(), "source": "CUDA allocator"}
    before = peak_rss()
    training_step(**scope)
    return {"bytes": peak_rss() - before, "source": "growth of the peak resident set"}


def profile(config: Model, shape: tuple[int, int, int], classes: int, settings: Profiling, device) -> dict:
    """The cost of a model on (C, H, W) images, fp32, with the settings' threads and batch size.

    Times in ms, throughput in images per second, memory in bytes; MACs and attention bytes are per image.
    """
    counts = parameter_counts(build(config, shape[0], classes))
    macs = count_macs(build(config, shape[0], classes), shape)
    model = build(config, shape[0], classes).to(device, memory_format=torch.channels_last)
    batch = torch.randn(settings.batch_size, *shape, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(classes, (settings.batch_size,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    step = {"model": model.train(), "optimizer": optimizer, "images": batch, "labels": labels}
    memory = measure_memory(step, device)
    train = timing("step(**scope)", {"step": training_step, "scope": step}, settings)
    scope = {"model": model.eval(), "one": batch[:1], "batch": batch}
    with torch.inference_mode():
        latency = timing("model(one)", scope, settings)
        forward = timing("model(batch)", scope, settings)
    return {
        "parameters": counts,
        "macs": macs,
        "attention_matrix_bytes": attention_bytes(config, *shape[1:]),
        "latency_batch1": latency,
        "inference": forward | {"images_per_s": settings.batch_size / forward["median_ms"] * 1e3},
        "training_step": train | {"images_per_s": settings.batch_size / train["median_ms"] * 1e3},
        "training_memory": memory,
    }
