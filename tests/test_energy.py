"""Energy counters: a made-up sysfs, a made-up NVML."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cnntention.profiling import energy


def zone(powercap: Path, folder: str, name: str, microjoules: int, full: int = 262_143_328_850) -> Path:
    path = powercap / folder
    path.mkdir(parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{full}\n")
    return path


@pytest.fixture
def powercap(tmp_path) -> Path:
    """Two packages as Linux shows them, with what must not be counted: parts, the platform, a second interface."""
    zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 400_000)
    zone(tmp_path, "intel-rapl:0:1", "dram", 300_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 5_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 9_000_000)
    zone(tmp_path, "intel-rapl-mmio:0", "package-0", 1_000_000)
    return tmp_path


def test_packages_are_summed_once(powercap):
    meter = energy.meter(powercap=powercap)
    assert (meter.source, meter.reason) == ("RAPL, 2 CPU packages", None)
    before = meter.read()
    assert before == [1_000_000, 5_000_000]
    for folder in ("intel-rapl:0", "intel-rapl:0:0", "intel-rapl:2", "intel-rapl-mmio:0"):
        (powercap / folder / "energy_uj").write_text("3500000")
    (powercap / "intel-rapl:1/energy_uj").write_text("5250000")
    assert meter.joules(before, meter.read()) == pytest.approx(2.5 + 0.25)


def test_a_counter_that_began_again(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 65_000_000, full=65_532_610)
    meter = energy.meter(powercap=tmp_path)
    before = meter.read()
    (counter / "energy_uj").write_text("200000")
    assert meter.joules(before, meter.read()) == pytest.approx(0.532610 + 0.2)


def test_without_a_readable_counter_there_is_a_reason(tmp_path):
    missing = energy.meter(powercap=tmp_path)
    assert missing.source is None
    assert missing.reason == f"no energy counter is readable here: {tmp_path} has no RAPL package domain"
    assert missing.joules(missing.read(), missing.read()) is None

    secret = zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj"
    secret.unlink()
    secret.mkdir()  # unreadable for root as well, who may read any file
    reason = energy.meter(powercap=tmp_path).reason
    assert reason == f"no energy counter is readable here: {secret}: Is a directory"


class FakeError(Exception):
    pass


def fake_nvml(**changes) -> SimpleNamespace:
    readings = iter([100, 7_100, 9_600])  # the first one only asks whether there is such a counter

    def handle(uuid):
        assert uuid == "GPU-1234"
        return "the handle"

    def consumption(asked):
        assert asked == "the handle"
        return next(readings)

    calls = {"nvmlInit": lambda: None, "nvmlDeviceGetHandleByUUID": handle, "NVMLError": FakeError}
    return SimpleNamespace(**calls | {"nvmlDeviceGetTotalEnergyConsumption": consumption} | changes)


def test_a_gpu_counts_millijoules(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml())
    meter = energy.meter("GPU-1234")
    assert meter.source == "NVML, the GPU"
    assert meter.joules(meter.read(), meter.read()) == pytest.approx(2.5)


def test_a_gpu_without_counter_or_library_has_a_reason(monkeypatch):
    def unsupported(_):
        raise FakeError("Not Supported")

    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(nvmlDeviceGetTotalEnergyConsumption=unsupported))
    assert energy.meter("GPU-1234").reason == "no energy counter is readable here: NVML says Not Supported"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reason = energy.meter("GPU-1234").reason
    assert reason.startswith("no energy counter is readable here: nvidia-ml-py is not installed")
