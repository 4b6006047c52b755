"""Every recorded hash of a study's files, by path. What is not here is absent, not wrong; knows no torch."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cnntention import files, seal
from cnntention.config import Run, Study
from cnntention.config.sources import FolderSource
from cnntention.data.archives import raw_path
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.profiles import Profile
from cnntention.results.records import Diagnosis, Explanations, Metrics, RunRecord
from cnntention.versioning.locks import locked, unlocked

Read = TypeVar("Read")


@dataclass
class Checked:
    """How many recorded hashes hold, which files are absent, and which are wrong, and why."""

    right: int = 0
    absent: dict[str, None] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def file(self, path: str, recorded: str, algorithm: str = "sha256", differs: str = "") -> None:
        """Check a file's hash; `differs` says why, if that needs more words."""
        if not Path(path).exists():
            self.absent[path] = None
            return
        try:
            with open(path, "rb") as file:
                same = hashlib.file_digest(file, algorithm).hexdigest() == recorded
            why = differs or f"its {algorithm.upper()} is not the recorded one"
        except OSError as error:
            same, why = False, f"cannot be read ({error.strerror})"
        self.same(path, same, why)

    def record(self, path: str, read: Callable[[str], Read] = files.read_record) -> Read | None:
        """Check a JSON file's checksum and types; its content, or None."""
        if not Path(path).exists():
            self.absent[path] = None
            return None
        try:
            content = read(path)
        except UserError as error:
            self.same(path, False, str(error).removeprefix(f"{path}: "))
            return None
        self.right += 1
        return content

    def same(self, path: str, holds: bool, why: str) -> None:
        """Count a check of a file; the first that fails says why it is wrong."""
        if holds:
            self.right += 1
        else:
            self.wrong.setdefault(path, why)


def check_files(study: Study) -> Checked:
    """All files of a study: data and their source, runs, examinations, profiles, results, looks, seal, DVC's locks."""
    found, cards = Checked(), {}
    for name in study.datasets_used():
        source = study.datasets[name].source
        for archive in source.archives.values():
            found.file(raw_path(name, archive), archive.sha256)
        if source.format == "folder":
            check_folder(found, source)
        cards[name] = check_card(found, paths.data_folder(study, name), "files")
        found.record(paths.profile_path(study, name), Profile.read)
    for run in study.runs():
        check_run(found, study, run, cards[run.dataset])
    check_study(found, Path(paths.study_folder(study)))
    found.record(paths.looks_path(study))
    if seal.path_of(study).exists():
        found.record(str(seal.path_of(study)))
    check_locks(found, study)
    return found


def check_folder(found: Checked, source: FolderSource) -> None:
    """Images of the user's own, by the fingerprint in the configuration."""
    from cnntention.data.folder import fingerprint

    if not Path(source.path).exists():
        found.absent[source.path] = None
        return
    try:
        found.same(source.path, fingerprint(Path(source.path)) == source.sha256, "its images have changed")
    except UserError as error:
        found.same(source.path, False, str(error).removeprefix(f"{source.path}: "))


def check_locks(found: Checked, study: Study) -> None:
    """The files that DVC's locks name, and what they should name of the study; nothing where DVC was not used."""
    differs = "differs from {}; `dvc checkout` brings back what that names, `dvc repro` records what is here"
    named = list(locked())
    for one in named:
        if Path(one.path).exists() or not one.listing:
            found.file(one.path, one.md5.removesuffix(".dir"), "md5", differs.format(one.lock))
    for path, why in unlocked(study, named):
        found.same(path, False, why)


def check_card(found: Checked, folder: str, key: str) -> dict[str, str]:
    """A card, and the files whose hashes it holds under `key`; these hashes."""
    card = found.record(f"{folder}/card.json") or {}
    for name, recorded in card.get(key, {}).items():
        found.file(f"{folder}/{name}", recorded)
    return card.get(key, {})


def check_study(found: Checked, folder: Path) -> None:
    """The tables, verdicts and report in a study's folder."""
    for part in paths.STUDY_PARTS:
        check_card(found, str(folder / part), "sha256")


def check_run(found: Checked, study: Study, run: Run, data: dict[str, str]) -> None:
    """A run with its examination; data: hashes of its dataset's splits, by file name, if known."""

    def agrees(path: str, what: str, of: str | None, recorded: str) -> None:
        if of not in (None, recorded):
            found.same(path, False, f"{what} is not that of {run.folder}/run.json or its data")

    path = f"{run.folder}/run.json"
    made = found.record(path, lambda _: RunRecord.of(run))
    if made is None:
        return
    found.file(f"{run.folder}/model.safetensors", made.weights_sha256)
    found.file(f"{run.folder}/history.csv", made.history_sha256)
    for split, recorded in made.data_sha256.items():
        agrees(path, f"data_sha256.{split}", data.get(f"{split}.safetensors"), recorded)
    folder = paths.examination_folder(study, run)
    kinds: dict[str, Any] = {"metrics": Metrics, "attention": Diagnosis, "explanations": Explanations}
    parts = {name: found.record(f"{folder}/{name}.json", kind.read) for name, kind in kinds.items()}
    for name, part in parts.items():
        if part is not None:
            agrees(f"{folder}/{name}.json", "weights_sha256", made.weights_sha256, part.weights_sha256)
    if metrics := parts["metrics"]:
        found.file(f"{folder}/predictions.safetensors", metrics.predictions_sha256)
        agrees(f"{folder}/metrics.json", "test_sha256", data.get("test.safetensors"), metrics.test_sha256)
    if explanations := parts["explanations"]:
        found.file(f"{folder}/explanations.safetensors", explanations.sha256)
