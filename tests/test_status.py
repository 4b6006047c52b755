"""`cnntention status` on a small study in each of its states, whose files real steps left."""

import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import Study, load, parse_study
from cnntention.data.datasets import prepare
from cnntention.results import paths
from cnntention.status.command import duration
from cnntention.status.runs import jobs
from cnntention.status.speed import Speeds
from cnntention.training.command import train_run
from cnntention.training.progress import Progress
from cnntention.training.state import State

RULES = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
GARBAGE = [
    "",
    "{",
    "[1]",
    "null",
    '{"images": {"train": "many"}, "images_per_s": "fast"}',
    "\0",
    "a.gate\nx,y\n\n,",
    "ü",
]


def two_seeds() -> dict:
    study = small_study()
    study["experiments"]["first"]["grid"]["seeds"] = 2
    study["experiments"]["again"] = study["experiments"]["first"] | {
        "grid": study["experiments"]["first"]["grid"] | {"models": "tiny"}
    }
    study["study"]["experiments"] = ["first", "again"]
    return study


def file_of(kind: str, run, **words: str) -> Path:
    """A path as workflow/rules/ names it."""
    pattern = re.search({"state": r"--state (\S+)", "log": r'"(logs/examine/\S+\.log)"'}[kind], RULES)[1]
    words |= {name: getattr(run, name) for name in ("dataset", "model", "recipe", "key", "seed")}
    return Path(pattern.replace("wildcards.", "").format(**words))


def train(study: Study, run, interrupted: bool = False) -> None:
    """As the rule does; interrupted: by Ctrl-C after its first epoch."""

    def epoch(self, row):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        if interrupted:
            patch.setattr(Progress, "epoch", epoch)
        with pytest.raises(KeyboardInterrupt) if interrupted else patch.context():
            train_run(study, run, file_of("state", run), 1, "cpu")


