"""DVC as users run it: reproduce, carry data and checkpoints to a clone, and find nothing to do there."""

import json
import shutil
import subprocess

import pytest
import yaml
from conftest import ROOT, small_study

pytestmark = pytest.mark.slow

PARTS = ("Snakefile", "config.yaml", "dvc.yaml", "environment.yml", ".dvcignore", ".gitignore", ".dvc/config",
         ".dvc/.gitignore", "workflow", "profiles", "cnntention")  # fmt: skip


@pytest.fixture
def run(environment):
    def command(folder, *words):
        identity = {
            f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            words, cwd=folder, env=environment | identity, text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return command


@pytest.fixture
def project(tmp_path, run):
    """The repository with a demo study that trains in seconds: the same names, tiny sizes."""
    folder = tmp_path / "project"
    for part in PARTS:
        target = folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    path = folder / "workflow/studies/demo.yaml"
    demo, small = yaml.safe_load(path.read_text()), small_study()
    for dataset in demo["datasets"].values():
        dataset |= {"train_images": 128, "validation_images": 64, "test_images": 64}
    demo["models"], demo["recipes"]["short"] = small["models"], small["recipes"]["brief"]
    for name, experiment in demo["experiments"].items():
        experiment["baseline"] = "tiny"
        names = {"datasets": name, "models": ["tiny", "looking"], "recipes": "short"}
        experiment["grid"] = names | {"seeds": 1}
    demo |= {name: small[name] for name in ("diagnostics", "explanation", "profiling")} | {"claims": {}}
    path.write_text(yaml.safe_dump(demo, sort_keys=False))
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "The study")
    return folder


def test_reproduce_push_clone_pull(project, tmp_path, run):
    first = run(project, "dvc", "repro")
    assert all(f"Running stage '{stage}'" in first for stage in ("data", "runs", "profiles", "report"))
    second = run(project, "dvc", "repro")
    assert "Running stage" not in second
    assert "up to date" in second
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "Its results")
    tracked = run(project, "git", "ls-files")
    assert "dvc.lock" in tracked
    assert "model.safetensors" not in tracked
    run(project, "dvc", "push")

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    run(clone, "dvc", "pull")
    dry = run(clone, "snakemake", "-n", "--configfile", "workflow/studies/demo.yaml")
    assert "Job stats" not in dry
    assert "up to date" in run(clone, "dvc", "status")
    runs = {str(p.relative_to(project)): p.read_bytes() for p in project.glob("results/runs/**/model.safetensors")}
    assert runs
    assert {str(p.relative_to(clone)): p.read_bytes() for p in clone.glob("results/runs/**/model.safetensors")} == runs

    # one seed more, made in the clone: the runs that were pulled stay as they are
    path = clone / "workflow/studies/demo.yaml"
    demo = yaml.safe_load(path.read_text())
    demo["experiments"]["demo-local"]["grid"]["seeds"] = 2
    path.write_text(yaml.safe_dump(demo, sort_keys=False))
    run(clone, "dvc", "repro")
    made = {p: json.loads(p.read_text())["started"] for p in clone.glob("results/runs/**/run.json")}
    assert len(made) == len(runs) + 2
    assert {
        str(p.relative_to(clone)): p.read_bytes() for p in clone.glob("results/runs/**/seed0/model.safetensors")
    } == runs
    # and back: by Git and DVC alone, with nothing trained
    run(clone, "git", "checkout", "-q", ".")
    run(clone, "dvc", "checkout")
    assert "Job stats" not in run(clone, "snakemake", "-n", "--configfile", "workflow/studies/demo.yaml")
