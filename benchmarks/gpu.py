"""What a GPU does with this study's networks: bytes, times, memory, and how many runs it takes at once.

    python benchmarks/gpu.py [--device cuda] [--quick] [--demo]

Prints a Markdown table; card, driver, torch and clocks stand beside every number. Training steps are the study's own,
on random images: 32x32x3, batch 128. --quick takes tiny networks and few steps, to try the script itself; it also runs
with --device cpu, without what a CPU has not. --demo also times the demo study, to its report.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from gpu_tools import (
    NO_MPS,
    QUICK,
    ROOT,
    Row,
    Size,
    Training,
    clocks,
    machine,
    model,
    mps_daemon,
    table,
    together,
    work,
)

from cnntention import device, precision, slots
from cnntention.config import Profiling
from cnntention.errors import UserError
from cnntention.models import attention
from cnntention.profiling.memory import measure_memory
from cnntention.training.loop import train_step

Results = Iterator[tuple[str, str]]  # (case, result)


def bytes_of(name: str, where: torch.device, size: Size) -> str:
    training = Training(name, where, size)
    training.run(size.steps)
    return training.sha256()


def same(hashes: list[str]) -> str:
    return "same bytes" if len(set(hashes)) == 1 else "OTHER BYTES"


@contextmanager
def settings(strict: bool = True, fills: bool = False) -> Iterator[None]:
    """torch's deterministic mode, which is the study's own again afterwards."""
    torch.use_deterministic_algorithms(True, warn_only=not strict)
    torch.utils.deterministic.fill_uninitialized_memory = fills
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False


def determinism(where: torch.device, size: Size) -> Results:
    """Do two runs of self-attention give the same bytes?"""
    for strict in (True, False):
        with settings(strict):
            found = same([bytes_of("self-attention", where, size) for _ in range(2)])
            yield (
                "strict" if strict else "warn_only",
                f"{found}, {Training('self-attention', where, size).step_ms():.2f} ms",
            )


def fills(where: torch.device, size: Size) -> Results:
    """What does filling uninitialized memory cost?"""
    for name in ("resnet20", "self-attention"):
        hashes = []
        for on in (True, False):
            with settings(fills=on):
                hashes.append(bytes_of(name, where, size))
                yield f"{name}, {'with' if on else 'without'} fills", f"{Training(name, where, size).step_ms():.2f} ms"
        yield f"{name}, with and without", same(hashes)


def padding(where: torch.device, size: Size) -> Results:
    """What does padding narrow heads bring?"""
    padded = attention.padded
    try:
        for case, extra in (("padded", 1), ("as they are", 0)):
            attention.padded = lambda q, k, v, scale, zeros, extra=extra: padded(q, k, v, scale, zeros * extra)
            yield f"8 heads, {case}", measured(lambda: Training("multi-head", where, size).step_ms(), where)
    finally:
        attention.padded = padded


def measured(step_ms: Callable[[], float], where: torch.device) -> str:
    """A step's time and the most memory that was allocated."""
    if where.type != "cuda":
        return f"{step_ms():.2f} ms"
    torch.cuda.reset_peak_memory_stats(where)
    try:
        return f"{step_ms():.2f} ms, {torch.cuda.max_memory_allocated(where) / 2**30:.2f} GiB"
    except torch.cuda.OutOfMemoryError:
        return "out of memory"


def precisions(where: torch.device, size: Size) -> Results:
    """What does each precision cost?"""
    for name in ("resnet20", "self-attention"):
        for asked in ("fp32", "tf32", "bf16"):
            precision.enforce(asked)
            note = "" if precision.native(asked, where) else " (not native)"
            yield f"{name}, {asked}{note}", f"{Training(name, where, size, asked).step_ms():.2f} ms"
    precision.enforce("fp32")


def waits(where: torch.device, size: Size) -> Results:
    """Does a training step wait for the GPU?"""
    if where.type != "cuda":
        yield "all models", "skipped: a GPU's question"
        return
    for name in ("resnet20", "self-attention", "multi-head", "cbam"):
        training = Training(name, where, size)
        training.run(2)
        batches = list(training.data.shuffled(size.batch, 0, 1))
        torch.cuda.set_sync_debug_mode("error")
        try:
            train_step(training.net, *batches[0], training.optimizer, 0.001, training.recipe)
            yield name, "no"
        except RuntimeError as error:
            yield name, f"yes: {str(error).splitlines()[0]}"
        finally:
            torch.cuda.set_sync_debug_mode("default")


def memory(where: torch.device, size: Size) -> Results:
    """How much memory does a training step need beside weights and images?"""
    for name in ("resnet20", "self-attention", "multi-head", "cbam"):
        shape, asked = (3, size.side, size.side), Profiling(batch_size=size.batch)
        found, _ = measure_memory(model(name, size), shape, 10, asked, where, ())
        yield name, f"{found / 2**20:.0f} MiB"


def sharing(where: torch.device, size: Size) -> Results:
    """How many runs does it take at once?"""
    hashes = []
    for number in size.processes:
        speed, found = together(number, where, size, NO_MPS)
        hashes += found
        yield f"{number} at once, time-sliced", f"{speed:.0f} images/s, {same(hashes)}"
    with mps_daemon(where) as environment:
        if environment is None:
            yield "with MPS", "skipped: no MPS daemon can be started here"
            return
        for number in size.processes:
            speed, found = together(number, where, size, environment)
            hashes += found
            yield f"{number} at once, MPS", f"{speed:.0f} images/s, {same(hashes)}"


def demo(where: torch.device, size: Size) -> Results:
    """How long does the demo study take, to its report?"""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("Snakefile", "workflow", "profiles", "environment.yml", "config.yaml"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder, part))
        Path(folder, "locks").mkdir()  # this process holds the GPU's real ones
        command = ["snakemake", "--cores", "all", "--resources", f"gpu={slots.count()}"]
        command += ["--configfile", "workflow/studies/demo.yaml"]
        environment = os.environ | {"TMPDIR": str(Path(folder, "locks")), "PYTHONPATH": str(ROOT)}
        start = time.perf_counter()
        done = subprocess.run(command, cwd=folder, env=environment, stdout=sys.stderr)
        minutes = (time.perf_counter() - start) / 60
    yield f"{slots.count()} slots", f"{minutes:.1f} minutes" if done.returncode == 0 else "failed"


QUESTIONS = (determinism, fills, padding, precisions, waits, memory, sharing)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny networks and few steps, to try the script itself")
    parser.add_argument("--demo", action="store_true", help="also time the demo study")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    size = QUICK if args.quick else Size()
    if args.worker:
        work(torch.device(args.device), size)
        return 0
    os.environ |= NO_MPS
    try:
        where = device.choose(args.device, whole=True)
        device.prepare_torch(1, where)
        rows = []
        for ask in (*QUESTIONS, demo) if args.demo else QUESTIONS:
            for case, result in ask(where, size):
                rows.append(Row(ask.__doc__, case, result, clocks(where)))
                print(f"{ask.__doc__} {case}: {result}", file=sys.stderr, flush=True)
    except UserError as error:
        print(f"benchmarks/gpu.py: {error}", file=sys.stderr)
        return 1
    print(table(rows, machine(where)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
