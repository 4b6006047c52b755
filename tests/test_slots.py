"""GPU slots: the processes of a machine take turns. Tested with names, since a lock needs no GPU."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import ROOT

from cnntention import slots
from cnntention.errors import UserError

HOLD = """
import os, sys, time
from pathlib import Path
from cnntention import slots
folder, gpus, seconds, whole, user = sys.argv[1:]
slots.FIRST_WORD = 0.2
if user:
    os.setgid(int(user)), os.setuid(int(user))
print(slots.acquire(gpus.split(","), Path(folder), pause=0.05, whole=bool(whole)), flush=True)
time.sleep(float(seconds))
"""


@pytest.fixture(autouse=True)
def outside_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CNNTENTION_GPU_SLOTS", raising=False)
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/nowhere")


@pytest.fixture
def hold(tmp_path):
    """Starts processes that hold a slot for a minute, or to their end; all are ended after the test."""
    with contextlib.ExitStack() as ended:

        def start(gpus="0", seconds=60.0, whole=False, user="", number=1, folder=tmp_path):
            command = [sys.executable, "-c", HOLD, str(folder), gpus, str(seconds), "1" * whole, str(user)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            environment = os.environ | {"CNNTENTION_GPU_SLOTS": str(number), "PYTHONPATH": str(ROOT)}
            process = ended.enter_context(subprocess.Popen(command, env=environment, **pipes))
            ended.callback(process.kill)
            return process

        yield start


def got(process):
    """The index of the GPU that the process got; waits for it."""
    return int(process.stdout.readline())


def test_three_processes_take_turns_on_two_gpus(hold):
    first, second = hold("0,1"), hold("0,1")
    assert {got(first), got(second)} == {0, 1}
    third = hold("0,1", seconds=0)
    assert third.stderr.readline() == "waiting for a GPU: all slots of 0, 1 are taken\n"
    assert third.poll() is None
    first.kill()  # however a process ends, its slot is free
    assert got(third) in {0, 1}
    assert third.wait(timeout=20) == 0
    assert third.stderr.read() == ""  # it said so once


def test_three_processes_on_one_gpu_of_two_slots(hold):
    first, second = hold(number=2), hold(number=2)
    assert [got(first), got(second)] == [0, 0]
    third = hold(number=2)
    assert "but CUDA's MPS does not run here" in third.stderr.readline()
    assert "waiting" in third.stderr.readline()
    second.kill()
    assert got(third) == 0


def test_the_emptiest_gpu_comes_first(hold):
    assert [got(hold("0,1", number=2)) for _ in range(4)] in ([0, 1, 0, 1], [0, 1, 1, 0])


def test_a_profile_has_its_gpu_to_itself(hold):
    """It waits for those inside, lets no other in meanwhile, and holds slots that it does not count itself."""
    inside = hold(number=3)
    assert got(inside) == 0
    profile = hold(whole=True)
    assert profile.stderr.readline() == "waiting for a GPU of its own: all slots of 0 are taken\n"
    late = hold(number=3)
    assert "MPS" in late.stderr.readline()
    assert "waiting for a GPU" in late.stderr.readline()  # two slots are free, but the door is shut
    inside.kill()
    assert got(profile) == 0
    time.sleep(0.5)
    assert late.poll() is None
    profile.kill()
    assert got(late) == 0


def test_two_profiles_and_two_gpus_do_not_wait_for_each_other(hold):
    inside = [hold("0,1"), hold("0,1")]
    assert {got(process) for process in inside} == {0, 1}
    profiles = [hold("0,1", seconds=0, whole=True) for _ in range(3)]
    assert all("of its own" in process.stderr.readline() for process in profiles)
    for process in inside:
        process.kill()
    assert {got(process) for process in profiles} == {0, 1}
    assert [process.wait(timeout=20) for process in profiles] == [0, 0, 0]


def test_slurms_own_assignment_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("CNNTENTION_GPU_SLOTS", "4")
    assert slots.count() == 1
    assert slots.acquire(["3"], tmp_path) == slots.acquire(["3"], tmp_path, whole=True) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", ""])
def test_an_invalid_number_of_slots_is_a_sentence(monkeypatch, value):
    monkeypatch.setenv("CNNTENTION_GPU_SLOTS", value)
    with pytest.raises(UserError, match=r"CNNTENTION_GPU_SLOTS is .*; give a whole number from 1 on"):
        slots.acquire(["0"])


def test_mps_is_told_by_its_control_socket(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not slots.mps()
    (tmp_path / "control").touch()
    assert slots.mps()


# --- lock files -------------------------------------------------------------------------------------------------


def test_nothing_but_a_plain_file_is_opened(tmp_path):
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "dangling").symlink_to(tmp_path / "made")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "dangling", "folder", "fifo"):
        with pytest.raises(UserError, match=rf"{name}: .*; remove it\.$"):
            slots.lock(tmp_path / name)
    assert not (tmp_path / "made").exists()


def test_a_lock_file_is_everyones_whatever_the_umask(tmp_path):
    umask = os.umask(0o077)
    try:
        os.close(slots.lock(tmp_path / "new"))
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(umask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666


def test_a_file_that_is_there_is_opened_without_creating(tmp_path, monkeypatch):
    """Under fs.protected_regular O_CREAT fails on another user's file in /tmp."""
    os.close(slots.lock(tmp_path / "old"))
    flags, really = [], os.open
    monkeypatch.setattr(os, "open", lambda path, how, *mode: flags.append(how) or really(path, how, *mode))
    os.close(slots.lock(tmp_path / "old"))
    assert [how & os.O_CREAT for how in flags] == [0]


@pytest.fixture
def everyones():
    """A folder like /tmp; pytest's own lie in one that no other user may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o1777)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_users_share_lock_files(everyones, hold):
    """A file that root made and nobody else may write; and the other way round."""
    nobody = 65534
    for name in ("cnntention-gpu-0.lock", "cnntention-gpu-0-slot0.lock"):
        (everyones / name).touch()
        (everyones / name).chmod(0o644)
    first = hold(user=nobody, folder=everyones)
    assert got(first) == 0
    second = hold(folder=everyones)  # root
    assert "waiting" in second.stderr.readline()
    first.kill()
    assert got(second) == 0
    assert got(hold("1", user=nobody, folder=everyones)) == 0
    assert (everyones / "cnntention-gpu-1.lock").stat().st_uid == nobody
    assert "waiting" in hold("1", folder=everyones).stderr.readline()
