"""The Slurm profile: it plans everywhere; where Slurm's programs are installed, a real one-machine cluster runs it."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from cnntention import config
from cnntention.results import paths

LAB = ROOT / "tests/slurm/slurmlab.sh"
PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")
PROFILE = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
ON_A_GPU = {"train", "examine", "profile"}


@pytest.fixture
def project(tmp_path, small) -> Path:
    """A working copy of the workflow, with the small study, and the profile edited as its comments say."""
    folder = tmp_path / "project"
    for name in ("Snakefile", "config.yaml", "environment.yml"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    profile = folder / "profiles/slurm/config.yaml"
    text, lines = re.subn(r"# (slurm_partition: )", r"\1", profile.read_text())
    assert lines == 2, "the profile should name a partition with GPUs, and one without for prepare"
    profile.write_text(text)
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
                "SBATCH_LINES": str(folder / "sbatch.txt"),
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


def submitted(environment: dict[str, str]) -> list[tuple[str, str]]:
    """(rule, sbatch's arguments up to the command) of every job so far, in order."""
    lines = Path(environment["SBATCH_LINES"]).read_text().splitlines()
    return [(re.search(r"--comment rule_([a-z]+)", line)[1], line.split(" --wrap")[0]) for line in lines]


def jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """What Slurm knows of every job."""
    shown = subprocess.run(
        ["scontrol", "show", "job", "--oneliner"], env=environment, capture_output=True, text=True, check=True
    )
    return [dict(part.partition("=")[::2] for part in line.split()) for line in shown.stdout.splitlines() if line]


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


def test_profile_plans_the_study(project, environment):
    out = run(snakemake("--dry-run", "--verbose"), project, environment)
    assert re.search(r"^train +2$", out, re.M)
    assert re.search(rf"rule train:.*?resources:.*?mem_mb={asked('train', 'mem_mb')},.*?slurm_partition=gpu", out, re.S)


@pytest.mark.slurm
def test_study_on_a_cluster(project, lab):
    run(snakemake(), project, lab)

    assert (project / "results/small/report/index.html").exists()
    runs = [json.loads(path.read_text()) for path in project.glob("results/runs/cues/*/*/seed0/run.json")]
    assert [run["provenance"]["threads"] for run in runs] == [1, 1]

    lines = submitted(lab)
    counts = {rule: sum(r == rule for r, _ in lines) for rule, _ in lines}
    assert counts == {"prepare": 1, "train": 2, "examine": 2, "profile": 1}
    for rule, line in lines:
        assert ("--gpus=1" in line.split()) == (rule in ON_A_GPU), line
        assert f" --mem {asked(rule, 'mem_mb')} " in line
        assert f" -t {asked(rule, 'runtime')} " in line
        assert f" --cpus-per-task={asked(rule, 'cpus_per_task')} " in line
        assert " --requeue " in line

    for job in jobs(lab):  # what Slurm made of it
        rule = re.match("rule_([a-z]+)", job["Comment"])[1]
        assert job["JobState"] == "COMPLETED"
        assert job["Partition"] == ("gpu" if rule in ON_A_GPU else "cpu")
        assert job.get("TresPerJob") == ("gres:gpu:1" if rule in ON_A_GPU else None)
        assert job["NumCPUs"] == str(asked(rule, "cpus_per_task"))
        assert job["TimeLimit"] == f"{asked(rule, 'runtime') // 60:02}:{asked(rule, 'runtime') % 60:02}:00"

    assert "Nothing to be done" in run(snakemake("--dry-run"), project, lab)


@pytest.mark.slurm
def test_cancelled_training_goes_on(project, lab, small):
    """A job that is cancelled while it trains is submitted again by itself, and starts after its last epoch."""
    small["recipes"]["brief"]["epochs"] = epochs = 60
    (project / "small.yaml").write_text(yaml.safe_dump(small))
    study = config.load([project / "config.yaml", project / "small.yaml"])
    run_folder, data = study.runs()[0].folder, paths.data_folder(study, "cues")
    prepare = ["cnntention", "prepare", "--config", "config.yaml", "small.yaml", "--dataset", "cues", "--out", data]
    run(prepare, project, lab)

    log = project / "snakemake.txt"
    with log.open("w") as out:
        command = snakemake(f"{run_folder}/run.json")
        workflow = subprocess.Popen(command, cwd=project, env=lab, stdout=out, stderr=subprocess.STDOUT)
    try:
        end = time.monotonic() + 60
        while not list(project.glob("state/**/*.pt")):
            assert workflow.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        small["recipes"]["brief"]["epochs"] += 1  # the job that is submitted again must not see this
        (project / "small.yaml").write_text(yaml.safe_dump(small))
        subprocess.run(["scancel", "1"], env=lab, check=True)
        assert workflow.wait(120) == 0, log.read_text()
    finally:
        workflow.kill()
        workflow.wait()

    assert [job["JobState"] for job in jobs(lab)] == ["CANCELLED", "COMPLETED"]
    result = json.loads((project / run_folder / "run.json").read_text())
    assert result["last"]["epoch"] == epochs
    assert 1 <= result["resumed_after_epochs"][0] < epochs
    assert not list(project.glob("state/**/*.pt"))
    for attempt, (rule, line) in enumerate(submitted(lab), start=1):
        assert rule == "train"
        assert f" --mem {asked('train', 'mem_mb', attempt)} " in line
