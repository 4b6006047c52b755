"""What benchmarks/gpu.py measures with: the study's training steps, alone and in several processes, and a table."""

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cnntention import device
from cnntention.config import Augmentation, Model, Optimizer, Recipe, Schedule, load
from cnntention.data.augment import Batches
from cnntention.errors import UserError
from cnntention.models.registry import build
from cnntention.provenance import cpu_name
from cnntention.training.loop import train_step
from cnntention.training.recipe import make_optimizer

ROOT = Path(__file__).resolve().parents[1]
NO_MPS = {"CUDA_MPS_PIPE_DIRECTORY": "/nowhere"}  # where no daemon listens, whatever else runs on the machine


@dataclass(frozen=True)
class Size:
    """How much is trained."""

    batch: int = 128
    side: int = 32
    depth: int = 20
    steps: int = 60
    rounds: int = 5
    processes: tuple[int, ...] = (1, 2, 4)


QUICK = Size(batch=8, side=12, depth=8, steps=2, rounds=1, processes=(1, 2))


@dataclass(frozen=True)
class Row:
    """One result, and the clocks right after it."""

    question: str
    case: str
    result: str
    clocks: str


def table(rows: list[Row], machine: dict[str, str]) -> str:
    """The results as Markdown."""
    lines = [
        "| question | case | result | card | driver | torch | clocks |",
        "| --- | --- | --: | --- | --- | --- | --- |",
    ]
    shared = f"{machine['card']} | {machine['driver']} | {machine['torch']}"
    return "\n".join(lines + [f"| {r.question} | {r.case} | {r.result} | {shared} | {r.clocks} |" for r in rows])


# --- the machine ------------------------------------------------------------------------------------------------


def smi(fields: str, where: torch.device) -> list[str]:
    """What nvidia-smi says of the GPU; a dash a field where it cannot be asked."""
    unknown = ["–"] * len(fields.split(","))
    if where.type != "cuda" or not shutil.which("nvidia-smi"):
        return unknown
    gpu = f"GPU-{torch.cuda.get_device_properties(where).uuid}"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "-i", gpu]
    done = subprocess.run(command, capture_output=True, text=True)
    return [part.strip() for part in done.stdout.split(",")] if done.returncode == 0 else unknown


def machine(where: torch.device) -> dict[str, str]:
    card = torch.cuda.get_device_name(where) if where.type == "cuda" else cpu_name()
    return {"card": card, "driver": smi("driver_version", where)[0], "torch": torch.__version__}


def clocks(where: torch.device) -> str:
    """SM and memory clock and temperature."""
    sm, memory, degrees = smi("clocks.sm,clocks.mem,temperature.gpu", where)
    return "–" if sm == "–" else f"{sm}, {memory}, {degrees} °C"


# --- training ---------------------------------------------------------------------------------------------------


class Training:
    """A network of the study in training, from seed 0 on."""

    def __init__(self, name: str, where: torch.device, size: Size, asked: str = "fp32"):
        draws = np.random.default_rng(0)
        images = draws.integers(0, 256, (4 * size.batch, 3, size.side, size.side), dtype=np.uint8)
        labels, augment = draws.integers(0, 10, len(images)), Augmentation(flip=True, crop_padding=4)
        self.data = Batches(images, labels, [0.5] * 3, [0.25] * 3, where, augment)
        optimizer = Optimizer(name="adamw", lr=0.001)
        self.recipe = Recipe(epochs=1, optimizer=optimizer, schedule=Schedule(name="constant"), precision=asked)
        self.net = build(model(name, size), 3, 10).to(where, memory_format=torch.channels_last).train()
        self.optimizer, self.size, self.where, self.done = make_optimizer(self.net, optimizer), size, where, 0

    def run(self, steps: int) -> float:
        """Seconds of so many steps."""
        wait(self.where)
        start, left = time.perf_counter(), steps
        while left:
            self.done += 1
            for images, labels in list(self.data.shuffled(self.size.batch, 0, self.done))[:left]:
                train_step(self.net, images, labels, self.optimizer, 0.001, self.recipe)
                left -= 1
        wait(self.where)
        return time.perf_counter() - start

    def step_ms(self) -> float:
        """Median over rounds of a step's mean time, after a round to warm up."""
        times = [self.run(self.size.steps) for _ in range(1 + self.size.rounds)]
        return 1e3 * statistics.median(times[1:]) / self.size.steps

    def sha256(self) -> str:
        """Of the weights."""
        values = (value.cpu().contiguous().numpy().tobytes() for value in self.net.state_dict().values())
        return hashlib.sha256(b"".join(values)).hexdigest()


def model(name: str, size: Size) -> Model:
    return load([ROOT / "config.yaml"]).models[name].model_copy(update={"depth": size.depth})


def wait(where: torch.device) -> None:
    if where.type != "cpu":
        torch.accelerator.synchronize(where)


# --- several processes ------------------------------------------------------------------------------------------


def together(number: int, where: torch.device, size: Size, environment: dict[str, str]) -> tuple[float, list[str]]:
    """Images a second of all processes that train ResNet-20 at once, and the hash of each one's weights."""
    command = [
        sys.executable,
        str(ROOT / "benchmarks/gpu.py"),
        "--worker",
        "--device",
        str(where),
        *(["--quick"] if size == QUICK else []),
    ]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, env=os.environ | environment, **pipes) for _ in range(number)]
    try:
        for worker in workers:  # all have started, and warmed up
            if worker.stdout.readline() != "ready\n":
                raise UserError(f"one of {number} processes failed; its error is above.")
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = [json.loads(worker.communicate()[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    images = sum(result["images"] for result in found)
    return images / max(result["seconds"] for result in found), [result["sha256"] for result in found]


def work(where: torch.device, size: Size) -> None:
    """What each process does."""
    device.prepare_torch(1, where)
    training, steps = Training("resnet20", where, size), 10 * size.steps
    training.run(size.steps)
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = training.run(steps)
    print(json.dumps({"images": steps * size.batch, "seconds": seconds, "sha256": training.sha256()}))


@contextmanager
def mps_daemon(where: torch.device) -> Iterator[dict[str, str] | None]:
    """The environment in which CUDA finds an MPS daemon of this script's own; None where none can be started."""
    program = shutil.which("nvidia-cuda-mps-control")
    if where.type != "cuda" or program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        started = subprocess.run([program, "-d"], env=os.environ | own, capture_output=True)
        try:
            yield own if started.returncode == 0 else None
        finally:
            if started.returncode == 0:
                subprocess.run([program], input=b"quit\n", env=os.environ | own, capture_output=True, timeout=60)
