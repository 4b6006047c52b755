"""A study that is killed again and again, at random moments, ends with the bytes of one that was not."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from faults import KILLS
from test_corruption import comparable

PARTS = ("Snakefile", "workflow", "profiles", "environment.yml", "config.yaml")


def results(folder: Path) -> dict:
    """What was made, without times: data, runs with their examinations, and the tables of them."""
    every = [path for pattern in ("data/*/*/*", "results/runs/**/*") for path in folder.glob(pattern)]
    found = {path.relative_to(folder): path.read_bytes() for path in every if path.is_file() and path.suffix != ".log"}
    return comparable(found, Path())


@pytest.mark.long
def test_a_study_that_is_killed_ends_with_the_same_bytes(finished, tmp_path, environment):
    for part in PARTS:
        source = finished / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    draws, seed = random.Random(), time.time_ns()
    draws.seed(seed)
    command = ["snakemake", "--cores", "2", "--resources", "gpu=2"]
    quiet = {"cwd": tmp_path, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for kill in KILLS.values():
        process = subprocess.Popen(command, **quiet, start_new_session=True)
        time.sleep(draws.uniform(1, 7))
        number = signal.Signals[kill[0]]
        if process.poll() is None:
            os.killpg(process.pid, number) if kill[1] else process.send_signal(number)
        process.wait(60)
        shutil.rmtree(tmp_path / ".snakemake/locks", ignore_errors=True)  # `snakemake --unlock`, in no time
    for _ in range(3):  # jobs of a call that was killed alone may still be at work
        done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True)
        assert "Traceback" not in done.stdout + done.stderr
        if done.returncode == 0:
            break
        time.sleep(2)
    assert done.returncode == 0, f"{seed}: {done.stdout}{done.stderr}"
    ours, theirs = results(tmp_path), results(finished)
    assert ours.keys() == theirs.keys(), seed
    assert not [path for path in ours if ours[path] != theirs[path]], seed
    assert not list(tmp_path.glob("state/**/*.pt")), seed
