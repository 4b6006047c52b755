"""`cnntention status` on a small study in each of its states, whose files real steps left."""

import json
import os
import pty
import re
import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from conftest import ROOT, small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import Study, load, parse_study
from cnntention.data.datasets import prepare
from cnntention.results import paths
from cnntention.status.runs import jobs
from cnntention.training.command import train_run
from cnntention.training.progress import Progress
from cnntention.training.state import State

RULES = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
CONFIG = small_study()
CONFIG["experiments"]["first"]["grid"]["seeds"] = 2


def state_of(run) -> Path:
    pattern = re.search(r"--state (\S+)", RULES)[1].replace("wildcards.", "")
    return Path(pattern.format(**{name: getattr(run, name) for name in ("dataset", "model", "recipe", "key", "seed")}))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """`tiny` is trained from two seeds and examined; `looking` was interrupted after an epoch; its other seed waits."""
    path, before, study = tmp_path_factory.mktemp("made"), Path.cwd(), parse_study(CONFIG)
    os.chdir(path)
    Path("config.yaml").write_text(yaml.safe_dump(CONFIG))
    prepare("cues", study.datasets["cues"], {}, Path(paths.data_folder(study, "cues")))
    *tiny, looking, _ = study.runs()
    for run in tiny:
        train_run(study, run, state_of(run), 1, "cpu")
        for name in paths.files_of_examination(study, run):
            files.write_json(name, {"top1": 0.5 + run.seed / 4})
    with patch.object(Progress, "epoch", side_effect=KeyboardInterrupt), suppress(KeyboardInterrupt):
        train_run(study, looking, state_of(looking), 1, "cpu")
    os.chdir(before)
    return path


@pytest.fixture
def study(made, tmp_path, monkeypatch) -> Study:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return parse_study(CONFIG)


@pytest.fixture
def looking(study):
    return study.runs()[2:]


@pytest.fixture
def status(capsys):
    def printed(*words: str, code: int = 0) -> str:
        before = sorted(Path().rglob("*"))
        assert main(["status", *words]) == code
        assert sorted(Path().rglob("*")) == before  # it writes nothing
        return capsys.readouterr()[code]

    return printed


def counted(text: str) -> list[int]:
    """[runs, done, training, interrupted, waiting, failed] of the whole study."""
    return [int(cell) for cell in re.search(r"^all, each run once +(\d.*)", text, re.M)[1].split()[:6]]


def test_half_is_done(study, status, looking):
    assert counted(text := status()) == [4, 2, 0, 1, 1, 0]
    assert "2 of 4 runs trained, 2 examined" in text
    assert re.search(r"cues/tiny/brief +62.50 ± 17.68 +2 of 2 +1 of 2", text)  # solved from (1/4 + 1) / 2 on
    assert re.search(r"cues/looking/brief +– +0 of 2", text)
    names, row = (line.split(",") for line in Path(looking[0].folder, "history.csv").read_text().splitlines())
    values = {name.rpartition(".")[2]: float(value) for name, value in zip(names, row, strict=True)}
    numbers = rf"{values['images_per_s']:,.0f} +{100 * values['val_accuracy']:.1f} % +{values['gate']:.3f} +\d+ s"
    assert re.search(rf"cues/looking/brief/seed0 +interrupted +2 of 2 +{numbers}", text)


