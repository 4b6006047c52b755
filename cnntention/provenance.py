"""The code, libraries and machine that made a result."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cnntention import __version__

if TYPE_CHECKING:
    from cnntention.results.records import Precision, Provenance

EMULATED = {"bf16": ", bf16 emulated", "tf32": ", tf32 as fp32"}
LIBRARIES = ("torch", "torchvision", "numpy", "snakemake", "dvc", "grad-cam", "pandas")


def now() -> str:
    """The time now, UTC, ISO 8601, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def commit() -> str:
    """The Git commit of the code, with `-dirty` if tracked files differ; of an installed package its release."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():  # the package may be installed inside of another repository
        return f"release {__version__}"
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def cpu_name() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(device=None, threads: int | None = None) -> dict:
    """Code, libraries and machine, without host or user names."""
    facts = {
        "commit": commit(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    if device is not None:
        import torch

        from cnntention.device import settings

        on_gpu = device.type == "cuda"
        facts |= {"isa": torch.backends.cpu.get_cpu_capability(), "threads": threads, "device": device.type}
        facts["gpu"] = torch.cuda.get_device_name(device) if on_gpu else None
        facts["gpu_settings"] = settings() if on_gpu else None
    return facts


def hardware(made: "Provenance", precision: "Precision | None" = None) -> str:
    """A phrase for tables: the GPU, or the CPU and its threads; and the run's precision if it was emulated."""
    note = EMULATED[precision.asked] if precision and not precision.native else ""
    if made.gpu:
        return made.gpu + note
    return f"{made.cpu}, {made.threads} thread{'s' if made.threads != 1 else ''}{note}"
