"""Choose a step's device, and set torch so that the same run gives the same bytes."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from cnntention import precision, slots
from cnntention.errors import UserError


def choose(name: str = "auto", whole: bool = False) -> torch.device:
    """cuda, mps or cpu; "auto" is the first available. With CUDA: waits for a slot, or for a `whole` GPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in available if available[kind])
    if not available[name]:
        raise UserError(f"--device: PyTorch finds no {name} device here; say cpu, or auto for what there is.")
    return torch.device("cuda", slots.acquire(visible_gpus(), whole=whole)) if name == "cuda" else torch.device(name)


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use: the numbers or UUIDs of CUDA_VISIBLE_DEVICES, else 0, 1, ..."""
    count = torch.cuda.device_count()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    # CUDA ignores the first unknown name and all after it
    return [gpu.strip() for gpu in listed.split(",")][:count] if listed else [str(i) for i in range(count)]


def prepare_torch(threads: int, device: torch.device, asked: str = "fp32", deterministic: bool = True) -> None:
    """Fix the thread count, and on a GPU the precision and deterministic kernels.

    deterministic: an operation without a deterministic kernel is an error; if False it only warns, and fused attention
    then uses its faster, nondeterministic backward pass.
    """
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read at the first matrix product
        torch.cuda.set_device(device)
        precision.enforce(asked)
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=not deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = False  # filling with NaN is for debugging


def free_memory(device: torch.device) -> int:
    """Bytes that this process may still allocate there."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return min([1024 * int(lines["MemAvailable"].split()[0]), *limits()])
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits() -> Iterator[int]:
    """Memory limits of this process's control groups, bytes, as of a container or a Slurm job."""
    root = Path("/sys/fs/cgroup")
    group = root / Path("/proc/self/cgroup").read_text().rpartition("::/")[2].strip()
    for folder in (group, *group.parents):
        if (file := folder / "memory.max").exists() and (limit := file.read_text().strip()) != "max":
            yield int(limit)


def settings() -> dict:
    """The current settings of this process on its GPU."""
    return {
        "slots": slots.count(),
        "mps": slots.mps(),
        "tf32": torch.backends.cudnn.conv.fp32_precision == "tf32",
        "deterministic": not torch.is_deterministic_algorithms_warn_only_enabled(),
    }
