"""What the dvc.lock files name: every file with its MD5."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from cnntention import files
from cnntention.config import Study
from cnntention.results import paths
from cnntention.versioning.plan import PLAN, declared, folder, pipelines, written


@dataclass(frozen=True)
class Locked:
    """A file that a lock names, or (`listing`) DVC's list of a folder's files, which lies in its cache."""

    path: str
    md5: str
    lock: Path
    out: str
    """The stage's out that it belongs to."""
    cached: bool
    """Whether DVC keeps the file; else Git does."""
    listing: bool = False


def locked() -> Iterator[Locked]:
    """Every file that the project's locks name; of a folder whose list is absent, the list alone."""
    for lock in (path.with_name("dvc.lock") for path in pipelines()):
        if not lock.exists():
            continue
        with files.readable(lock):
            try:
                stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
                found = [(out["path"], out["md5"]) for of in stages.values() for out in of.get("outs", ())]
            except (yaml.YAMLError, KeyError, TypeError, AttributeError):
                raise ValueError("it is not as DVC writes it") from None
        for path, md5 in found:
            if not md5.endswith(".dir"):
                yield Locked(path, md5, lock, path, cached=not path.startswith("studies/"))
                continue
            listing = cached_at(md5)
            yield Locked(str(listing), md5, lock, path, cached=True, listing=True)
            with suppress(OSError, ValueError):  # then it is absent or wrong by its own hash
                for entry in json.loads(listing.read_bytes()):
                    yield Locked(f"{path}/{entry['relpath']}", entry["md5"], lock, path, cached=True)


def cached_at(md5: str) -> Path:
    """Where DVC's cache has an object."""
    return Path(cache_folder(), "files/md5", md5[:2], md5[2:])


@cache
def cache_folder() -> str:
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or ".dvc/cache"


def unlocked(study: Study, named: list[Locked]) -> Iterator[tuple[str, str]]:
    """(path, why) of what DVC should version of a study and no lock names: nothing before its first `dvc repro`."""
    plan = folder(study) / PLAN
    pipeline = next((path for path in pipelines() if str(plan) in declared(path).get("plan", ())), None)
    if not pipeline or not pipeline.with_name("dvc.lock").exists():
        return
    if not plan.exists() or files.read_json(plan) != written(study):
        yield str(plan), f"is of another configuration; run `dvc repro {pipeline}`"
    if any(one.listing and not Path(one.path).exists() for one in named):
        return  # in a clone, before `dvc pull`
    known = {one.path for one in named}
    for path in made(study):
        if path not in known:
            yield path, f"is in no dvc.lock; run `dvc repro {pipeline}`"


def made(study: Study) -> Iterator[str]:
    """The files of a study's datasets, runs, examinations and profiles."""
    for name in study.datasets_used():
        yield from (f"{paths.data_folder(study, name)}/{file}" for file in paths.SPLIT_FILES)
        yield paths.profile_path(study, name)
    for run in study.runs():
        yield from paths.files_of_run(run)
        yield from paths.files_of_examination(study, run)
