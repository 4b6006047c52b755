"""Damaged files: the step that reads one says so in one line and changes nothing, and its advice leads on."""

import io
import json
import os
import random
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, small_study
from faults import DAMAGES, FILES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_planner import jobs_of

from cnntention import files
from cnntention.cli import main
from cnntention.config import load
from cnntention.report.publish import END, START
from cnntention.results import paths
from cnntention.training.pause import Pause

ORDER = ("prepare", "train", "examine", "profile", "summarise", "judge", "report")
TIMES = re.compile("commit|started|finished|made|.*seconds|images_per_s|.*_ms|training_memory_bytes|resumed.*")
HASHES = {"checksum", "history_sha256"}  # of what has times


def config(seeds: int) -> dict:
    """A model on two datasets that differ in their seed."""
    study = small_study()
    cues = study["datasets"]["cues"]
    study["datasets"]["others"] = cues | {"source": cues["source"] | {"seed": 1}}
    grid = {"models": "looking", "recipes": "brief"}
    grids = [grid | {"datasets": "cues", "seeds": seeds}, grid | {"datasets": "others", "seeds": 1}]
    study["experiments"] = {"first": {"question": "Does it run?", "grid": grids}}
    claim = {"sentence": "It sees.", "experiment": "first", "model": "looking", "datasets": "cues", "value": 0.5}
    return study | {"claims": {"mine": claim}}


def snakemake(*targets: str, pretended: tuple[str, ...] = ()) -> bool:
    """A call in this process: the real plan, and the rules' own commands; whether all went well."""
    for job in sorted(jobs_of(*targets), key=lambda job: ORDER.index(job.rule.name)):
        for path in map(Path, job.output):
            path.unlink(missing_ok=True)  # as Snakemake does
            if job.rule.name in pretended:
                files.write_text(path, "")
        words = shlex.split(job.shellcmd.replace("\\\n", "").split("-m cnntention", 1)[1])
        if job.rule.name not in pretended and not step(*words):
            return False
    return True


def step(*words: str) -> bool:
    code = main(list(words))
    assert code in (0, 1)
    return code == 0


def is_result(path: Path) -> bool:
    return path.suffix != ".lock" and not path.is_symlink()


def tree() -> dict[Path, bytes]:
    """All files that steps write."""
    folders = [found for top in ("data", "results", "state") for found in os.walk(top)]
    found = [Path(folder, name) for folder, _, names in folders for name in names]
    return {path: path.read_bytes() for path in [*found, Path("README.md")] if is_result(path)}


def restore(whole: dict[Path, bytes]) -> None:
    now = tree()
    for path in now.keys() - whole.keys():
        path.unlink()
    for path in whole:
        if now.get(path) != whole[path]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole[path])


def lasting(value):
    """JSON without times."""
    if isinstance(value, dict):
        return {name: lasting(v) for name, v in value.items() if not TIMES.fullmatch(name) and name not in HASHES}
    return [lasting(v) for v in value] if isinstance(value, list) else value


def without_times(table: bytes) -> str:
    rows = pd.read_csv(io.BytesIO(table))
    return rows[[name for name in rows if not TIMES.fullmatch(name)]].to_csv()


def comparable(files_: dict[Path, bytes], without: Path) -> dict:
    """All results, without times and without one file."""
    found = {}
    for path, content in files_.items():
        if path == without or path.parts[0] == "state":
            continue
        if path.suffix == ".json" and content:  # empty: pretended
            content = lasting(json.loads(content))
        elif path.name == "history.csv":
            content = without_times(content)
        found[path] = content
    return found


class Made:
    """A finished study of three runs, with the state of each as after its first epoch, and beside it a smaller one."""

    def __init__(self):
        shutil.copytree(ROOT / "workflow", "workflow")
        shutil.copy(ROOT / "Snakefile", ".")
        Path("README.md").write_text(f"{START}\n{END}\n")
        for seeds in (1, 2):
            files.write_json("config.yaml", config(seeds))  # JSON is YAML
            assert snakemake(pretended=("report",) if seeds == 1 else ())
        self.study = load(["config.yaml"])
        self.folder = Path(paths.study_folder(self.study))
        self.run, self.second, _ = self.study.runs()
        self.examination = Path(paths.examination_folder(self.study, self.run))
        self.data, self.profile = paths.data_folder(self.study, "cues"), paths.profile_path(self.study, "cues")
        assert self.does("publish")
        whole, states = tree(), {}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pause, "taken", interrupt)
            for run in self.study.runs():
                assert main(self.words("train", run)) == 130
                states[self.state(run)] = self.state(run).read_bytes()
        self.whole = whole | states
        restore(self.whole)

    def state(self, run) -> Path:
        return Path("state", *Path(run.folder).parts[2:]).with_suffix(".pt")

    def words(self, name: str, run=None) -> list[str]:
        run = run or self.run
        tables, verdicts = ("--tables", f"{self.folder}/tables"), ("--verdicts", f"{self.folder}/verdicts")
        options = {
            "train": ["--run", run.folder, "--state", str(self.state(run))],
            "examine": ["--run", run.folder],
            "profile": ["--dataset", "cues", "--out", self.profile],
            "summarise": ["--out", f"{self.folder}/tables"],
            "judge": [*tables, "--out", f"{self.folder}/verdicts"],
            "report": [*tables, *verdicts, "--out", f"{self.folder}/report"],
            "publish": ["--readme", "README.md"],
        }
        return [name, "--config", "config.yaml", *options[name]]

    def does(self, name: str) -> bool:
        return step(*self.words(name))

    def made_by(self, name: str) -> list[str]:
        """What has to go for a call to make what the step makes, and all that is made of it."""
        parts = {"judge": paths.STUDY_PARTS[1:], "report": paths.STUDY_PARTS[2:], "publish": ()}
        below = [f"{self.folder}/{part}" for part in parts.get(name, paths.STUDY_PARTS)]
        return below + {"train": [self.run.folder], "examine": [str(self.examination)], "profile": [self.profile]}.get(
            name, []
        )

    def files(self, pattern: str) -> list[Path]:
        """The files of this study that a row of `FILES` means."""
        place = Path(pattern)
        known = {
            "data": Path(self.data, place.name),
            "state": self.state(self.run),
            "results/profiles": Path(self.profile),
            "results/runs": Path(self.examination if "<key>" in pattern else self.run.folder, place.name),
            "results/studies": self.folder / place.parent.name / place.name,
        }
        (path,) = [path for start, path in known.items() if pattern.startswith(start)]
        if "<" not in path.name:
            return [path]
        named = {Path(other).name for other in FILES}
        return sorted(p for p in self.whole if p.is_relative_to(path.parent) and p.name not in named)

    def other(self, path: Path) -> Path:
        """The same file of another seed: of the other run or dataset, or of the study of fewer seeds."""
        text = str(path)
        swapped = {
            self.run.folder: self.second.folder,
            str(self.state(self.run)): str(self.state(self.second)),
            self.data: paths.data_folder(self.study, "others"),
            self.profile: paths.profile_path(self.study, "others"),
        }
        for ours, theirs in swapped.items():
            if text.startswith(ours):
                return Path(text.replace(ours, theirs))
        names = {p.parts[2] for p in self.whole if p.parts[:2] == self.folder.parts[:2]}
        (other,) = names - {self.folder.name, "looks.json"}
        return Path(text.replace(self.folder.name, other))


