"""The study as the other rules see it: the run table, and what each job still needs.

Every input is `ancient`: a file is made again when it is missing, or when its content says that something else made
it (then `needs` adds the marker, which is newer than all results), never because of a timestamp.
"""

import sys

from cnntention import plan
from cnntention.config import parse_study
from cnntention.data.archives import raw_path
from cnntention.errors import UserError

try:
    STUDY = plan.frozen() if workflow.remote_exec else parse_study(config)
    if STUDY.plugins:
        from cnntention.models.registry import check

        check(STUDY)
except UserError as error:
    sys.exit(str(error))

CONFIG = plan.freeze(STUDY)
PLAN = plan.Plan(STUDY)
RUNS = STUDY.runs()
DATASETS = list(dict.fromkeys(run.dataset for run in RUNS))


wildcard_constraints:
    dataset="[a-z0-9][a-z0-9_-]*",
    model="[a-z0-9][a-z0-9_-]*",
    recipe="[a-z0-9][a-z0-9_-]*",
    key="[0-9a-f]{10}",
    seed="[0-9]+",
    study="[a-z0-9][a-z0-9_-]*",


def needs(wanted, outputs, stale=False):
    """Input files of a job that would leave `outputs`; `stale`: those are there, but something else made them."""
    if stale:
        return [*wanted, plan.marker()]
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    return ancient(wanted if forced else plan.still_needed(wanted, outputs))


def run_of(wildcards):
    """The folder of a run."""
    return "results/runs/{dataset}/{model}/{recipe}-{key}/seed{seed}".format(**wildcards)


def get_archives(wildcards):
    """Source files of a dataset; none if it is generated."""
    archives = STUDY.datasets[wildcards.dataset].source.archives.values()
    prepared = f"data/{wildcards.dataset}/{wildcards.key}/card.json"
    return needs([raw_path(wildcards.dataset, archive) for archive in archives], [prepared])


def splits(dataset, *names):
    """The prepared splits of a dataset, and its card."""
    folder = plan.data_folder(STUDY, dataset)
    return [f"{folder}/card.json", *(f"{folder}/{name}.safetensors" for name in names)]


def get_training_data(wildcards):
    """What a run is trained on: not the test split, unless the recipe monitors it as the original study did."""
    done = [f"{run_of(wildcards)}/{name}" for name in plan.RUN_FILES]
    return needs(splits(wildcards.dataset, "train", STUDY.recipes[wildcards.recipe].monitor), done)


def get_run_and_test(wildcards):
    """A finished run and the test split."""
    folder = run_of(wildcards)
    wanted = [f"{folder}/{name}" for name in ("run.json", "model.safetensors")]
    wanted += splits(wildcards.dataset, "test")
    stale = any(PLAN.stale(folder, step) for step in plan.EXAMINATION)
    return needs(wanted, [f"{folder}/{name}" for name in plan.EXAMINED], stale)


def get_profile_inputs(wildcards):
    """The dataset's card, for the images' size."""
    made = "results/profiles/{dataset}/{key}.json".format(**wildcards)
    return needs(splits(wildcards.dataset), [made])


def get_all_results(wildcards):
    """Everything that the study's tables and figures are made of."""
    folder = f"results/{wildcards.study}/tables"
    return needs(plan.summary_inputs(STUDY), [f"{folder}/card.json"], PLAN.stale(folder, "tables"))


def get_tables(wildcards):
    """The study's tables: claims are tested on nothing else."""
    folder = f"results/{wildcards.study}/claims"
    made = [f"{folder}/{name}" for name in ("claims.json", "comparisons.csv")]
    return needs([f"results/{wildcards.study}/tables/card.json"], made, PLAN.stale(folder, "claims"))


def get_tables_and_claims(wildcards):
    """The study's tables and its claims' verdicts: the report is made of nothing else."""
    folder = f"results/{wildcards.study}/report"
    made = [f"{folder}/{name}" for name in ("card.json", "index.html")]
    wanted = [f"results/{wildcards.study}/{name}" for name in ("tables/card.json", "claims/claims.json")]
    return needs(wanted, made, PLAN.stale(folder, "report"))
