"""Shared by the tests: small studies, and the commands of the environment that runs them."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

# A suite in the background of a shell ignores SIGINT, and so would the programs that it starts and interrupts.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# One thread each: pytest-xdist runs a worker a core.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """The environment of a command run as a user would: this interpreter's programs first, nothing of pytest's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "SNAKEMAKE", "DVC"))}
    return clean | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def small_study() -> dict:
    """The mapping of a study that trains in a second: two models, one generated dataset."""
    return {
        "study": {"name": "small", "question": "Does it run?", "experiments": ["first"]},
        "datasets": {
            "cues": {
                "source": {"format": "cuematch", "track": "local"},
                "train_images": 192,
                "validation_images": 64,
                "test_images": 96,
            }
        },
        "models": {
            "tiny": {"depth": 8, "width": 4},
            "looking": {"depth": 8, "width": 4, "attention": {"stage3": {"kind": "self-attention"}}},
        },
        "recipes": {
            "brief": {
                "epochs": 2,
                "batch_size": 64,
                "optimizer": {"name": "sgd", "lr": 0.02},
                "schedule": {"name": "cosine"},
            }
        },
        "experiments": {
            "first": {
                "question": "Does it run?",
                "baseline": "tiny",
                "grid": {"datasets": "cues", "models": ["tiny", "looking"], "recipes": "brief", "seeds": 1},
            }
        },
        "diagnostics": {"images": 60, "map_images": 20},
        "explanation": {"images": 4, "scored_images": 12, "road_images": 3},
        "profiling": {"batch_size": 8, "min_seconds": 0.02, "processes": 3, "rounds": 2},
    }


@pytest.fixture
def small() -> dict:
    return small_study()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id, environment) -> Path:
    """A folder where the small study was run to its report, once for all tests and all of pytest-xdist's workers."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "finished"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            for part in ("Snakefile", "workflow", "profiles", "environment.yml"):
                source = ROOT / part
                (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
            (folder / "config.yaml").write_text(yaml.safe_dump(small_study(), sort_keys=False))
            command = ["snakemake", "--cores", "2", "--resources", "gpu=2"]
            done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=600)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The cluster first: it takes longest, and mostly waits."""
    items.sort(key=lambda item: "slurm" not in item.keywords)