def test_the_time_left_is_what_runs_like_it_took(study, status, looking):
    for path in Path().rglob("run.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"images_per_s": 4.0}))
    Path(looking[0].folder, "history.csv").write_text("epoch,images_per_s\n1,2.0\n")
    text = status()  # two epochs of 192 images: 96 s for `tiny`, 192 s for `looking`, of which one is half done
    assert "50 % of the training" in text
    assert "Time left: about 5 min of training, 1 at a time\n" in text
    assert re.search(r"all, each run once .* 0\.160", text)
    with State(state_of(looking[0]), "x").owned(), State(state_of(looking[1]), "y").owned():
        assert "about 3 min of training, 2 at a time" in status()  # as long as the longer one


def test_a_run_is_in_training_as_long_as_a_process_holds_it(study, status, looking):
    with State(state_of(looking[0]), "any").owned():
        assert counted(status()) == [4, 2, 1, 0, 1, 0]
    assert counted(status()) == [4, 2, 0, 1, 1, 0]
    state_of(looking[0]).with_suffix(".lock").write_text("another-machine")
    for age, alive in ((60, 1), (7200, 0)):  # s without a sign of life
        for path in (*Path("state").rglob("seed0.*"), *Path(looking[0].folder).iterdir()):
            os.utime(path, (time.time() - age,) * 2)
        assert counted(status()) == [4, 2, alive, 1 - alive, 1, 0]


def test_an_interrupted_run_goes_on_after_its_last_epoch(study, status, looking):
    Path(looking[0].folder, "history.csv").unlink()  # as Snakemake does
    Path(looking[0].folder, "train.log").write_text("x: epoch 1/2  lr 0.1\n\ncnntention train: interrupted.\n")
    assert re.search(r"seed0 +interrupted +2 of 2", status())
    state_of(looking[0]).unlink()
    Path(looking[0].folder, "history.csv").write_text("epoch\n1\n")
    assert re.search(r"seed0 +interrupted +1 of 2", status())


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("well\ncnntention train: \x1b[1mnan\x1b[0m.\r\n", "nan."),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ("Traceback (most recent call last):\nKeyboardInterrupt\n", None),
    ],
)
def test_a_failed_run_names_its_error_and_log(study, status, looking, log, reason):
    path = Path(looking[1].folder, "train.log")
    files.write_text(path, log)
    assert counted(text := status())[-1] == (reason is not None)
    assert (f"{looking[1].name} (train)\n    {reason}\n    See {path}\n" in text) == (reason is not None)
    with State(state_of(looking[1]), "any").owned():
        assert "Failed" not in status()


def test_every_other_step_that_failed(study, status):
    """The rules' own names of logs and outputs, so that one that moves is missed here."""
    rules = RULES.replace("{{", "{").replace("}}", "}")  # of f-strings
    named = [re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in re.findall(r'"([a-z]\S+/\S+)"', rules)]
    run = study.run("cues", "tiny", "brief", 0)
    folder = Path(paths.examination_folder(study, run))
    log = f"logs/examine/cues/tiny/brief-{run.key}/seed0-{folder.name.removeprefix('examination-')}.log"
    known = [*jobs(study), *jobs(load([ROOT / "config.yaml"])), ("examine", run.name, f"{folder}/attention.json", log)]
    for step, name, output, log in known:
        assert all(any(re.fullmatch(pattern, path) for pattern in named) for path in (output, log))
        if name in ("cues", "small", run.name):
            Path(output).unlink(missing_ok=True)
            files.write_text(log, f"cnntention {step}: the sky fell.\n")
            assert f"{name} ({step})\n    the sky fell.\n    See {log}\n" in status()
            files.write_json(output, {})
            assert "Failed" not in status()


@pytest.mark.parametrize("garbage", ["", "[1]", '{"images": {"train": "many"}, "top1": "x"}', "\0", "a.gate\nx,y\n\n,"])
def test_no_file_can_make_it_fail(study, status, looking, garbage):
    files.write_text(Path(looking[1].folder, "history.csv"), "")
    for path in [path for path in Path().rglob("*.*") if path.name != "config.yaml"]:
        path.write_text(garbage)
        assert counted(status())[:2] == [4, 2]


def test_an_estimate_before_the_start(study, status):
    shutil.rmtree("results")
    shutil.rmtree("state")
    assert "Time left: not known until a run has trained an epoch" in status()
    assert re.search(r"Time left: about \d+ s of training, 1 at a time\n", status("--estimate"))


def test_configurations(study, status):
    Path("mine.yaml").write_text("{study: {name: mine}, experiments: {first: {grid: {seeds: 5}}}}")
    assert status("--configfile", "mine.yaml") == status("--config", "config.yaml", "mine.yaml")
    assert counted(status("--config", "mine.yaml"))[0] == 10
    assert "none.yaml: cannot be read" in status("--config", "none.yaml", code=1)
    assert "--watch redraws a terminal, and the output is none" in status("--watch", code=1)


@pytest.mark.parametrize("end", ["Ctrl-C", "report"])
def test_watching_ends_with_ctrl_c_or_with_the_report(study, end):
    process, master = pty.fork()
    if process == 0:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
        os.execve(sys.executable, [sys.executable, "-m", "cnntention", "status", "--watch"], environment)
    text = b""
    while b"2 of 4 runs trained" not in text:
        text += os.read(master, 65536)
    os.write(master, b"\x03" if end == "Ctrl-C" else b"")
    if end == "report":
        files.write_json(f"{paths.study_folder(study)}/report/card.json", {})
    with suppress(OSError):  # it has ended
        while more := os.read(master, 65536):
            text += more
    assert (f"Report: {paths.study_folder(study)}/report/index.html" in text.decode()) == (end == "report")
    assert os.waitpid(process, 0)[1] == 0