def examine(study: Study, run, top1: float) -> None:
    folder = paths.examination_folder(study, run)
    for name in paths.EXAMINATION_FILES:
        files.write_json(f"{folder}/{name}", {"top1": top1})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of four runs: tiny is trained from both seeds and examined; looking was interrupted; the last one waits."""
    path, before, study = tmp_path_factory.mktemp("made"), Path.cwd(), parse_study(two_seeds())
    os.chdir(path)
    Path("config.yaml").write_text(yaml.safe_dump(two_seeds()))
    prepare("cues", study.datasets["cues"], {}, Path(paths.data_folder(study, "cues")))
    runs = {(run.model, run.seed): run for run in study.runs()}
    for seed, top1 in ((0, 0.5), (1, 0.75)):
        train(study, runs["tiny", seed])
        examine(study, runs["tiny", seed], top1)
    train(study, runs["looking", 0], interrupted=True)
    os.chdir(before)
    return path


@pytest.fixture
def study(made, tmp_path, monkeypatch) -> Study:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return parse_study(two_seeds())


@pytest.fixture
def status(capsys):
    def printed(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        before = sorted(Path().rglob("*"))
        assert main(["status", *words]) == code
        out, err = capsys.readouterr()
        assert sorted(Path().rglob("*")) == before  # it writes nothing
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out + err)
        return err if code else out

    return printed


def counted(text: str, name: str = "all, each run once") -> dict[str, int]:
    """The row of an experiment."""
    row = re.search(rf"^{name} +(\d.*\d) *$", text, re.M)[1].split()
    return dict(zip(("runs", "done", "training", "interrupted", "waiting", "failed"), map(int, row[:6]), strict=True))


def run_of(study: Study, model: str, seed: int):
    return study.run("cues", model, "brief", seed)


# --- the states of a study --------------------------------------------------------------------------------------


def test_half_is_done(study, status):
    text = status()
    assert counted(text) == {"runs": 4, "done": 2, "training": 0, "interrupted": 1, "waiting": 1, "failed": 0}
    assert counted(text, "again") == {"runs": 2, "done": 2, "training": 0, "interrupted": 0, "waiting": 0, "failed": 0}
    assert "2 of 4 runs trained, 2 examined" in text
    assert re.search(r"cues/tiny/brief +62.50 ± 17.68 +2 of 2 +1 of 2", text)  # solved from (1/4 + 1) / 2 on
    assert re.search(r"cues/looking/brief +– +0 of 2", text)
    row = files_row(run_of(study, "looking", 0))
    gate = next(value for name, value in row.items() if name.endswith(".gate"))
    assert re.search(
        rf"cues/looking/brief/seed0 +interrupted +2 of 2 +{float(row['images_per_s']):,.0f} "
        rf"+{100 * float(row['val_accuracy']):.1f} % +{float(gate):.3f} +\d+ s",
        text,
    )
    assert "Report: not made yet" in text


def files_row(run) -> dict[str, str]:
    names, *rows = (line.split(",") for line in Path(run.folder, "history.csv").read_text().splitlines())
    return dict(zip(names, rows[-1], strict=True))


def test_the_time_left_is_what_runs_like_it_took(study, status):
    measured = {"tiny": 4.0, "looking": 2.0}
    for seed in (0, 1):
        path = Path(run_of(study, "tiny", seed).folder, "run.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"images_per_s": measured["tiny"]}))
    history = Path(run_of(study, "looking", 0).folder, "history.csv")
    history.write_text(f"epoch,images_per_s\n1,{measured['looking']}\n")
    seconds = {model: 2 * 192 / speed for model, speed in measured.items()}
    left = 0.5 * seconds["looking"] + seconds["looking"]
    text = status()
    assert f"Time left: about {duration(left)} of training, 1 at a time\n" in text
    total = 2 * seconds["tiny"] + 2 * seconds["looking"]
    assert f"{100 - 100 * left / total:.0f} % of the training" in text
    assert re.search(rf"all, each run once .* {total / 3600:.3f}", text)
    state = State(file_of("state", run_of(study, "looking", 0)), "x")
    with state.owned(), State(file_of("state", run_of(study, "looking", 1)), "y").owned():
        assert f"about {duration(seconds['looking'])} of training, 2 at a time" in status()  # the longer of the two


def test_a_run_is_in_training_as_long_as_a_process_holds_it(study, status):
    run = run_of(study, "looking", 0)
    with State(file_of("state", run), "any").owned():
        assert counted(status())["training"] == 1
    lock = file_of("state", run).with_suffix(".lock")
    for holder, age, expected in (("elsewhere", 60, "training"), ("elsewhere", 7200, "interrupted")):
        lock.write_text(holder)
        for path in (lock, *Path("state").rglob("*.pt"), *Path(run.folder).iterdir()):
            os.utime(path, (time.time() - age,) * 2)
        assert counted(status())[expected] == 1


def test_an_interrupted_run_goes_on_after_its_last_epoch(study, status):
    run = run_of(study, "looking", 0)
    Path(run.folder, "history.csv").unlink()  # as Snakemake does
    log = "cues/looking/brief/seed0: epoch 1/2  lr 0.1\n\ncnntention train: interrupted.\n"
    Path(run.folder, "train.log").write_text(log)
    assert re.search(r"seed0 +interrupted +2 of 2", text := status())
    assert counted(text)["failed"] == 0
    file_of("state", run).unlink()
    Path(run.folder, "history.csv").write_text("epoch\n1\n")
    assert re.search(r"seed0 +interrupted +1 of 2", status())


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("so far so good\ncnntention train: the loss is \x1b[1mnan\x1b[0m.\r\n", "cnntention train: the loss is nan."),
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        (
            "/bin/bash: line 3: 42 Killed   python -m cnntention\n",
            "/bin/bash: line 3: 42 Killed   python -m cnntention",
        ),
        ("Traceback (most recent call last):\nKeyboardInterrupt\n", None),
        ("cues/looking/brief/seed1: epoch 1/2\n", None),
    ],
)
def test_a_failed_run_names_its_error_and_log(study, status, log, reason):
    run = run_of(study, "looking", 1)
    path = Path(run.folder, "train.log")
    path.parent.mkdir()
    path.write_text(log)
    text = status()
    assert counted(text)["failed"] == (reason is not None)
    assert (f"{run.name} (train)\n    {reason}\n    See {path}\n" in text) == (reason is not None)
    with State(file_of("state", run), "any").owned():
        assert "Failed" not in status()


def test_a_failed_examination(study, status):
    run = run_of(study, "tiny", 0)
    folder = Path(paths.examination_folder(study, run))
    log = file_of("log", run, examination=folder.name.removeprefix("examination-"))
    files.write_text(log, "cnntention examine: the sky fell.\n")
    assert "Failed" not in status()  # all is there: the log is an old one
    (folder / "explanations.safetensors").unlink()
    text = status()
    assert f"{run.name} (examine)\n    cnntention examine: the sky fell.\n    See {log}" in text
    assert "2 of 4 runs trained, 1 examined" in text


@pytest.mark.parametrize("full", [True, False])
def test_every_other_step_that_failed(study, status, full):
    if full:
        shutil.copy(ROOT / "config.yaml", "config.yaml")
        study = load(["config.yaml"])
    named = [re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)) for path in re.findall(r'"([a-z]\S+/\S+)"', RULES)]
    for step, name, output, log in jobs(study):
        assert all(any(re.fullmatch(pattern, path) for pattern in named) for path in (output, log))
        Path(output).unlink(missing_ok=True)
        files.write_text(log, f"cnntention {step}: the sky fell.\n")
        failure = f"{name} ({step})\n    cnntention {step}: the sky fell.\n    See {log}\n"
        assert failure in status()
        files.write_json(output, {})
        assert "Failed" not in status()


@pytest.mark.parametrize("garbage", GARBAGE)
def test_no_file_can_make_it_fail(study, status, garbage):
    Path(run_of(study, "looking", 1).folder).mkdir()
    Path(run_of(study, "looking", 1).folder, "history.csv").touch()
    for path in [path for path in Path().rglob("*") if path.suffix in (".json", ".csv", ".pt", ".lock")]:
        path.write_text(garbage)
        assert counted(status())["done"] == 2


# --- before the start, and words --------------------------------------------------------------------------------


def test_an_estimate_before_the_start(tmp_path, monkeypatch, status):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(two_seeds()))
    text = status()
    assert "Time left: not known until a run has trained an epoch" in text
    assert "as on a core" in text
    text = status("--estimate")
    assert "as timed on this machine" in text
    assert re.search(r"Time left: about \d+ s of training, 1 at a time\n", text)


def test_a_model_that_was_not_measured_is_scaled_by_its_size():
    study = load([ROOT / "config.yaml"])
    run = study.runs()[0]
    one, twice = (Speeds(study, {run: speed}, "") for speed in (100.0, 200.0))
    assert one.seconds(run) == study.recipes[run.recipe].epochs * one.images[run.dataset][0] / 100
    assert all(one.seconds(other) == pytest.approx(2 * twice.seconds(other)) for other in study.runs())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "none.yaml"], "none.yaml: cannot be read (No such file or directory)."),
        (["--config", "bad.yaml"], "recipes.brief: unknown key 'epocs'; did you mean 'epochs'?"),
        (["--watch"], "--watch redraws a terminal, and the output is none"),
    ],
)
def test_a_mistake_is_a_sentence(study, status, words, message):
    Path("bad.yaml").write_text("recipes: {brief: {epocs: 3}}")
    error = status(*words, code=1)
    assert error.startswith("cnntention status: ")
    assert message in error


def test_an_overlay_is_laid_over_the_configuration(study, status):
    Path("mine.yaml").write_text("{study: {name: mine}, experiments: {first: {grid: {seeds: 5}}}}")
    for given in (["mine.yaml"], ["config.yaml", "mine.yaml"]):
        assert "mine: Does it run?" in (text := status("--configfile", *given))
        assert counted(text, "first")["runs"] == 10


# --- terminals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["\x03", "report"])
def test_watching_ends_with_ctrl_c_or_with_the_report(study, end):
    process, master = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-m", "cnntention", "status", "--watch"],
                  os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"})  # fmt: skip
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def read(until: str) -> str:
        text, stop = b"", time.time() + 15
        while until.encode() not in text and time.time() < stop and select.select([master], [], [], 15)[0]:
            try:
                text += os.read(master, 65536)
            except OSError:  # it ended
                break
        return text.decode()

    assert "2 of 4 runs trained" in read("seed0")
    if end == "report":
        files.write_json(f"{paths.study_folder(study)}/report/card.json", {})
    else:
        os.write(master, end.encode())
    text = read("never")
    assert f"Report: {f'{paths.study_folder(study)}/report/index.html' if end == 'report' else 'not made yet'}" in text
    assert "Traceback" not in text
    assert os.waitpid(process, 0)[1] == 0


def test_it_starts_without_torch_or_pandas(study):
    code = "import sys; from cnntention.cli import main; main(['status']); print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert "2 of 4 runs trained" in done.stdout
    assert not {"torch", "pandas", "numpy"} & set(done.stdout.split())
