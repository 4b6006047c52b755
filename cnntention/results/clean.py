"""What no study refers to: data, runs, examinations, profiles and reports of configurations that have changed."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from cnntention.config import Study
from cnntention.results import paths
from cnntention.results.looks import chain

KEYED = (
    "data/*/??????????",
    "results/runs/*/*/*-??????????/seed*",
    "results/runs/*/*/*-??????????/seed*/examination-??????????",
    "results/profiles/*/*/??????????.json",
    "results/studies/*/??????????",
)
"""All that this project names by a key, and nothing else, is looked at."""
KEY = re.compile(r"(^|-)[0-9a-f]{10}(\.json)?$|^seed\d+$")
OTHERS = ("data/raw", "results/runs", "results/profiles", "results/studies")
"""Folders of datasets and studies, whose names may look like keys."""


def overlays() -> list[list[Path]]:
    """What is laid over config.yaml for each study of workflow/studies/; that of a folder over the one of its name."""
    studies = Path("workflow/studies")
    parts = [[path.parent.with_suffix(".yaml"), path] for path in sorted(studies.glob("*/*.yaml"))]
    return [[], *([path] for path in sorted(studies.glob("*.yaml"))), *parts]


def referred(study: Study) -> set[str]:
    """The paths, of those that KEYED matches, of a study and of all experiments that its configuration names."""
    *looks, study = chain(study)
    runs = study.runs(study.experiments)
    known = {*(paths.study_folder(at) for at in (*looks, study)), *(run.folder for run in runs)}
    known |= {paths.examination_folder(study, run) for run in runs}
    known |= {paths.data_folder(study, dataset) for dataset in study.datasets}
    return known | {paths.profile_path(study, dataset) for dataset in study.datasets_used()}


def unreferred(studies: Iterable[Study]) -> list[Path]:
    """What none of the studies refers to, without what lies inside of it."""
    known = set().union(*map(referred, studies))
    found: list[Path] = []
    for path in (path for pattern in KEYED for path in sorted(Path().glob(pattern))):
        keyed = KEY.search(path.name) and str(path.parent) not in OTHERS
        if keyed and not path.is_symlink() and str(path) not in known and not set(path.parents) & set(found):
            found.append(path)
    return found


def clean_results(studies: Iterable[Study], delete: bool) -> None:
    """Print what no study refers to with its size, MiB, and remove it if asked to."""
    found = unreferred(studies)
    sizes = [sum(f.stat().st_size for f in (path, *path.rglob("*")) if f.is_file()) for path in found]
    for path, size in zip(found, sizes, strict=True):
        if delete:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        print(f"{size / 2**20:8.1f} MiB  {path}")
    done = "removed" if delete else "not referred to by any study; remove them with --delete"
    print(f"{sum(sizes) / 2**20:8.1f} MiB  in {len(found)} places {done}")
