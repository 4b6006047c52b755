"""The planner, proved: from any state of a study's files one call makes exactly what is missing.

Snakemake plans for real, in this process. What a step does is stubbed: its files appear.
"""

import base64
import os
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    Quietness,
    RerunTrigger,
    ResourceSettings,
    WorkflowSettings,
)

from cnntention.config import load
from cnntention.results import looks, paths
from cnntention.results.words import Settled


def jobs_of(*targets: str) -> list:
    """The jobs that a call with these targets runs, the default target if none."""
    quiet = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with SnakemakeApi(quiet) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=2),
            workflow_settings=WorkflowSettings(),
            snakefile=Path("Snakefile"),
        )
        triggers = frozenset({RerunTrigger.MTIME})
        dag = workflow.dag(DAGSettings(targets=list(targets), rerun_triggers=triggers, force_incomplete=True))
        execution = ExecutionSettings(lock=False, ignore_incomplete=True, keep_incomplete=True)
        dag.execute_workflow(pseudo_executor="dryrun", execution_settings=execution)
        finished = workflow._workflow.dag.finished_jobs  # a dry run ends those that it would run
        return [job for job in finished if job.output]


def plan(*targets: str) -> dict[tuple[str, ...], set[str]]:
    """Of each such job its outputs and its inputs."""
    return {tuple(map(str, job.output)): set(map(str, job.input)) for job in jobs_of(*targets)}


def wanted(study, figures: list[str]) -> dict[str, dict[tuple[str, ...], list[str]]]:
    """What there is to make, written down anew: step -> outputs of a job -> what it waits for."""
    steps: dict[str, dict[tuple[str, ...], list[str]]] = {}
    data, runs, folder = paths.data_folder(study, "cues"), study.runs(), paths.study_folder(study)
    splits = {name: f"{data}/{name}.safetensors" for name in ("train", "val", "test")}
    card = f"{data}/card.json"
    steps["prepare"] = {(*splits.values(), card): []}
    steps["train"] = {tuple(paths.files_of_run(run)): [card, splits["train"], splits["val"]] for run in runs}
    steps["examine"] = {
        tuple(paths.files_of_examination(study, run)): [*paths.files_of_run(run), card, splits["test"]] for run in runs
    }
    steps["profile"] = {(paths.profile_path(study, "cues"),): [card]}
    tables = tuple(f"{folder}/tables/{name}" for name in paths.TABLE_FILES)
    steps["summarise"] = {tables: paths.study_inputs(study)}
    verdicts = tuple(f"{folder}/verdicts/{name}" for name in paths.VERDICT_FILES)
    steps["judge"] = {verdicts: list(tables)}
    report = [f"{folder}/report/{name}" for name in ("card.json", "report.md", "index.html", *figures)]
    steps["report"] = {tuple(report): [*tables, *verdicts]}
    return steps


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with the workflow, and its study."""
    from cnntention.report.figures import figure_files

    folder = tmp_path_factory.mktemp("planner")
    for part in ("Snakefile", "workflow", "environment.yml"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    config = small_study()
    config["experiments"]["first"]["grid"]["seeds"] = 2
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with chdir(folder):
        read = load(["config.yaml"])
        yield read, wanted(read, [figure.path for figure in figure_files(read)])


def missing(jobs: dict, targets: list[str], again: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The jobs of which somebody needs a file that is not there, a target or another such job, or that are `again`."""
    maker = {path: outputs for outputs in jobs for path in outputs}
    found: set[tuple[str, ...]] = set()
    ask = list(targets)
    while ask:
        path = ask.pop()
        outputs = maker[path]
        if outputs not in found and (outputs in again or not Path(path).exists()):
            found.add(outputs)
            ask += jobs[outputs]
    return found


