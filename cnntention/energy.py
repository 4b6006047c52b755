"""Energy from the machine's own counters: NVML for an NVIDIA GPU, RAPL for a Linux machine's CPUs. Knows no torch.

A counter counts its whole device: idle power, and all else that runs there, is in the joules. NVML's moves in steps
of up to a tenth of a second, so sum several readings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
NONE = "no energy counter is readable here"


@dataclass(frozen=True)
class Meter:
    """Counters that are read together; none at all where none is readable, and `reason` then says why."""

    read: Callable[[], list[int]]
    """What each counter shows, microjoules."""
    ranges: tuple[int, ...] = ()
    """Where each counter begins again at 0, microjoules."""
    source: str | None = None
    reason: str | None = None

    def joules(self, before: list[int], after: list[int]) -> float | None:
        """Energy between two readings, if no counter went round twice; None without a counter."""
        used = [(late - early) % full for early, late, full in zip(before, after, self.ranges, strict=True)]
        return sum(used) / 1e6 if used else None


def meter(gpu: str | None = None, powercap: Path = POWERCAP) -> Meter:
    """The meter of the GPU with this UUID ("GPU-…"), or without one that of the CPUs."""
    try:
        return nvml(gpu) if gpu else rapl(powercap)
    except LookupError as error:
        return Meter(read=list, reason=f"{NONE}: {error.args[0]}")


def nvml(gpu: str) -> Meter:
    """The total-energy counter of an NVIDIA GPU, Volta or later; LookupError says what is missing."""
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
        return [1000 * pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)]  # it counts millijoules

    return Meter(read, (1000 * 2**64,), source="NVML, the GPU")


def rapl(powercap: Path) -> Meter:
    """The energy counters of all CPU packages, without memory; LookupError says what is missing."""
    # cores are part of their package, "psys" holds the packages, and intel-rapl-mmio counts the same ones again
    zones = [zone for zone in sorted(powercap.glob("intel-rapl:*")) if text(zone / "name").startswith("package")]
    if not zones:
        raise LookupError(f"{powercap} has no RAPL package domain")

    def read() -> list[int]:
        return [int(text(zone / "energy_uj")) for zone in zones]

    read()  # Linux lets root alone read it, unless told otherwise
    ranges = tuple(int(text(zone / "max_energy_range_uj")) for zone in zones)
    return Meter(read, ranges, source=f"RAPL, {len(zones)} CPU package{'s' if len(zones) > 1 else ''}")


def text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise LookupError(f"{path}: {error.strerror}") from None
