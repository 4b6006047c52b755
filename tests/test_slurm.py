"""The Slurm profile: it plans everywhere; where Slurm's programs are installed, a real one-machine cluster runs it."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import yaml
from conftest import ROOT, small_study

LAB = ROOT / "tests/slurm/slurmlab.sh"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
ON_A_GPU = {"train", "examine", "profile"}


def project(folder: Path, study: dict, **train: str | int) -> Path:
    """A working copy of the workflow with the study; the profile edited as its comments say, and the `train` rule's."""
    folder.mkdir()
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "small.yaml").write_text(yaml.safe_dump(study))
    profile = folder / "profiles/slurm/config.yaml"
    text, lines = re.subn(r"# (slurm_partition: )", r"\1", profile.read_text())
    assert lines == 2, "the profile should name a partition with GPUs, and one without for prepare"
    edited = yaml.safe_load(text)
    edited["set-resources"]["train"] |= train
    profile.write_text(yaml.safe_dump(edited))
    return folder


@pytest.fixture
def lab(tmp_path, environment):
    """The environment of a user of a real Slurm: one node with a fake GPU, one without."""
    path = f"{environment['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; Debian: slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        pytest.skip("Slurm's daemons are started as root here")
    folder = tmp_path / "lab"
    base = environment | {"PATH": path}
    with (Path(tempfile.gettempdir()) / "cnntention-slurmlab.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # its ports and cgroups have fixed names
        try:
            subprocess.run([LAB, "up", folder], env=base, check=True, timeout=60)
            yield base | {
                "PATH": f"{folder / 'bin'}:{path}",
                "SLURM_CONF": str(folder / "etc/slurm.conf"),
                "LAB": str(folder),
            }
        finally:
            subprocess.run([LAB, "down", folder], env=base, check=True, timeout=90)


def snakemake(*arguments: str) -> list[str]:
    polling = ["--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "10"]
    return ["snakemake", "--profile", "profiles/slurm", "--configfile", "small.yaml", *polling, *arguments]


def run(command: list[str], folder: Path, environment: dict[str, str], timeout: float = 600) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def submitted(folder: Path, environment: dict[str, str]) -> list[tuple[str, str]]:
    """(rule, sbatch's arguments up to the command) of every job from the folder so far, in order."""
    lines = Path(environment["LAB"], "sbatch.txt").read_text().splitlines()
    lines = [line.split(" --wrap")[0] for line in lines if f" -D {folder} " in line]
    return [(re.search(r"--comment rule_([a-z]+)", line)[1], line) for line in lines]


def jobs(folder: Path, environment: dict[str, str]) -> list[dict[str, str]]:
    """What Slurm knows of every job from the folder, in order."""
    shown = run(["scontrol", "show", "job", "--oneliner"], folder, environment).splitlines()
    known = [dict(part.partition("=")[::2] for part in line.split()) for line in shown]
    return sorted((job for job in known if job.get("WorkDir") == str(folder)), key=lambda job: int(job["JobId"]))


def wait_until(true: Callable[[], object], seconds: float = 400) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


def asked(rule: str, resource: str, attempt: int = 1) -> int:
    """What the profile gives to a rule."""
    given = {"cpus_per_task": 1} | PROFILE["default-resources"] | PROFILE["set-resources"].get(rule, {})
    return eval(str(given[resource]), {"attempt": attempt})


def test_profile_names_rules_that_exist():
    rules = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        rules |= set(re.findall(r"^rule (\w+):", path.read_text(), re.M))
        assert not re.search(r"^ +retries:", path.read_text(), re.M), "retries belong in the profile"
    assert set(PROFILE["set-resources"]) <= rules
    assert "set-threads" not in PROFILE, "another number of threads is another result"
    assert PROFILE["retries"] >= 1
    assert "resources" not in PROFILE, "it would let Snakemake submit one GPU job at a time"


def test_profile_plans_the_study(small, tmp_path, environment):
    out = run(snakemake("--dry-run", "--verbose"), project(tmp_path / "project", small), environment)
    assert re.search(r"^train +2$", out, re.M)
    assert re.search(rf"rule train:.*?resources:.*?mem_mb={asked('train', 'mem_mb')},.*?slurm_partition=gpu", out, re.S)


def whole_study(folder: Path, lab: dict[str, str]) -> None:
    """The small study, from nothing to its report. At first another job has the only GPU."""
    project(folder, small_study())
    taken = slurm(lab, "sbatch", "--parsable", "--gpus=1", "--output=/dev/null", "--wrap=sleep 600")
    with ThreadPoolExecutor() as pool:
        done = pool.submit(run, snakemake(), folder, lab)
        wait_until(lambda: done.done() or "Resources" in [job["Reason"] for job in jobs(folder, lab)])
        slurm(lab, "scancel", taken.strip())
    done.result()

    assert (folder / "results/small/report/index.html").exists()
    runs = [json.loads(path.read_text()) for path in folder.glob("results/runs/cues/*/*/seed0/run.json")]
    assert [run["provenance"]["threads"] for run in runs] == [1, 1]

    lines = submitted(folder, lab)
    assert {rule for rule, _ in lines} == {"prepare", *ON_A_GPU}
    for rule, line in lines:
        assert ("--gpus=1" in line.split()) == (rule in ON_A_GPU), line
        assert f" --cpus-per-task={asked(rule, 'cpus_per_task')} " in line
        assert " --requeue " in line
        assert ("--signal=USR1@120" in line) == (rule == "train")

    for job in jobs(folder, lab):  # what Slurm made of it
        rule = re.match("rule_([a-z]+)", job["Comment"])[1]
        assert job["JobState"] == "COMPLETED"
        assert job["Partition"] == ("gpu" if rule in ON_A_GPU else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if rule in ON_A_GPU else None)
        assert job["NumCPUs"] == str(asked(rule, "cpus_per_task"))

    assert "Nothing to be done" in run(snakemake("--dry-run"), folder, lab)


# --- a training that something happens to -----------------------------------------------------------------------------

SLOW = """
import time
from cnntention.models.attention import Attention, register

@register("slow")
class Slow(Attention):
    def __init__(self, channels, seconds, **residual):
        super().__init__(**residual)
        self.seconds = seconds

    def attend(self, x):
        time.sleep(self.seconds * self.training)
        return x
"""
ANSWERS = threading.Lock()  # held while slurmctld must be there


def slurm(lab: dict[str, str], *command: str) -> str:
    with ANSWERS:
        return run([*command], Path(lab["LAB"]), lab)


def slow_study(epochs: int, batch_size: int, seconds: float) -> dict:
    """One run; a step takes these seconds."""
    study = small_study()
    study["plugins"] = ["slow.py"]
    study["models"] = {"slow": {"depth": 8, "width": 4, "attention": {"stage3": {"kind": "slow", "seconds": seconds}}}}
    study["recipes"]["brief"] |= {"epochs": epochs, "batch_size": batch_size}
    study["experiments"]["first"]["baseline"] = "slow"
    study["experiments"]["first"]["grid"]["models"] = ["slow"]
    return study


MANY_EPOCHS = slow_study(epochs=16, batch_size=64, seconds=0.5)  # three steps each
LONG_EPOCH = slow_study(epochs=1, batch_size=2, seconds=0.9)  # 96 steps


class Training:
    """A Snakemake in the background that has a run trained on the lab."""

    def __init__(self, folder: Path, lab: dict[str, str], study: dict, data: Path, **resources: str | int):
        self.folder, self.lab = project(folder, study, gpu=0, **resources), lab
        (folder / "slow.py").write_text(SLOW)
        shutil.copytree(data, folder / "data")
        self.log = folder / "snakemake.txt"
        self.start()

    def start(self) -> None:
        with self.log.open("a") as out:
            command = snakemake("train_all")
            self.workflow = subprocess.Popen(command, cwd=self.folder, env=self.lab, stdout=out, stderr=out)

    def await_state(self) -> None:
        wait_until(lambda: self.workflow.poll() is not None or list(self.folder.glob("state/**/*.pt")))
        assert self.workflow.poll() is None, self.log.read_text()

    def running(self) -> str:
        """The number of its job."""
        with ANSWERS:
            return next(job["JobId"] for job in jobs(self.folder, self.lab) if job["JobState"] == "RUNNING")

    def finish(self) -> list[dict[str, str]]:
        """Wait for Snakemake's success; its Slurm jobs."""
        assert self.workflow.wait(500) == 0, self.log.read_text()
        with ANSWERS:
            return jobs(self.folder, self.lab)

    def resumed(self) -> list[int]:
        """The finished run's epochs after which it was resumed."""
        run = json.loads(next(self.folder.glob("results/runs/cues/slow/*/seed0/run.json")).read_text())
        history = next(self.folder.glob("results/runs/cues/slow/*/seed0/history.csv")).read_text().splitlines()
        assert run["last"]["epoch"] == run["recipe"]["epochs"] == len(history) - 1
        assert not list(self.folder.glob("state/**/*.pt"))
        return run["resumed_after_epochs"]


def states(jobs: list[dict[str, str]]) -> list[str]:
    return [job["JobState"] for job in jobs]


def cancelled(training: Training) -> None:
    """Its job is cancelled, and the configuration edited: it is submitted again, and goes on as it began."""
    training.await_state()
    (training.folder / "small.yaml").write_text(yaml.safe_dump(LONG_EPOCH))
    slurm(training.lab, "scancel", training.running())
    assert states(training.finish()) == ["CANCELLED", "COMPLETED"]
    assert training.resumed()
    for attempt, (_, line) in enumerate(submitted(training.folder, training.lab), start=1):
        for flag, resource in (("--mem", "mem_mb"), ("-t", "runtime")):
            assert f" {flag} {asked('train', resource, attempt)} " in line


def over_its_limit(training: Training) -> None:
    """An epoch longer than the time limit: the signal before it has the state saved within the epoch."""
    assert states(training.finish())[-1] == "COMPLETED"
    assert set(training.resumed()) == {0}
    assert "saved within epoch 1" in "".join(path.read_text() for path in training.folder.glob("logs/slurm/**/*.log"))


def preempted(training: Training) -> None:
    """Slurm has its job wait for a more important one, then starts it again."""
    training.await_state()
    slurm(training.lab, "sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    job = training.finish()[0]
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert training.resumed()


def preempted_for_good(training: Training) -> None:
    """Its job is cancelled for a more important one: it is submitted again."""
    training.await_state()
    slurm(training.lab, "sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 1")
    assert states(training.finish()) == ["PREEMPTED", "COMPLETED"]
    assert training.resumed()


def node_lost(training: Training) -> None:
    """Its node dies with all that runs there; it comes back after Slurm has noticed."""
    training.await_state()
    slurmd = int(Path(training.lab["LAB"], "run/slurmd.n4.pid").read_text())
    name = f"slurmstepd:[{training.running()}."  # psutil may split it at its space
    titles = {process: "".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])}
    steps = [process for process, title in titles.items() if title.replace(" ", "").startswith(name)]
    assert len(steps) == 2  # the batch script, and srun's in it
    for process in [psutil.Process(slurmd), *steps, *(p for step in steps for p in step.children(recursive=True))]:
        process.kill()
    wait_until(lambda: slurm(training.lab, "sinfo", "--noheader", "--nodes=n4", "--format=%T").startswith("down"))
    run(["slurmd", "-N", "n4"], Path(training.lab["LAB"]), training.lab, timeout=60)
    job = training.finish()[0]
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    assert training.resumed()


def without_slurmctld(training: Training) -> None:
    """Nothing answers for a while; the job goes on, and Snakemake does not forget it."""
    training.await_state()
    with ANSWERS:
        pid = int(Path(training.lab["LAB"], "run/slurmctld.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not psutil.pid_exists(pid))
        time.sleep(15)
        run(["slurmctld"], Path(training.lab["LAB"]), training.lab)
    assert states(training.finish()) == ["COMPLETED"]
    assert training.resumed() == []


def snakemake_killed(training: Training) -> None:
    """It leaves its job; the next call cancels that, and the run goes on."""
    training.await_state()
    slurm(training.lab, "scontrol", "suspend", training.running())  # or it might end before the next call begins
    training.workflow.kill()
    training.workflow.wait()
    run(snakemake("train_all", "--unlock"), training.folder, training.lab)
    training.start()
    assert states(training.finish()) == ["CANCELLED", "COMPLETED"]
    assert training.resumed()


FAULTS = {  # the longest first
    over_its_limit: {"slurm_partition": "cpu", "runtime": "attempt", "slurm_extra": "--signal=USR1@20"},
    node_lost: {"slurm_partition": "frail"},
    preempted: {"slurm_partition": "low"},
    snakemake_killed: {"slurm_partition": "cpu"},
    cancelled: {"slurm_partition": "cpu"},
    preempted_for_good: {"slurm_partition": "last"},
    without_slurmctld: {"slurm_partition": "cpu"},
}


COMMON = (cancelled,)
RARE = tuple(fault for fault in FAULTS if fault not in COMMON)


@pytest.mark.slurm
@pytest.mark.parametrize(
    ("whole", "faults"),
    [
        pytest.param([whole_study], COMMON, id="common"),
        pytest.param([], RARE, id="rare", marks=pytest.mark.long),
    ],
)
def test_studies_survive_what_happens_on_a_cluster(tmp_path, lab, whole, faults):
    """Four at a time on one cluster: most of the time they wait."""
    first = project(tmp_path / "first", MANY_EPOCHS)
    (first / "slow.py").write_text(SLOW)
    run(["snakemake", "--cores", "1", "prepare_all", "--configfile", "small.yaml"], first, lab)

    def trial(fault: Callable[[Training], None]) -> None:
        study = LONG_EPOCH if fault is over_its_limit else MANY_EPOCHS
        training = Training(tmp_path / fault.__name__, lab, study, first / "data", **FAULTS[fault])
        try:
            fault(training)
        finally:
            training.workflow.kill()
            training.workflow.wait()

    with ThreadPoolExecutor(4) as pool:  # more at a time take longer than two cores have
        trials = {study.__name__: pool.submit(study, tmp_path / "study", lab) for study in whole}
        trials |= {fault.__name__: pool.submit(trial, fault) for fault in faults}
    failed = [f"{name}: {error!r}" for name, trial in trials.items() if (error := trial.exception())]
    assert not failed, "\n\n".join(failed)
