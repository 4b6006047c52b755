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
from cnntention.results import looks, paths

try:
    STUDY = plan.checked(plan.frozen() if workflow.remote_exec else parse_study(config))
    if STUDY.foreign:
        from cnntention.models.registry import check

        check(STUDY)
    CONFIG = plan.freeze(STUDY)  # starts no job again: the part that a job uses is in its path's key
    os.environ[plan.FROZEN] = CONFIG  # for the jobs of a cluster
    AT = {paths.study_key(study): study for study in looks.chain(STUDY)}  # the study at each look so far, by key
    if not (workflow.dryrun or workflow.remote_exec):
        paths.point(paths.study_folder([*AT.values()][-1]))
except UserError as error:
    sys.exit(str(error))


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


def at(key):
    """The study at the look of which this is the key."""
    if key not in AT:  # a look that was taken since
        AT.update({paths.study_key(study): study for study in looks.chain(STUDY)})
    if key not in AT:
        raise UserError(
            f"results/studies/{STUDY.study.name}/{key}: is of another configuration; ask for the study instead."
        )
    return AT[key]


def settled():
    """The study with the seeds of its last look; until that is taken, Snakemake takes the next one first."""
    if not STUDY.adaptive:
        return STUDY
    *_, study = looks.chain(STUDY)
    if looks.Look.of(study) is None:
        checkpoints.judge.get(study=STUDY.study.name, key=paths.study_key(study))
    return study


def config_of(wildcards):
    """The configuration of the study at a look."""
    return plan.freeze(at(wildcards.key))


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
    runs = [run for study in AT.values() for run in study.runs() if run.dataset == wildcards.dataset]
    files = ["card.json"] if all(map(told, runs)) else paths.SPLIT_FILES
    made = [f"data/{wildcards.dataset}/{wildcards.key}/{name}" for name in files]
    return needs([raw_path(wildcards.dataset, archive) for archive in archives], made)


def get_training_data(wildcards):
    """The train split and the monitored one: val, or test where the recipe repeats the original study."""
    run = run_of(wildcards)
    wanted = splits(wildcards.dataset, "train", STUDY.recipes[wildcards.recipe].monitor)
    return needs(wanted, paths.told_of_run(run) if told(run) else paths.files_of_run(run))


def get_run_and_test(wildcards):
    """A finished run and the test split. A run whose weights are lost is trained and then examined again: on another
    machine their bytes may be others."""
    run = run_of(wildcards)
    wanted = [*paths.files_of_run(run), *splits(wildcards.dataset, "test")]
    if not told(run) and not all(map(os.path.exists, paths.files_of_run(run))):
        return wanted  # not ancient: Snakemake examines after a training in the same call
    return needs(wanted, paths.told_of_examination(STUDY, run) if told(run) else paths.files_of_examination(STUDY, run))


def get_profile_inputs(wildcards):
    """The dataset's card: it has the image size."""
    return needs(splits(wildcards.dataset), [paths.profile_path(STUDY, wildcards.dataset)])


def tables_of(folder):
    return [f"{folder}/tables/{name}" for name in paths.TABLE_FILES]


def verdicts_of(folder):
    return [f"{folder}/verdicts/{name}" for name in paths.VERDICT_FILES]


def report_of(folder):
    return [f"{folder}/report/{name}" for name in REPORT_FILES]


def get_all_results(wildcards):
    """All runs, examinations, profiles and cards of the study."""
    study = at(wildcards.key)
    return needs(paths.study_inputs(study), tables_of(paths.study_folder(study)))


def get_tables(wildcards):
    """The study's tables, and the verdicts of the look before: the only inputs of the tests."""
    folder = f"results/studies/{wildcards.study}/{wildcards.key}"
    before = [path for study in looks.before(at(wildcards.key))[-1:] for path in verdicts_of(paths.study_folder(study))]
    return needs(tables_of(folder) + before, verdicts_of(folder))


def get_tables_and_verdicts(wildcards):
    """The study's tables and verdicts, the only inputs of the report."""
    folder = f"results/studies/{wildcards.study}/{wildcards.key}"
    wanted = tables_of(folder) + verdicts_of(folder)
    # if all is done, list them anyway: `snakemake --report` shows them
    done = all(map(os.path.exists, wanted))
    return needs(wanted, report_of(folder)) or (ancient(wanted) if done else [])


def get_report(wildcards):
    """The study's report, with its figures."""
    return report_of(paths.study_folder(settled()))


def get_published(wildcards):
    """What is published beside the report."""
    folder = paths.study_folder(settled())
    return ancient(tables_of(folder) + verdicts_of(folder))
