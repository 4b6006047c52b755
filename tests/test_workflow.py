"""The workflow as users run it: a small study to its report, then every change that must, or must not, run again."""

import copy
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study

pytestmark = pytest.mark.slow

PARTS = ("Snakefile", "workflow", "profiles", "environment.yml")
STEPS = ("train", "examine")  # of a run
REPORT = {"summarise": 1, "judge": 1, "report": 1}
FIRST = {"prepare": 1, **dict.fromkeys(STEPS, 2), "profile": 1, **REPORT}


class Project:
    """A folder with the workflow and a study of its own as config.yaml."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment

    def write(self, config: dict) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def command(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment | env, text=True, capture_output=True, timeout=600
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def snakemake(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess:
        return self.command("snakemake", *words, check=check, **env)

    def planned(self, *words: str) -> dict[str, int]:
        """Jobs that a dry run would run, without the target rules."""
        text = self.snakemake("-n", *words).stdout
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.DOTALL)
        rows = dict(line.split() for line in table[1].splitlines()) if table else {}
        return {rule: int(count) for rule, count in rows.items() if rule != "all" and not rule.endswith("_all")}

    def run_files(self) -> dict[str, bytes]:
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.glob("results/runs/**/*")
                if path.is_file()}  # fmt: skip


@pytest.fixture(scope="session")
def finished(tmp_path_factory, worker_id, environment):
    """A small study that was run to its report, once for all tests and all of pytest-xdist's workers."""
    shared = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    folder = shared / "finished"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        project = Project(folder, environment)
        if not folder.exists():
            run_small_study(project)
    return project


def run_small_study(project: "Project") -> None:
    project.folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, project.folder / part)
    project.write(small_study())
    assert project.planned() == FIRST
    project.snakemake("--cores", "2", "--resources", "gpu=2")


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder)
    return Project(folder, finished.environment)


@pytest.fixture
def study():
    return copy.deepcopy(small_study())


def test_it_leaves_what_the_design_says(finished):
    (run,) = finished.folder.glob("results/runs/cues/looking/brief-*/seed0")
    expected = {"run.json", "model.safetensors", "history.csv", "train.log", "metrics.json", "predictions.safetensors"}
    expected |= {"attention.json", "explanations.json", "explanations.safetensors"}
    assert expected == {path.name for path in run.iterdir()}
    description = json.loads((run / "run.json").read_text())
    assert description["recipe"]["epochs"] == description["last"]["epoch"] == 2
    assert description["provenance"]["threads"] == 1
    assert not list(finished.folder.glob("state/**/*.pt"))
    report = finished.folder / "results/small/report/index.html"
    assert "Does it run?" in report.read_text()


def test_finished_means_nothing_to_do(finished):
    assert finished.planned() == {}


# --- what must not run again ------------------------------------------------------------------------------------


def test_touching_everything_reruns_nothing(project):
    for i, path in enumerate(
        sorted(p for p in project.folder.rglob("*") if p.is_file() and ".snakemake" not in p.parts)
    ):
        os.utime(path, (1e9 + i, 1e9 + 7919 * i % 100_000))
    assert project.planned() == {}


def test_a_clone_without_snakemakes_memory_reruns_nothing(project):
    shutil.rmtree(project.folder / ".snakemake")
    assert project.planned() == {}


def test_reordered_keys_and_comments_rerun_nothing(project, study):
    reverse = {key: study[key] for key in reversed(study)}
    reverse["models"] = {key: study["models"][key] for key in reversed(study["models"])}
    project.write(reverse)
    with (project.folder / "config.yaml").open("a") as config:
        config.write("# a comment\n")
    assert project.planned() == {}


def test_an_edit_of_the_rules_reruns_nothing(project):
    rules = project.folder / "workflow/rules/train.smk"
    rules.write_text(rules.read_text().replace("--threads {threads:q}", "--threads {threads}"))
    assert project.planned() == {}


def test_a_target_for_a_part(project):
    assert project.planned("--forceall", "train_all") == {"prepare": 1, "train": 2}
    assert project.planned("experiment_first") == {}


# --- what must run again, and nothing else ----------------------------------------------------------------------

ONE_RUN = dict.fromkeys(STEPS, 1) | REPORT


def test_a_model_option(project, study):
    study["models"]["looking"]["attention"]["stage3"]["gate_init"] = 0.1
    project.write(study)
    assert project.planned() == ONE_RUN | {"profile": 1}


def test_a_recipes_epochs_and_back(project, study):
    study["recipes"]["brief"]["epochs"] = 3
    project.write(study)
    assert project.planned() == dict.fromkeys(STEPS, 2) | REPORT
    project.snakemake("--cores", "2", "--quiet", "all")
    assert project.planned() == {}
    study["recipes"]["brief"]["epochs"] = 2
    project.write(study)
    assert project.planned() == REPORT  # going back trains nothing


def test_another_seed(project, study):
    study["experiments"]["first"]["grid"]["seeds"] = 2
    project.write(study)
    assert project.planned() == dict.fromkeys(STEPS, 2) | REPORT


def test_another_question_remakes_the_report_alone(project, study):
    study["experiments"]["first"]["question"] = "Why?"
    project.write(study)
    assert project.planned() == REPORT


def test_a_claim_is_judged_and_said_anew_and_nothing_else(project, study):
    claim = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}
    project.write(study | {"claims": {"mine": claim}})
    assert project.planned() == REPORT
    project.snakemake("--cores", "1", "--quiet", "all")
    found = json.loads((project.folder / "results/small/claims/claims.json").read_text())["claims"]["mine"]
    assert (found["verdict"], found["reason"]) == ("inconclusive", "not enough seeds (n = 1, needs 6)")
    assert "not enough seeds" in (project.folder / "results/small/report/index.html").read_text()