def pretend(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()


def mark_incomplete(path: str) -> None:
    """As Snakemake leaves it when it is killed."""
    mark = Path(".snakemake/incomplete") / base64.urlsafe_b64encode(path.encode()).decode()
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text('{"external_jobid": null}')


def carry_out(jobs: list, study) -> list[frozenset[str]]:
    """Make what these jobs make; a look leads to the next of REACHED. Returns the outputs of each."""
    keys = [paths.study_key(study.model_copy(update={"reached": reached})) for reached in REACHED]
    led_to = dict(zip(keys, [*REACHED[1:], {}], strict=True))
    for job in jobs:
        for path in map(str, job.output):
            pretend(path)
            if Path(path).name == looks.FILE:
                reached = led_to[Path(path).parts[3]]
                ended = None if reached else Settled.DECIDED
                looks.Look(number=1, claims={}, spent=0, price=0, reached=reached, ended=ended).write(path)
    return [frozenset(map(str, job.output)) for job in jobs]


REACHED = ({}, {"cues/tiny/brief": 4}, {"cues/tiny/brief": 6, "cues/looking/brief": 4})
"""The seeds at each of three looks."""


@pytest.fixture(scope="module")
def adaptive(tmp_path_factory):
    """A folder with the workflow, and a study that gets more seeds until it is decided."""
    folder = tmp_path_factory.mktemp("adaptive")
    for part in ("Snakefile", "workflow", "environment.yml"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    config = small_study()
    config["experiments"]["first"]["grid"]["seeds"] = {"until": "decided"}
    config["statistics"] = {"sequential": {"looks": [3, 4, 6]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with chdir(folder):
        yield load(["config.yaml"])


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_looks_are_taken_from_any_state(adaptive, data):
    """From any files of a finished study, call after call as Snakemake plans anew after each look, to its end."""
    for folder in ("results", "data"):
        shutil.rmtree(folder, ignore_errors=True)
    while jobs := jobs_of():
        carry_out(jobs, adaptive)
    at = [*looks.chain(adaptive)]
    assert [len(study.runs()) for study in at] == [6, 7, 10]
    every = sorted(str(path) for top in ("data", "results") for path in Path(top).rglob("*") if path.is_file())
    judged = [path for path in every if "verdicts" in path]
    lost = data.draw(st.lists(st.sampled_from(every))) + data.draw(st.lists(st.sampled_from(judged)))
    if data.draw(st.booleans()):  # killed at a look: nothing of what it led to is there
        last = data.draw(st.integers(0, 2))
        kept = {run.folder for run in at[last].runs()}
        lost += [path for path in every if "/runs/" in path and not any(folder in path for folder in kept)]
        lost += [path for study in at[last:] for path in every if paths.study_folder(study) in path]
    for path in lost:
        Path(path).unlink(missing_ok=True)
    again: list[frozenset[str]] = []
    for _ in range(10):
        if not (jobs := jobs_of()):
            break
        assert all(any(not Path(str(path)).exists() for path in job.output) for job in jobs)  # never what is there
        again += carry_out(jobs, adaptive)
    assert not jobs
    assert len(again) == len(set(again))
    (last,) = [study for study in looks.chain(adaptive) if looks.Look.of(study).ended]
    assert all(os.path.exists(f"{paths.study_folder(last)}/report/{name}") for name in ("card.json", "index.html"))
    assert len(last.runs()) == 10


OTHERS = (  # of other configurations
    "data/cues/0123456789/card.json",
    "results/runs/cues/tiny/brief-0123456789/seed0/run.json",
    "results/profiles/small/cues/0123456789.json",
    "results/studies/small/0123456789/report/card.json",
)
TARGETS = {
    "all": ["report"],
    "prepare_all": ["prepare"],
    "train_all": ["train"],
    "evaluate_all": ["examine"],
    "profile_all": ["profile"],
    "experiment_first": ["examine"],
}


@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_one_call_makes_exactly_what_is_missing(study, data):
    """Files are there or not, marked as incomplete or not, in any order of time, beside those of other keys."""
    _, steps = study
    jobs = {outputs: needs for step in steps.values() for outputs, needs in step.items()}
    shutil.rmtree("results", ignore_errors=True)
    shutil.rmtree("data", ignore_errors=True)
    shutil.rmtree(".snakemake/incomplete", ignore_errors=True)
    # jobs as a whole are there or not, or file by file
    for outputs in jobs:
        there = data.draw(st.sampled_from(["all", "none", "some"]))
        for path in outputs:
            if there == "all" or (there == "some" and data.draw(st.booleans())):
                pretend(path)
    for other in OTHERS:
        if data.draw(st.booleans()):
            pretend(other)
    there = sorted(str(path) for top in ("data", "results") for path in Path(top).rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(there), unique=True)) if there else ():
        mark_incomplete(path)
    for time, path in enumerate(data.draw(st.permutations(there))):
        os.utime(path, (1e9 + time, 1e9 + time))
    targets = data.draw(st.lists(st.sampled_from(list(TARGETS)), unique=True, max_size=2))
    asked = [path for name in targets or ["all"] for step in TARGETS[name] for job in steps[step] for path in job]
    # examinations of weights that are lost, unless only the report is asked for, which needs no weights
    examined = {} if set(targets) <= {"all"} else steps["examine"]
    lost = {outputs for outputs, needs in examined.items() if not all(Path(path).exists() for path in needs[:3])}
    expected = missing(jobs, asked, lost)
    planned = plan(*targets)
    assert {frozenset(outputs) for outputs in planned} == {frozenset(outputs) for outputs in expected}
    made = {path for outputs in planned for path in outputs}
    for needs in planned.values():
        assert all(Path(path).exists() or path in made for path in needs)
    for path in made:
        pretend(path)
    assert all(Path(path).exists() for path in asked)
    assert plan(*targets) == {}


def test_a_study_may_be_decided_at_its_first_look(adaptive):
    shutil.rmtree("results", ignore_errors=True)
    look = looks.Look(number=1, claims={}, spent=0, price=0, reached={}, ended=Settled.DECIDED)
    look.write(f"{paths.study_folder(adaptive)}/verdicts/{looks.FILE}")
    assert looks.latest(adaptive) == adaptive
    assert looks.before(adaptive) == []
