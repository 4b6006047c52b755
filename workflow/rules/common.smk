"""The study as the other rules see it: the run table, and what each job waits for.

A file's path holds a key of all that determines it, so a file that exists is right: a job runs if one of its files is
missing, never because of a timestamp. Hence every input is `ancient`, and profiles/default lets Snakemake ignore its
own marks of unfinished files: ours are written whole or not at all.
"""

import os
import sys

from cnntention import plan
from cnntention.config import parse_study
from cnntention.data.archives import raw_path
from cnntention.errors import UserError
from cnntention.results import paths

try:
    STUDY = plan.frozen() if workflow.remote_exec else parse_study(config)
    if STUDY.plugins:
        from cnntention.models.registry import check

        check(STUDY)
    CONFIG = plan.freeze(STUDY)  # not a parameter of a rule: the part that it uses is in its key
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
    """Input files of a job that leaves `outputs`: none if it is done, so that what else is missing cannot wake it."""
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    return ancient(wanted) if forced or not all(map(os.path.exists, outputs)) else []


def splits(dataset, *names):
    """The prepared splits of a dataset, and its card."""
    folder = paths.data_folder(STUDY, dataset)
    return [f"{folder}/card.json", *(f"{folder}/{name}.safetensors" for name in names)]


def run_of(wildcards):
    """A run of the study."""
    return STUDY.run(wildcards.dataset, wildcards.model, wildcards.recipe, int(wildcards.seed))


def get_archives(wildcards):
    """Source files of a dataset; none if it is generated."""
    archives = STUDY.datasets[wildcards.dataset].source.archives.values()
    made = [f"data/{wildcards.dataset}/{wildcards.key}/{name}" for name in paths.SPLIT_FILES]
    return needs([raw_path(wildcards.dataset, archive) for archive in archives], made)


def get_training_data(wildcards):
    """What a run is trained on: not the test split, unless the recipe monitors it as the original study did."""
    wanted = splits(wildcards.dataset, "train", STUDY.recipes[wildcards.recipe].monitor)
    return needs(wanted, paths.files_of_run(run_of(wildcards)))


def get_run_and_test(wildcards):
    """A finished run and the test split."""
    run = run_of(wildcards)
    wanted = [*paths.files_of_run(run), *splits(wildcards.dataset, "test")]
    return needs(wanted, paths.files_of_examination(STUDY, run))


def get_profile_inputs(wildcards):
    """The dataset's card, for the images' size."""
    return needs(splits(wildcards.dataset), [paths.profile_path(STUDY, wildcards.dataset)])


def get_all_results(wildcards):
    """All that the study's tables are made of."""
    return needs(paths.study_inputs(STUDY), [f"{FOLDER}/tables/card.json"])


def get_tables(wildcards):
    """The study's tables: claims are tested on nothing else."""
    return needs([f"{FOLDER}/tables/card.json"], [f"{FOLDER}/verdicts/{name}" for name in paths.VERDICT_FILES])


def get_tables_and_verdicts(wildcards):
    """The study's tables and verdicts: the report is made of nothing else."""
    wanted = [f"{FOLDER}/tables/card.json", *(f"{FOLDER}/verdicts/{name}" for name in paths.VERDICT_FILES)]
    # when all is done, what is there still has a place in `snakemake --report`
    done = [path for path in wanted if os.path.exists(path)]
    return needs(wanted, [f"{FOLDER}/report/{name}" for name in REPORT_FILES]) or ancient(done)