def test_another_threshold_examines_the_attention_anew(project, study):
    project.write(study | {"diagnostics": {"alive": {"relative_change": 0.5}}})
    before = project.run_files()
    assert project.planned() == {"examine": 2} | REPORT
    project.snakemake("--cores", "2", "--quiet", "all")
    after = project.run_files()
    assert {name for name in before if before[name] != after[name]} == {n for n in before if "attention.json" in n}
    assert project.planned() == {}


def test_what_is_scored_differently_is_moved_aside_not_lost(project, study):
    study["evaluation"] = {"calibration_bins": 10}
    project.write(study)
    before = project.run_files()
    assert project.planned() == {"examine": 2} | REPORT
    assert project.run_files() == before  # a dry run moves nothing
    project.snakemake("--cores", "2", "--quiet", "all")
    moved = project.folder.glob("results/stale/*/runs/**/metrics.json")
    assert sorted(path.read_bytes() for path in moved) == sorted(v for k, v in before.items() if "metrics.json" in k)
    assert project.planned() == {}


def test_junk_in_a_result_is_remade(project):
    (metrics,) = project.folder.glob("results/runs/cues/tiny/brief-*/seed0/metrics.json")
    metrics.write_text("junk")
    assert project.planned() == {"examine": 1} | REPORT


def test_missing_data_costs_nothing_until_it_is_needed_and_then_only_itself(project, study):
    shutil.rmtree(project.folder / "data")
    assert project.planned() == {}
    study["experiments"]["first"]["grid"]["seeds"] = [0, 3]
    project.write(study)
    planned = project.planned()
    assert planned["train"] == 2  # the two new runs, not the four
    assert planned["prepare"] == 1


def test_a_missing_run_is_made_again_to_the_same_bytes(project):
    before = project.run_files()
    shutil.rmtree(next(project.folder.glob("results/runs/cues/looking/brief-*/seed0")))
    assert project.planned() == {}  # the report is there, and says what it was made of: the run may be elsewhere
    targets = ("evaluate_all", "diagnose_all", "explain_all")
    assert project.planned(*targets) == dict.fromkeys(STEPS, 1)
    project.snakemake("--cores", "2", "--quiet", "all", "--", *targets)
    after = project.run_files()
    assert after.keys() == before.keys()
    for name in before:
        if name.endswith(("model.safetensors", "metrics.json", "predictions.safetensors", "explanations.safetensors")):
            assert after[name] == before[name], name


def test_studies_share_the_runs_that_are_the_same(project, study):
    other = {"study": {"name": "second", "question": "Again?", "experiments": ["first"]}}
    (project.folder / "second.yaml").write_text(yaml.safe_dump(other))
    assert project.planned("--configfile", "second.yaml") == REPORT


# --- killed and broken ------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(project, study):
    study["recipes"]["brief"]["epochs"] = 60
    study["experiments"]["first"]["grid"] |= {"models": ["tiny"]}
    project.write(study)
    process = subprocess.Popen(
        ["snakemake", "--cores", "1", "train_all"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.time() + 120
    while not (states := list(project.folder.glob("state/**/*.pt"))) and time.time() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert states
    project.snakemake("--unlock")
    project.snakemake("--cores", "1", "--quiet", "all", "--", "train_all")
    (run,) = [
        p
        for p in project.folder.glob("results/runs/cues/tiny/brief-*/seed0/run.json")
        if '"epochs": 60' in p.read_text()
    ]
    description = json.loads(run.read_text())
    (resumed,) = description["resumed_after_epochs"]
    assert 1 <= resumed < 60
    assert len((run.parent / "history.csv").read_text().splitlines()) == 61
    assert not list(project.folder.glob("state/**/*.pt"))


def test_a_run_that_diverges_ends_with_a_sentence_and_leaves_the_others(project, study):
    study["recipes"]["wild"] = copy.deepcopy(study["recipes"]["brief"])
    study["recipes"]["wild"]["optimizer"]["lr"] = 1e9
    study["experiments"]["first"]["grid"]["recipes"] = ["brief", "wild"]
    project.write(study)
    before = project.run_files()
    done = project.snakemake("--cores", "1", "train_all", check=False)
    assert done.returncode == 1
    assert re.search(
        r"cnntention train: cues/[a-z]+/wild/seed0: the training loss is (nan|inf) at epoch \d", done.stdout
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert project.run_files().items() >= before.items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipes": {"brief": {"epocs": 3}}}, "recipes.brief: unknown key 'epocs'; did you mean 'epochs'?"),
        ({"experiments": {"first": {"grid": {"models": ["tny"]}}}}, "unknown model 'tny'; did you mean 'tiny'?"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence(project, change, words):
    (project.folder / "mine.yaml").write_text(yaml.safe_dump(change))
    done = project.snakemake("-n", "--configfile", "mine.yaml", check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dataset_that_cannot_be_had_says_which_file_to_put_where(project, study):
    archive = {"urls": ["http://127.0.0.1:9/images.npz"], "sha256": "0" * 64}
    study["datasets"]["cues"] = {"source": {"format": "npz", "archive": archive}, "validation_images": 5}
    project.write(study)
    done = project.snakemake("--cores", "1", check=False)
    assert done.returncode == 1
    assert "images.npz" in done.stdout
    assert "data/raw/cues/" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


# --- the files themselves ---------------------------------------------------------------------------------------


def test_lint_and_format(environment):
    for command in (["snakemake", "--lint"], ["snakefmt", "--check", "Snakefile", "workflow"]):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_snakemakes_own_report_works_without_a_network(finished):
    finished.snakemake("--report", "out.html")
    assert (finished.folder / "out.html").stat().st_size > 100_000
