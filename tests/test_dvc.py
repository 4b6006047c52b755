"""DVC as users run it: reproduce, carry data and checkpoints to a clone, and find nothing to do there."""

import shutil
import subprocess
from pathlib import Path

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
def project(tmp_path, run, finished):
    """The repository with a small demo study, whose runs are there: those of `finished`, since a key holds no names."""
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
    demo["datasets"] = dict.fromkeys(demo["datasets"], small["datasets"]["cues"])
    demo["models"], demo["recipes"] = small["models"], {"brief": small["recipes"]["brief"]}
    for name, experiment in demo["experiments"].items():
        experiment |= {"baseline": "tiny", "grid": small["experiments"]["first"]["grid"] | {"datasets": name}}
        for part in ("data", "results/runs", "results/profiles"):
            shutil.copytree(finished / part / "cues", folder / part / name)
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
    call = ("snakemake", "--configfile", "workflow/studies/demo.yaml")
    page = Path("results/demo/report/index.html")
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    run(clone, "dvc", "pull")
    assert "Job stats" not in run(clone, *call, "-n")
    assert "up to date" in run(clone, "dvc", "status")
    run(clone, *call, "--cores", "1")  # sets the links
    assert (clone / page).read_bytes() == (project / page).read_bytes()
    runs = weights(project)
    assert len(runs) == 4
    assert weights(clone) == runs

    # one seed more, made in the clone: the runs that were pulled stay as they are
    path = clone / "workflow/studies/demo.yaml"
    demo = yaml.safe_load(path.read_text())
    demo["experiments"]["demo-local"]["grid"] |= {"seeds": 2}
    path.write_text(yaml.safe_dump(demo, sort_keys=False))
    run(clone, "dvc", "repro")
    assert len(weights(clone)) == len(runs) + 2
    assert weights(clone).items() >= runs.items()
    assert (clone / page).read_bytes() != (project / page).read_bytes()
    # and back: by Git and DVC alone, with nothing trained; the links lead nowhere until snakemake is called
    run(clone, "git", "checkout", "-q", ".")
    run(clone, "dvc", "checkout")
    assert "up to date" in run(clone, "dvc", "status")
    assert "Job stats" not in run(clone, *call, "-n")
    run(clone, *call, "--cores", "1")
    assert (clone / page).read_bytes() == (project / page).read_bytes()


def weights(folder: Path) -> dict[str, bytes]:
    found = folder.glob("results/runs/**/model.safetensors")
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
