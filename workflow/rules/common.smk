"""What all rules share: the study, its run table, and the inputs of each job.

A path contains a key of everything that determines the file's content. So a job runs if one of its files is missing,
never because of a timestamp. Hence every input is `ancient`, and profiles/default makes Snakemake ignore its own
markers of incomplete files: each of our files is written whole or not at all.
"""

import os
import sys

from cnntention import plan
from cnntention.config import parse_study
from cnntention.data.archives import raw_path
from cnntention.errors import UserError
from cnntention.results import paths

try:
    STUDY = plan.checked(plan.frozen() if workflow.remote_exec else parse_study(config))
    if STUDY.plugins:
        from cnntention.models.registry import check

        check(STUDY)
    CONFIG = plan.freeze(STUDY)  # starts no job again: the part that a job uses is in its path's key
    FOLDER = paths.study_folder(STUDY)
    if not (workflow.dryrun or workflow.remote_exec):
        paths.point(FOLDER)
except UserError as error:
    sys.exit(str(error))

RUNS = STUDY.runs()


wildcard_constraints:
    dataset="[a-z0-9][a-z0-9_-]*",
    model="[a-z0-9][a-z0-9_-]*",
    recipe="[a-z0-9][a-z0-9_-]*",
    key="[0-9a-f]{10}",
    examination="[0-9a-f]{10}",
    seed="[0-9]+",
    study="[a-z0-9][a-z0-9_-]*",


def needs(wanted, outputs):
    """The inputs of a job; none if all `outputs` exist, so that a missing file upstream does not run it again."""
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    return ancient(wanted) if forced or not all(map(os.path.exists, outputs)) else []


def splits(dataset, *names):
    """The card and the named splits of a dataset."""
    folder = paths.data_folder(STUDY, dataset)
    return [f"{folder}/card.json", *(f"{folder}/{name}.safetensors" for name in names)]


def told(run):
    """Whether the run is examined, and only the report is asked for: that needs no weights."""
    if not workflow.is_main_process:
        return False
    only_report = {*workflow.dag_settings.targets, *workflow.dag_settings.target_jobs} <= {"all", "publish", "rocrate"}
    return only_report and all(map(os.path.exists, paths.told_of_examination(STUDY, run)))


def run_of(wildcards):
    """The run that the wildcards name."""
    return STUDY.run(wildcards.dataset, wildcards.model, wildcards.recipe, int(wildcards.seed))


def get_archives(wildcards):
    """The source files of a dataset; none if it is generated."""
    archives = STUDY.datasets[wildcards.dataset].source.archives.values()
    files = ["card.json"] if all(told(run) for run in RUNS if run.dataset == wildcards.dataset) else paths.SPLIT_FILES
    made = [f"data/{wildcards.dataset}/{wildcards.key}/{name}" for name in files]
    return needs([raw_path(wildcards.dataset, archive) for archive in archives], made)


def get_training_data(wildcards):
    """The train split and the monitored one: val, or test where the recipe repeats the original study."""
    run = run_of(wildcards)
    wanted = splits(wildcards.dataset, "train", STUDY.recipes[wildcards.recipe].monitor)
    return needs(wanted, paths.told_of_run(run) if told(run) else paths.files_of_run(run))


def get_run_and_test(wildcards):
    """A finished run and the test split."""
    run = run_of(wildcards)
    wanted = [*paths.files_of_run(run), *splits(wildcards.dataset, "test")]
    return needs(wanted, paths.told_of_examination(STUDY, run) if told(run) else paths.files_of_examination(STUDY, run))


def get_profile_inputs(wildcards):
    """The dataset's card: it has the image size."""
    return needs(splits(wildcards.dataset), [paths.profile_path(STUDY, wildcards.dataset)])


TABLES = [f"{FOLDER}/tables/{name}" for name in paths.TABLE_FILES]
VERDICTS = [f"{FOLDER}/verdicts/{name}" for name in paths.VERDICT_FILES]


def get_all_results(wildcards):
    """All runs, examinations, profiles and cards of the study."""
    return needs(paths.study_inputs(STUDY), TABLES)


def get_tables(wildcards):
    """The study's tables, the only input of the tests."""
    return needs(TABLES, VERDICTS)


def get_tables_and_verdicts(wildcards):
    """The study's tables and verdicts, the only inputs of the report."""
    wanted = TABLES + VERDICTS
    # if all is done, list them anyway: `snakemake --report` shows them
    done = all(map(os.path.exists, wanted))
    return needs(wanted, [f"{FOLDER}/report/{name}" for name in REPORT_FILES]) or (ancient(wanted) if done else [])
