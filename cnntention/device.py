"""Choose a step's device, and set torch so that the same run gives the same bytes."""

import os

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


def settings() -> dict:
    """The current settings of this process on its GPU."""
    return {
        "slots": slots.count(),
        "mps": slots.mps(),
        "tf32": torch.backends.cudnn.conv.fp32_precision == "tf32",
        "deterministic": not torch.is_deterministic_algorithms_warn_only_enabled(),
    }
