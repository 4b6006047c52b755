"""benchmarks/gpu.py, as far as it runs without a GPU."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import ROOT

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu_tools

    return gpu_tools


def program(folder, name, text):
    """A program of that name, first on the path."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def benchmark(*words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def test_card_driver_torch_and_clocks_stand_beside_every_number(tools):
    rows = [
        tools.Row("How fast?", "resnet20", "1.5 ms", "1980 MHz"),
        tools.Row("How fast?", "cbam", "2 ms", "1500 MHz"),
    ]
    first, _, *lines = tools.table(rows, {"card": "H100", "driver": "580.1", "torch": "2.14.1"}).splitlines()
    assert first == "| question | case | result | card | driver | torch | clocks |"
    assert lines == [
        "| How fast? | resnet20 | 1.5 ms | H100 | 580.1 | 2.14.1 | 1980 MHz |",
        "| How fast? | cbam | 2 ms | H100 | 580.1 | 2.14.1 | 1500 MHz |",
    ]


def test_clocks_are_nvidia_smis(tools, tmp_path, monkeypatch):
    class Properties:
        uuid = "1234"

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: Properties)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    program(tmp_path, "nvidia-smi", 'case "$*" in *"-i GPU-1234") echo "1980 MHz, 2619 MHz, 41";; *) exit 6;; esac')
    assert tools.clocks(GPU) == "1980 MHz, 2619 MHz, 41 °C"
    program(tmp_path, "nvidia-smi", "exit 9")
    assert tools.clocks(GPU) == tools.clocks(CPU) == "–"


def test_an_mps_daemon_is_started_and_ended(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    log = tmp_path / "log"
    program(
        tmp_path, "nvidia-cuda-mps-control", f'echo "$CUDA_MPS_PIPE_DIRECTORY $1" >> {log}; [ "$1" ] || cat >> {log}'
    )
    with tools.mps_daemon(GPU) as environment:
        folder = environment["CUDA_MPS_PIPE_DIRECTORY"]
        assert log.read_text() == f"{folder} -d\n"
    assert log.read_text().splitlines()[1:] == [f"{folder} ", "quit"]
    program(tmp_path, "nvidia-cuda-mps-control", "exit 1")
    with tools.mps_daemon(GPU) as environment:
        assert environment is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_without_a_gpu_it_ends_in_a_sentence():
    done = benchmark()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("benchmarks/gpu.py: --device: PyTorch finds no cuda device here")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_the_whole_list_on_a_cpu():
    done = benchmark("--device", "cpu", "--quick")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert len({row[0] for row in rows}) == 7
    assert "OTHER BYTES" not in done.stdout
