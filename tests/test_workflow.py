"""The workflow as users run it: a small study to its report, then every change that must, or must not, run again.

What is planned is asked of Snakemake in this process, by `test_planner.jobs_of`; what is run, or depends on
profiles/default, is called as a user calls it.
"""

import copy
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study
from test_planner import jobs_of

from cnntention.config import parse_study
from cnntention.results import paths
from cnntention.results.records import RunRecord
from cnntention.results.rows import read_table

pytestmark = pytest.mark.slow

REPORT = {"summarise": 1, "judge": 1, "report": 1}
FIRST = {"prepare": 1, "train": 2, "examine": 2, "profile": 1} | REPORT
PAGE = "results/small/report/index.html"


class Project:
    """A folder with the workflow and a study of its own as config.yaml."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder, self.environment = folder, environment

    def write(self, config: dict) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))

    def snakemake(self, *words: str, check: bool = True) -> subprocess.CompletedProcess:
        done = subprocess.run(
            ["snakemake", *words], cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=600
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def run(self, *targets: str) -> None:
        self.snakemake("--cores", "2", "--resources", "gpu=2", "--quiet", "all", "--", *targets)

    def dry_run(self, *words: str) -> dict[str, int]:
        """Jobs of `snakemake -n`, without the target rules."""
        text = self.snakemake("-n", *words).stdout
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", text, re.DOTALL)
        rows = dict(line.split() for line in table[1].splitlines()) if table else {}
        return {rule: int(count) for rule, count in rows.items() if rule != "all" and not rule.endswith("_all")}

    def planned(self, *targets: str) -> dict[str, int]:
        """The same, without a process of its own."""
        with chdir(self.folder):
            return dict(Counter(job.rule.name for job in jobs_of(*targets)))

    def results(self) -> dict[str, bytes]:
        """The files of all runs, and of all that was made of them, without what links lead to."""
        every = self.folder.resolve().glob("results/*/*/**/*")
        files = [path for path in every if path.is_file() and path == path.resolve() and path.name != "looks.json"]
        return {str(path.relative_to(self.folder.resolve())): path.read_bytes() for path in files}

    def page(self) -> tuple[str, str]:
        """The key that the stable links point to, and the page there."""
        links = [self.folder / "results/small" / part for part in paths.STUDY_PARTS]
        (key,) = {link.resolve().parent.name for link in links}
        return key, (self.folder / PAGE).read_text()


@pytest.fixture(scope="session")
def finished(finished, environment):
    """The study that no test changes."""
    return Project(finished, environment)


@pytest.fixture
def project(finished, tmp_path):
    """A copy of the finished study that a test may change."""
    folder = tmp_path / "project"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Project(folder, finished.environment)


@pytest.fixture
def study():
    return small_study()


def test_it_leaves_what_the_design_says(finished):
    (run,) = finished.folder.glob("results/runs/cues/looking/brief-*/seed0")
    (examination,) = run.glob("examination-*")
    assert {path.name for path in run.iterdir()} == {*paths.RUN_FILES, "train.log", examination.name}
    assert {path.name for path in examination.iterdir()} == set(paths.EXAMINATION_FILES)
    record = RunRecord.read(run / "run.json")
    assert record.recipe["epochs"] == record.last.epoch == 2
    assert record.provenance.threads == 1
    assert not list(finished.folder.glob("state/**/*.pt"))
    key, page = finished.page()
    assert "Does it run?" in page
    assert {path.name for path in (finished.folder / "results/small").iterdir()} == {*paths.STUDY_PARTS}
    assert {path.name for path in (finished.folder / "results/studies/small").iterdir()} == {key, "looks.json"}


# --- what must not run again ------------------------------------------------------------------------------------


def test_a_touched_clone_with_other_rules_and_a_reordered_configuration_reruns_nothing(project, study):
    assert project.dry_run() == {}
    shutil.rmtree(project.folder / ".snakemake")
    (project.folder / "workflow/rules/train.smk").open("a").write("\n# edited\n")
    reverse = {key: study[key] for key in reversed(study)}
    reverse["models"] = {key: study["models"][key] for key in reversed(study["models"])}
    project.write(reverse | {"models": study["models"] | {"unused": {"depth": 14}}})
    for i, path in enumerate(sorted(path for path in project.folder.rglob("*") if path.is_file())):
        os.utime(path, (1e9 + i, 1e9 + 7919 * i % 100_000))
    assert project.dry_run() == {}
    assert project.dry_run("experiment_first") == {}


def test_marks_of_a_killed_snakemake_rerun_nothing_and_hide_nothing(project):
    """A job that went on after its Snakemake was killed leaves whole files, which Snakemake takes for unfinished."""
    (examination,) = project.folder.glob("results/runs/cues/tiny/brief-*/seed0/examination-*")
    shutil.rmtree(examination)
    shutil.rmtree(project.folder / "results/studies/small")
    memory = project.folder / ".snakemake"
    shutil.copytree(memory / "metadata", memory / "incomplete", dirs_exist_ok=True)  # a mark is a file of that name
    assert any((memory / "incomplete").iterdir())
    assert project.dry_run() == {"examine": 1} | REPORT


def test_a_target_for_a_part(project):
    assert project.dry_run("--forceall", "train_all") == {"prepare": 1, "train": 2}


def test_studies_share_the_runs_that_are_the_same(project, study):
    project.write(study | {"study": {"name": "second", "question": "Again?", "experiments": ["first"]}})
    assert project.planned() == REPORT | {"profile": 1}  # costs are a study's own


# --- what must run again, and nothing else ----------------------------------------------------------------------

RUNS = {"train": 2, "examine": 2}
CLAIM = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("datasets.cues.train_images", 128, FIRST),
        ("models.looking.attention.stage3.gate_init", 0.1, {"train": 1, "examine": 1, "profile": 1} | REPORT),
        ("models.unused", {"depth": 14}, {}),
        ("recipes.brief.epochs", 3, RUNS | REPORT),
        ("experiments.first.grid.seeds", 2, RUNS | REPORT),
        ("experiments.first.question", "Why?", REPORT),
        ("evaluation.calibration_bins", 10, {"examine": 2} | REPORT),
        ("diagnostics.alive.entropy", 0.9, {"examine": 2} | REPORT),
        ("explanation.images", 5, {"examine": 2} | REPORT),
        ("explanation.showcase.cues", [5], {"examine": 2} | REPORT),
        ("explanation.showcase.others", [5], {}),
        ("profiling.batch_size", 4, {"profile": 1} | REPORT),
        ("statistics.alpha", 0.01, REPORT),
        (
            "claims.mine",
            {"sentence": "It helps.", "experiment": "first", "model": "looking", "against": "tiny"},
            REPORT,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_key_changed(finished, tmp_path, study, place, value, expected):
    """Planned over a finished study that nothing is written into: its results are linked."""
    project = Project(tmp_path, finished.environment)
    for path in finished.folder.iterdir():
        if path.name not in ("config.yaml", ".snakemake"):
            (tmp_path / path.name).symlink_to(path)
    study["datasets"]["others"] = copy.deepcopy(study["datasets"]["cues"])
    *way, last = place.split(".")
    at = study
    for key in way:
        at = at.setdefault(key, {})
    at[last] = value
    project.write(study)
    assert project.planned() == expected


@pytest.mark.long
def test_there_and_back_and_the_links_follow(project, study):
    """A claim and a threshold are changed, and changed back: all is kept, the links point to what is asked for."""
    before, (old, first) = project.results(), project.page()
    changed = study | {"claims": {"mine": CLAIM}}
    changed["diagnostics"] = changed["diagnostics"] | {"alive": {"relative_change": 0.5}}
    project.write(changed)
    project.run()
    assert project.planned() == {}
    new, page = project.page()
    assert new != old
    assert "Looking helps." in page
    (row,) = read_table(project.folder / "results/small/verdicts", "claims").to_dict("records")
    assert (row["verdict"], row["reason"]) == ("void", "attention not used")
    assert project.results().items() >= before.items()
    for config, expected in ((study, (old, first)), (changed, (new, page))):
        project.write(config)
        assert project.planned() == {}
        project.run()
        assert project.page() == expected


def test_missing_data_costs_nothing_until_it_is_needed_and_then_only_itself(project, study):
    shutil.rmtree(project.folder / "data")
    assert project.planned() == {}
    study["experiments"]["first"]["grid"]["seeds"] = [0, 3]
    project.write(study)
    assert project.planned() == {"prepare": 1} | RUNS | REPORT  # the two new runs, not the four


def test_a_missing_run_is_made_again_to_the_same_bytes(project):
    before = project.results()
    shutil.rmtree(next(project.folder.glob("results/runs/cues/looking/brief-*/seed0")))
    assert project.planned() == {}  # the report is there, and says what it was made of: the run may be elsewhere
    assert project.planned("evaluate_all") == {"train": 1, "examine": 1}
    project.run("evaluate_all")
    after = project.results()
    assert after.keys() == before.keys()
    changed = {Path(name).name for name in before if after[name] != before[name]}
    assert changed <= {"run.json", "history.csv", "train.log"}  # they tell times


def test_a_model_renamed_with_its_folder_is_not_trained_again(project, study):
    study["models"]["seeing"] = study["models"].pop("looking")
    study["experiments"]["first"]["grid"]["models"] = ["tiny", "seeing"]
    project.write(study)
    assert project.planned("evaluate_all") == {"train": 1, "examine": 1}
    with chdir(project.folder):
        Path("results/runs/cues/looking").rename("results/runs/cues/seeing")
        assert [RunRecord.of(run).model["name"] for run in parse_study(study).runs()] == ["tiny", "looking"]
    assert project.planned() == {"profile": 1} | REPORT


# --- killed and broken ------------------------------------------------------------------------------------------


def interrupted(project: Project, number: signal.Signals) -> None:
    """Start the study, and send the signal to all of its processes once a run has got on by an epoch."""
    states = lambda: {path: path.stat().st_mtime_ns for path in project.folder.glob("state/**/seed*.pt")}  # noqa: E731
    before, deadline = states(), time.monotonic() + 120
    process = subprocess.Popen(
        ["snakemake", "--cores", "1"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while states() == before and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, number)
    assert process.wait(60) != 0
    assert states() != before


def test_a_killed_study_goes_on_where_it_was_and_ends_with_the_report(project, study):
    study["recipes"]["long"] = study["recipes"]["brief"] | {"epochs": 12}
    grid = study["experiments"]["first"]["grid"]
    study["experiments"]["first"]["grid"] = [grid, grid | {"models": "tiny", "recipes": "long"}]
    project.write(study)
    assert project.planned() == {"train": 1, "examine": 1} | REPORT
    interrupted(project, signal.SIGKILL)
    project.snakemake("--unlock")
    interrupted(project, signal.SIGINT)
    project.run()
    assert project.planned() == {}
    runs = read_table(project.folder / "results/small/tables", "runs")
    (row,) = runs[runs["recipe"] == "long"].to_dict("records")
    record = RunRecord.read(project.folder / row["folder"] / "run.json")
    first, second = record.resumed_after_epochs
    assert 1 <= first <= second < 12
    assert len((project.folder / row["folder"] / "history.csv").read_text().splitlines()) == 13
    assert not list(project.folder.glob("state/**/*.pt"))
    assert row["resumed"] == 2


def test_a_run_that_diverges_ends_with_a_sentence_and_the_report_is_of_the_others(project, study):
    study["recipes"]["wild"] = copy.deepcopy(study["recipes"]["brief"])
    study["recipes"]["wild"]["optimizer"]["lr"] = 1e9
    study["experiments"]["first"]["grid"] |= {"recipes": ["brief", "wild"], "models": ["tiny"]}
    project.write(study)
    before = project.results()
    done = project.snakemake("--cores", "1", check=False)
    assert done.returncode == 1
    why = r"the (training|val) loss is (nan|inf) (at|after) epoch \d"
    assert re.search(rf"cnntention train: cues/tiny/wild/seed0: {why}", done.stdout)
    assert re.search(rf"FAILED train cues/tiny/wild/seed0: .*{why}.* \(log: results/runs/cues/tiny/wild-", done.stdout)
    assert re.search(rf"Unfinished: of 2 runs, 1 is missing: cues/tiny/wild/seed0 \(.*{why}", project.page()[1])
    assert "FAILED train; its log: results/runs/cues/tiny/wild-" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert project.results().items() >= before.items()


def test_a_mistake_in_the_configuration_is_one_sentence(project):
    (project.folder / "mine.yaml").write_text(yaml.safe_dump({"recipes": {"brief": {"epocs": 3}}}))
    done = project.snakemake("-n", "--configfile", "mine.yaml", check=False)
    assert done.returncode == 1
    assert "recipes.brief: unknown key 'epocs'; did you mean 'epochs'?" in done.stderr
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
