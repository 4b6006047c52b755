"""Which device a step runs on. On a machine with GPUs each process holds one, so that jobs take turns."""

import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import IO

import torch

_held: list[IO] = []  # the lock lives as long as the process: the system frees it however the process ends


def choose(name: str = "auto") -> torch.device:
    """cuda, mps or cpu. "auto" takes the first that is there; a GPU is locked for this process, waiting if need be."""
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if name != "cuda":
        return torch.device(name)
    return torch.device("cuda", acquire(visible_gpus()))


def visible_gpus() -> list[str]:
    """Names of the GPUs this process may use: the numbers or UUIDs of CUDA_VISIBLE_DEVICES, else 0, 1, ..."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed:
        return [gpu.strip() for gpu in listed.split(",")]
    return [str(i) for i in range(torch.cuda.device_count())]


def acquire(gpus: list[str], folder: Path | None = None, pause: float = 1.0) -> int:
    """Index in `gpus` of one that no other process of this machine holds; waits until there is one.

    Slurm assigns devices itself, so inside its jobs the first visible one is taken as given.
    """
    if "SLURM_JOB_ID" in os.environ:
        return 0
    folder = folder or Path(tempfile.gettempdir())
    while True:
        for index, gpu in enumerate(gpus):
            lock = (folder / f"cnntention-gpu-{gpu.replace('/', '_')}.lock").open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                continue
            _held.append(lock)
            return index
        time.sleep(pause)


def prepare_torch(threads: int, device: torch.device) -> None:
    """Fix the thread count, and on a GPU the deterministic kernels: the same run gives the same bytes."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)
