"""Energy from hardware counters: NVML for an NVIDIA GPU, RAPL for the CPUs of a Linux machine. Imports no torch.

A counter covers its whole device, including idle power and other processes. NVML's is updated every 0.1 s or so, so
measure over longer times.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
NONE = "no energy counter is readable here"


@dataclass(frozen=True)
class Meter:
    """Counters that are read together; none if none is readable, and then `reason` says why."""

    read: Callable[[], list[int]]
    """The values of the counters, microjoules."""
    ranges: tuple[int, ...] = ()
    """The value at which each counter wraps to 0, microjoules."""
    source: str | None = None
    reason: str | None = None

    def joules(self, before: list[int], after: list[int]) -> float | None:
        """Energy between two readings, if no counter wrapped twice; None without a counter."""
        used = [(late - early) % full for early, late, full in zip(before, after, self.ranges, strict=True)]
        return sum(used) / 1e6 if used else None


def meter(gpu: str | None = None, powercap: Path = POWERCAP) -> Meter:
    """The meter of the GPU with this UUID ("GPU-…"), or of the CPUs if it is None."""
    try:
        return nvml(gpu) if gpu else rapl(powercap)
    except LookupError as error:
        return Meter(read=list, reason=f"{NONE}: {error.args[0]}")


def nvml(gpu: str) -> Meter:
    """The total-energy counter of an NVIDIA GPU, Volta or later; LookupError if it is not readable."""
    try:
        import pynvml
    except ImportError:
        raise LookupError("nvidia-ml-py is not installed; pip install 'cnntention[energy]'") from None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(gpu)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        raise LookupError(f"NVML says {error}") from None

    def read() -> list[int]:
        return [1000 * pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)]  # from millijoules

    return Meter(read, (1000 * 2**64,), source="NVML, the GPU")


def rapl(powercap: Path) -> Meter:
    """The energy counters of all CPU packages, without memory; LookupError if they are not readable."""
    # packages only: cores are part of them, "psys" contains them, and intel-rapl-mmio counts them again
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if text(zone / "name").startswith("package")]
    if not zones:
        raise LookupError(f"{powercap} has no RAPL package domain")

    def read() -> list[int]:
        return [int(text(zone / "energy_uj")) for zone in zones]

    read()  # raises LookupError: by default only root may read it
    ranges = tuple(int(text(zone / "max_energy_range_uj")) for zone in zones)
    return Meter(read, ranges, source=f"RAPL, {len(zones)} CPU package{'s' if len(zones) > 1 else ''}")


def text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise LookupError(f"{path}: {error.strerror}") from None
