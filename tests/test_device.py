"""Devices: each process of a machine with GPUs holds one. Tested with names, since a lock needs no GPU."""

import subprocess
import sys
import time

import pytest
import torch

from cnntention import device

HOLD = """
import sys, time
from pathlib import Path
from cnntention.device import acquire
print(acquire(sys.argv[2].split(","), Path(sys.argv[1]), pause=0.05), flush=True)
time.sleep(float(sys.argv[3]))
"""


@pytest.fixture
def outside_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def hold(folder, gpus, seconds):
    command = [sys.executable, "-c", HOLD, str(folder), ",".join(gpus), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_three_processes_take_turns_on_two_gpus(tmp_path, outside_slurm):
    first, second = hold(tmp_path, ["0", "1"], 60), hold(tmp_path, ["0", "1"], 60)
    try:
        taken = {first.stdout.readline().strip(), second.stdout.readline().strip()}
        assert taken == {"0", "1"}
        third = hold(tmp_path, ["0", "1"], 0)
        time.sleep(2.0)
        assert third.poll() is None  # it waits
        freed = first
        freed.kill()  # however a process ends, its device is free
        assert third.stdout.readline().strip() in {"0", "1"}
        assert third.wait(timeout=20) == 0
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
        third.communicate()


def test_slurms_own_assignment_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    assert device.acquire(["3"], tmp_path) == 0
    assert device.acquire(["3"], tmp_path) == 0  # no lock was taken
    assert not list(tmp_path.iterdir())


def test_only_the_devices_that_are_visible(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    assert device.visible_gpus() == ["5", "7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert device.visible_gpus() == ["0", "1", "2"]


def test_everything_works_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert device.choose() == torch.device("cpu")


def test_a_gpu_is_chosen_where_there_is_one(monkeypatch, tmp_path, outside_slurm):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "visible_gpus", lambda: ["a", "b"])
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    assert device.choose() == torch.device("cuda", 0)
    monkeypatch.setattr(device, "_held", [])