def interrupt(*_) -> None:
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[Made]:
    with chdir(tmp_path_factory.mktemp("corruption")):
        yield Made()


def damaged(content: bytes, damage: str, other: bytes, draws: random.Random) -> bytes:
    """The content after one of `DAMAGES`; as it was if that cannot be done to it."""
    if damage == "a bit flipped":
        at = draws.randrange(len(content))
        return content[:at] + bytes([content[at] ^ 1 << draws.randrange(8)]) + content[at + 1 :]
    if damage == "a digit changed":
        at = draws.choice([found.start() for found in re.finditer(rb"\d", content)] or [-1])
        if at < 0:
            return content
        return (
            content[:at] + draws.choice(b"0123456789".replace(content[at : at + 1], b"")).to_bytes() + content[at + 1 :]
        )
    if damage == "a key removed":
        if not content.startswith(b"{"):
            return content
        value = inner = json.loads(content)
        while True:
            key = draws.choice(list(inner))
            if not isinstance(inner[key], dict) or not inner[key] or draws.random() < 0.3:
                break
            inner = inner[key]
        del inner[key]
        return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
    return {
        "its end cut off": content[: draws.randrange(len(content))],
        "no content": b"",
        "that of another seed": other,
    }[damage]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pattern=st.sampled_from(list(FILES)),
    damage=st.sampled_from(DAMAGES),
    draws=st.randoms(use_true_random=False),
)
def test_damage_is_named_in_one_line_or_is_none(made, capfd, pattern, damage, draws):
    path = draws.choice(made.files(pattern))
    content = damaged(made.whole[path], damage, made.whole.get(made.other(path), b"?"), draws)
    if content == made.whole[path]:
        return
    for name in FILES[pattern]:
        path.write_bytes(content)
        before = tree()
        capfd.readouterr()
        done = made.does(name)
        error = capfd.readouterr().err
        after = tree()
        restore(made.whole)
        if done:
            assert comparable(after, path) == comparable(made.whole, path), (path, damage, name)
        else:
            assert after == before, (path, damage, name)
            assert error.count("\n") == 1
            assert str(path) in error or str(path.parent) in error, (path, damage, error)


CASES = [(pattern, readers[0]) for pattern, readers in FILES.items()]


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "reader"), CASES, ids=lambda value: value)
def test_what_the_line_says_leads_on(made, capfd, pattern, reader):
    """What it names is deleted, and the next call ends with the report."""
    path = made.files(pattern)[-1]
    pretended = () if reader in ("report", "publish") else ("report",)
    target = ["publish"] if reader == "publish" else []

    def goes() -> bool:
        return snakemake(*target, pretended=pretended) and (not target or made.does("publish"))

    for gone in made.made_by(reader):
        shutil.rmtree(gone, ignore_errors=True)
        Path(gone).unlink(missing_ok=True)
    path.write_bytes(damaged(made.whole[path], "a bit flipped", b"", random.Random(0)))
    try:
        capfd.readouterr()
        assert not goes()
        (error,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("cnntention ")]
        (place,) = [Path(part) for part in error.split(": ") if Path(part).exists()]
        assert place in (path, *path.parents)
        assert "delete it" in error
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        assert goes(), capfd.readouterr().err
        assert not jobs_of(*target)
        if not path.exists():  # the tables do without it
            assert snakemake("train_all", "evaluate_all")
        now = tree()
        same = {p for p in made.whole if p.suffix == ".safetensors" or p.name in ("metrics.json", "claims.csv")}
        assert all(now[p] == made.whole[p] for p in same)
    finally:
        restore(made.whole)
