"""Where each result lies. A path names one content: it holds a key, a hash of all that determines what is there.

So a file that exists is right, and one that another configuration made lies elsewhere. Knows no torch.
"""

import os
import secrets
from pathlib import Path

from cnntention import files, seal, versions
from cnntention.config import Run, Study, digest
from cnntention.errors import UserError

RUN_FILES = ("run.json", "model.safetensors", "history.csv")
EXAMINATION_FILES = (
    "metrics.json",
    "predictions.safetensors",
    "attention.json",
    "explanations.json",
    "explanations.safetensors",
)
"""What `examine` leaves. Each file is written whole, and last the JSON that describes what lies beside it."""
MAPS = "explanations.safetensors"
"""Of each cell's first run: the maps that the report shows."""
SPLIT_FILES = ("card.json", "train.safetensors", "val.safetensors", "test.safetensors")
TABLES = (
    *("runs", "epochs", "gates", "modules", "maps", "road", "lookup"),
    *("cost", "rounds", "datasets", "cells", "published"),
)
TABLE_FILES = (*(f"{name}.csv" for name in TABLES), MAPS, "study.json", "card.json")
VERDICT_FILES = ("tests.csv", "claims.csv", "looks.csv", "look.json", "card.json")
STUDY_PARTS = ("tables", "verdicts", "report")
"""Folders of a study's results; card.json is written last in each."""


def data_folder(study: Study, dataset: str) -> str:
    return f"data/{dataset}/{study.data_key(dataset)}"


def examination_folder(study: Study, run: Run) -> str:
    return f"{run.folder}/examination-{study.examination_key(run.dataset)}"


def profile_path(study: Study, dataset: str) -> str:
    """The profile of all models that the study runs on a dataset."""
    models = [[name, study.model_identity(name)] for name in sorted(study.models_on(dataset))]
    settings = study.profiling.model_dump(mode="json")
    key = digest([study.data_key(dataset), models, settings, versions.PROFILING])
    return f"results/profiles/{study.study.name}/{dataset}/{key}.json"


def files_of_run(run: Run) -> list[str]:
    return [f"{run.folder}/{name}" for name in RUN_FILES]


def files_of_examination(study: Study, run: Run) -> list[str]:
    folder = examination_folder(study, run)
    return [f"{folder}/{name}" for name in EXAMINATION_FILES]


def told_of_run(run: Run) -> list[str]:
    """Of `files_of_run` those that the tables are made of."""
    return [f"{run.folder}/run.json", f"{run.folder}/history.csv"]


def told_of_examination(study: Study, run: Run) -> list[str]:
    """Of `files_of_examination` those that the tables are made of; of each cell's first run also the maps."""
    folder, names = examination_folder(study, run), [name for name in EXAMINATION_FILES if name.endswith(".json")]
    return [f"{folder}/{name}" for name in (*names, *([MAPS] if run in study.shown else []))]


def study_inputs(study: Study) -> list[str]:
    """All that the study's tables are made of: text, and few maps. So an examined study needs no weights."""
    found = []
    for run in study.runs():
        found += [*told_of_run(run), *told_of_examination(study, run)]
    for dataset in study.datasets_used():
        found += [f"{data_folder(study, dataset)}/card.json", profile_path(study, dataset)]
    return found


def study_key(study: Study) -> str:
    """Of the study's tables, verdicts and report: of what they tell of the configuration, of the study's seal, and of
    all paths below."""
    steps = [versions.SUMMARY, versions.JUDGEMENT, versions.REPORT]
    return digest([study.part().model_dump(mode="json"), study_inputs(study), seal.content(study), steps])


def study_folder(study: Study) -> str:
    return f"results/studies/{study.study.name}/{study_key(study)}"


def refuse_old(study: Study, folder: Path) -> None:
    """UserError if this is the study's folder as it was named when the workflow was planned, and no longer is."""
    now = Path(study_folder(study))
    if folder.parent == now.parent and folder != now:
        raise UserError(f"--out: the folder is {now} since the study's seal was changed; run snakemake again.")


def looks_path(study: Study) -> str:
    """The record of all looks at a study, whatever its key was."""
    return f"results/studies/{study.study.name}/looks.json"


def point(folder: str | Path) -> None:
    """Let `results/<study>/<part>` be links to the parts of `results/studies/<study>/<key>`, once all are there."""
    folder = Path(folder)
    if not all((folder / part / "card.json").exists() for part in STUDY_PARTS):
        return
    study, results = folder.parent.name, folder.parents[2]
    for part in STUDY_PARTS:
        link, target = results / study / part, f"../studies/{study}/{folder.name}/{part}"
        if link.is_symlink() and os.readlink(link) == target:
            continue
        temporary = link.with_name(f".tmp-{secrets.token_hex(4)}")
        with files.writable(link):
            link.parent.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(target, target_is_directory=True)
        try:
            os.replace(temporary, link)
        except OSError:
            temporary.unlink()
            raise UserError(f"{link}: is a folder of an earlier version where a link belongs; move it away.") from None


def find_run(study: Study, folder: str) -> Run:
    """The run whose folder this is; raises UserError if the configuration means another one by that name."""
    try:
        dataset, model, recipe_key, seed = Path(folder).parts[-4:]
        recipe, key = recipe_key.rsplit("-", 1)
        run = study.run(dataset, model, recipe, int(seed.removeprefix("seed")))
    except (ValueError, KeyError):
        raise UserError(
            f"{folder}: is not a run of this study; give results/runs/DATASET/MODEL/RECIPE-KEY/seedK with names from "
            "the configuration."
        ) from None
    if run.key != key:
        raise UserError(f"{folder}: with this configuration the run's folder is {run.folder}.")
    return run
