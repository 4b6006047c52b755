"""`cnntention status` on a small study in each of its states, whose files real steps left."""

import codecs
import copy
import fcntl
import json
import math
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study

from cnntention.cli import main
from cnntention.config import load, parse_study
from cnntention.plan import data_folder
from cnntention.status import places
from cnntention.status.terminal import duration
from cnntention.training.progress import Progress
from cnntention.training.state import State

CONFIG = ["--config", "config.yaml"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
HOLD = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class Folder:
    """A project folder with a study, and the commands of its user."""

    def __init__(self, path: Path, config: dict, capsys):
        self.path, self.capsys = path, capsys
        self.write(config)

    def write(self, config: dict) -> None:
        Path("config.yaml").write_text(yaml.safe_dump(config))
        self.study = parse_study(config)
        self.tiny, self.looking = self.study.runs()[:2]

    def status(self, *words: str, code: int = 0) -> str:
        """What it prints; of an estimate that is not asked for, nothing."""
        self.capsys.readouterr()
        estimate = () if {"--estimate", "--watch"} & set(words) else ("--no-estimate",)
        assert main(["status", *words, *estimate]) == code
        out, err = self.capsys.readouterr()
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", out + err)
        return err if code else out

    def prepare(self) -> None:
        assert main(["prepare", *CONFIG, "--dataset", "cues", "--out", data_folder(self.study, "cues")]) == 0

    def train(self, run) -> int:
        """Train as the rule does, with the log that the rule writes."""
        self.capsys.readouterr()
        code = main(["train", *CONFIG, "--run", run.folder, "--state", str(places.state(run))])
        log = places.of_run(run, "train.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(self.capsys.readouterr()))
        return code

    def step(self, name: str, run) -> int:
        return main([name, *CONFIG, "--run", run.folder])


@pytest.fixture
def folder(tmp_path, monkeypatch, small, capsys):
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path, small, capsys)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The small study with its first run trained and scored, made once."""
    path, before = tmp_path_factory.mktemp("trained"), Path.cwd()
    os.chdir(path)
    try:
        Path("config.yaml").write_text(yaml.safe_dump(small_study()))
        study = parse_study(small_study())
        run = study.runs()[0]
        assert main(["prepare", *CONFIG, "--dataset", "cues", "--out", data_folder(study, "cues")]) == 0
        assert main(["train", *CONFIG, "--run", run.folder, "--state", str(places.state(run))]) == 0
        assert main(["evaluate", *CONFIG, "--run", run.folder]) == 0
    finally:
        os.chdir(before)
    return path


@pytest.fixture
def half(folder, trained):
    """One of the two runs is done."""
    shutil.copytree(trained, folder.path, dirs_exist_ok=True)
    return folder


def interrupt(folder, monkeypatch, run) -> None:
    """Train a run and press Ctrl-C after its first epoch."""

    def epoch(self, row):
        show(self, row)
        raise KeyboardInterrupt

    show = Progress.epoch
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "epoch", epoch)
        assert folder.train(run) == 130


# --- the states of a study --------------------------------------------------------------------------------------


def test_nothing_is_done(folder):
    text = folder.status()
    assert "small: Does it run?" in text
    assert "0 of 2 runs trained, 0 % of the training" in text
    assert "2 waiting, 0 failed" in text
    assert "Time left: unknown" in text
    assert "No test accuracy yet" in text
    assert "Training now" not in text


def test_half_is_done(half):
    text = half.status()
    assert "1 of 2 runs trained, 50 % of the training" in text
    assert "1 done, 1 waiting, 0 failed" in text
    assert "Then: evaluation of 1, diagnosis of 0, explanation of 0; no report yet" in text
    scores = json.loads(Path(half.tiny.folder, "metrics.json").read_text())
    row = next(line for line in text.splitlines() if line.split()[:1] == ["tiny"])
    assert row.split() == ["tiny", f"{100 * scores['top1']:.2f}", "1/1"]  # one seed has no spread
    assert next(line for line in text.splitlines() if line.split()[:1] == ["looking"]).split()[1] == "–"
    assert "1 run at a time; speed from other models, roughly scaled by size" in text


def test_the_time_left_is_epochs_times_images_by_measured_speed(half, small):
    path = Path(half.tiny.folder, "run.json")
    made = json.loads(path.read_text())
    path.write_text(json.dumps(made | {"images_per_s": 4.0}))
    small["experiments"]["first"]["grid"] |= {"models": ["tiny"], "seeds": 3}
    half.write(small)
    # two runs of 2 epochs of 192 images
    assert (
        f"Time left: about {duration(2 * 2 * 192 / 4)} of training, 1 run at a time; speed from runs of the same kind"
        in half.status()
    )
    small["recipes"]["brief"]["stop"] = {"patience": 3}
    half.write(small)
    assert "unknown" in half.status()  # another recipe: nothing of it was measured
    with State(places.state(half.tiny), "x").owned(), State(places.state(half.looking), "y").owned():
        Path(half.tiny.folder).mkdir(parents=True)
        history = Path(half.tiny.folder, "history.csv")
        history.write_text("epoch,train_loss,seconds,images_per_s,val_accuracy\n1,2.0,960.0,0.2,0.25\n")
        os.utime(history, (time.time() - 600,) * 2)
        text = half.status()
    # at 0.2 images a second: an epoch of 16 min of which 10 are behind it, and two runs of two epochs; two at a time
    assert "Time left: at most 35 min of training (recipes may stop early), 2 runs at a time" in text
    assert re.search(r"cues/tiny/brief/seed0 +2 of 2 +0 +25\.0 % +– +6 min", text)


def test_a_run_of_another_recipe_is_as_fast_as_its_model(half, small):
    small["recipes"]["other"] = copy.deepcopy(small["recipes"]["brief"]) | {"label_smoothing": 0.1}
    small["experiments"]["first"]["grid"] |= {"models": ["tiny", "looking"], "recipes": ["brief", "other"]}
    half.write(small)
    expected = "speed from the same model and image size (1), other models, roughly scaled by size (2)"
    assert expected in half.status()


def test_seeds_are_a_mean_with_sd(half, small):
    small["experiments"]["first"]["grid"]["seeds"] = 3
    half.write(small)
    (first, second, _) = (run for run in half.study.runs() if run.model == "tiny")
    half.train(second)
    assert half.step("evaluate", second) == 0
    values = [json.loads(Path(run.folder, "metrics.json").read_text())["top1"] for run in (first, second)]
    mean, sd = sum(values) / 2, abs(values[0] - values[1]) / 2**0.5
    assert re.search(rf"tiny +{100 * mean:.2f} ± {100 * sd:.2f} +2/3", half.status())


def test_scores_of_other_weights_do_not_count(half):
    path = Path(half.tiny.folder, "run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "0" * 64}))
    assert "No test accuracy yet" in half.status()


def test_a_run_that_another_process_trains(half, monkeypatch):
    interrupt(half, monkeypatch, half.looking)
    lock = places.lock(half.looking)
    assert "1 done, 1 interrupted" in half.status()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        text = half.status()
        process.stdin.close()
    assert "1 done, 1 training now, 0 waiting, 0 failed" in text
    row = next(line for line in text.splitlines() if line.strip().startswith("cues/looking/brief/seed0"))
    history = Path(half.looking.folder, "history.csv").read_text().splitlines()
    values = dict(zip(history[0].split(","), history[1].split(","), strict=True))
    assert "2 of 2" in row
    assert f"{float(values['images_per_s']):,.0f}" in row
    assert f"{100 * float(values['val_accuracy']):.1f} %" in row
    assert f"{float(values['stage3.gate']):.3f}" in row
    assert "75 % of the training" in text
    assert "1 interrupted" in half.status()  # as soon as the process has ended


def test_the_lock_is_the_one_that_training_holds(folder):
    with State(places.state(folder.tiny), "any").owned():
        assert "1 training now, 1 waiting" in folder.status()
    rule = (ROOT / "workflow/rules/train.smk").read_text()
    words = {name: getattr(folder.tiny, name) for name in ("dataset", "model", "recipe", "key", "seed")}
    pattern = re.search(r"--state (\S+)", rule)[1].replace("wildcards.", "")
    assert pattern.format(**words) == str(places.state(folder.tiny))


@pytest.mark.parametrize(("age", "expected"), [(60, "training now"), (3600, "interrupted")])
def test_on_another_machine_signs_of_life_count(folder, monkeypatch, age, expected):
    folder.prepare()
    interrupt(folder, monkeypatch, folder.looking)
    places.lock(folder.looking).write_text("another-machine")
    for path in (*Path("state").rglob("seed0.*"), *Path("results").rglob("*.*")):
        os.utime(path, (time.time() - age,) * 2)
    assert f"1 {expected}" in folder.status()


def test_an_interrupted_run_says_where_it_goes_on(folder, monkeypatch):
    folder.prepare()
    interrupt(folder, monkeypatch, folder.looking)
    assert places.of_run(folder.looking, "train.log").read_text().endswith("cnntention train: interrupted.\n")
    sentence = "cues/looking/brief/seed0: will go on after epoch 1 of 2"
    text = folder.status()
    assert sentence in text
    assert "25 % of the training" in text
    places.of_run(folder.looking, "history.csv").unlink()  # as Snakemake does
    text = folder.status()
    assert "cues/looking/brief/seed0: will go on after its last epoch" in text
    assert "0 failed" in text
    places.state(folder.looking).unlink()
    text = folder.status()
    assert "cues/looking/brief/seed0: no training state is kept, will start anew" in text
    assert "0 % of the training" in text


def test_a_failed_run_names_its_error_and_log(folder, small):
    small["recipes"]["brief"]["optimizer"]["lr"] = 1e9
    folder.write(small)
    folder.prepare()
    assert folder.train(folder.tiny) == 1
    text = folder.status()
    assert "1 waiting, 1 failed" in text
    assert "cues/tiny/brief/seed0 (train)\n    cnntention train: cues/tiny/brief/seed0: the training loss is" in text
    assert f"See {folder.tiny.folder}/train.log" in text


def test_a_traceback_is_a_failure_and_a_run_that_trains_again_is_none(folder):
    log = places.of_run(folder.tiny, "train.log")
    log.parent.mkdir(parents=True)
    try:
        raise ZeroDivisionError("first line\nsecond line")
    except ZeroDivisionError:
        import traceback

        log.write_text(f"\x1b[1mcues/tiny\x1b[0m: epoch 1/2\r\n\x1b[31m{traceback.format_exc()}\x1b[0m")
    assert "ZeroDivisionError: first line\n    See results/" in folder.status()
    with State(places.state(folder.tiny), "any").owned():
        assert "1 training now, 1 waiting, 0 failed" in folder.status()


@pytest.mark.parametrize("missing", ["metrics.json", "attention.json", "explanations.json"])
def test_a_run_whose_examination_failed(half, missing):
    """The rules' own names of logs, so that a log that moves is missed here."""
    step, files = "examine", ("metrics.json", "attention.json", "explanations.json")
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    pattern = re.search(rf'"(logs/{step}/\S+\.log)"', rules)[1]
    words = {name: getattr(half.tiny, name) for name in ("dataset", "model", "recipe", "key", "seed")}
    log = Path(pattern.format(**words))
    log.parent.mkdir(parents=True)
    log.write_text(f"cnntention {step}: the sky fell.\n")
    for name in files[1:]:
        Path(half.tiny.folder, name).write_text("{}")
    assert "Failed" not in half.status()  # all is there: the log is an old one
    Path(half.tiny.folder, missing).unlink()
    text = half.status()
    assert f"cues/tiny/brief/seed0 ({step})\n    cnntention {step}: the sky fell.\n    See {log}" in text
    assert "1 done" in text


@pytest.mark.parametrize(
    ("step", "made"),
    [
        ("prepare", "data/cues/{key}/card.json"),
        ("profile", "results/profiles/cues/{key}.json"),
        ("summarise", "results/small/tables/card.json"),
        ("judge", "results/small/claims/claims.json"),
        ("report", "results/small/report/card.json"),
    ],
)
def test_a_step_of_a_dataset_or_of_the_study_that_failed(folder, step, made):
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    key = folder.study.profile_key("cues") if step == "profile" else folder.study.data_key("cues")
    pattern = re.search(rf'"(logs/{step}/\S+\.log)"', rules)[1]
    log = Path(pattern.format(dataset="cues", key=key, study="small"))
    log.parent.mkdir(parents=True)
    log.write_text(f"cnntention {step}: the sky fell.\n")
    assert f"({step})\n    cnntention {step}: the sky fell.\n    See {log}" in folder.status()
    path = Path(made.format(key=key))
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert "Failed" not in folder.status()


def test_a_fetch_that_failed(folder, small):
    archive = {"urls": ["http://127.0.0.1:9/images.npz"], "sha256": "0" * 64}
    small["datasets"]["cues"] = {"source": {"format": "npz", "archive": archive}, "validation_images": 5}
    folder.write(small)
    log = Path("logs/fetch/cues/00000000-images.npz.log")
    log.parent.mkdir(parents=True)
    log.write_text("cnntention fetch: no place has it.\n")
    text = folder.status()
    assert "cues (fetch)\n    cnntention fetch: no place has it." in text
    assert "2 waiting" in text


def test_all_is_done(half):
    half.train(half.looking)
    assert half.step("evaluate", half.looking) == 0
    text = half.status()
    assert "2 of 2 runs trained, 100 % of the training" in text
    assert "Time left" not in text
    assert len(re.findall(r"\d\d\.\d\d +1/1", text)) == 2


# --- bad input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("broken", ["{", "[1]", '{"images_per_s": 1e', ""])
def test_a_broken_run_is_named_and_the_rest_is_shown(half, broken):
    Path(half.tiny.folder, "run.json").write_text(broken)
    text = half.status()
    assert "1 waiting, 1 failed" in text
    assert "cues/tiny/brief/seed0 (train)\n    run.json " in text
    assert f"See {half.tiny.folder}/run.json" in text


@pytest.mark.parametrize(
    "odd", [{}, {"images_per_s": None, "provenance": None}, {"images_per_s": "fast"}, {"images_per_s": math.nan}]
)
def test_a_run_without_a_speed_is_done_all_the_same(half, odd):
    Path(half.tiny.folder, "run.json").write_text(json.dumps(odd))
    assert "1 done, 1 waiting, 0 failed" in half.status()


@pytest.mark.parametrize(
    "text", ["", "epoch\n1,2,3", "epoch,seconds,images_per_s,train_loss,a.gate\n1,x,nan,2,y\n", "\0"]
)
def test_a_broken_history_is_none(half, text):
    with State(places.state(half.looking), "any").owned():
        Path(half.looking.folder).mkdir(parents=True)
        Path(half.looking.folder, "history.csv").write_text(text)
        assert re.search(r"cues/looking/brief/seed0 +\d of 2 +– +– +–", half.status())


def test_a_broken_card_is_none(half):
    Path(data_folder(half.study, "cues"), "card.json").write_text('{"images": {"train": "many"}}')
    assert "1 of 2 runs trained, 50 % of the training" in half.status()


def test_broken_scores_are_named(half):
    Path(half.tiny.folder, "metrics.json").write_text("{")
    assert "cues/tiny/brief/seed0 (examine)\n    metrics.json cannot be read" in half.status()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--config", "none.yaml"], "none.yaml: cannot be read (No such file or directory)."),
        (["--config", "bad.yaml"], "recipes.brief: unknown key 'epocs'; did you mean 'epochs'?"),
        (["--watch"], "--watch redraws a terminal, and the output is none"),
        (["--watch", "--estimate"], "--watch and --estimate do not go together"),
    ],
)
def test_a_mistake_is_a_sentence(folder, words, message):
    Path("bad.yaml").write_text("recipes: {brief: {epocs: 3}}")
    error = folder.status(*words, code=1)
    assert error.startswith("cnntention status: ")
    assert message in error
    assert error.count("\n") == 1


def test_without_a_configuration(folder):
    Path("config.yaml").unlink()
    assert "config.yaml: cannot be read" in folder.status(code=1)


@pytest.mark.parametrize("word", ["--config", "--configfile"])
def test_an_overlay_is_laid_over_the_configuration(folder, word):
    overlay = {"study": {"name": "mine"}, "experiments": {"first": {"grid": {"seeds": 5}}}}
    Path("mine.yaml").write_text(yaml.safe_dump(overlay))
    for files in (["mine.yaml"], ["config.yaml", "mine.yaml"]):
        text = folder.status(word, *files)
        assert "mine: Does it run?" in text
        assert "0 of 10 runs" in text


# --- the estimate -----------------------------------------------------------------------------------------------


def test_the_estimate_counts_a_shared_run_once(folder, small):
    small["study"]["experiments"] = ["first", "second"]
    small["experiments"]["second"] = copy.deepcopy(small["experiments"]["first"])
    small["experiments"]["second"]["grid"] |= {"models": "tiny", "seeds": 2}
    folder.write(small)
    text = folder.status("--estimate")
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if re.search(r" \d+\.\d+ *$", line)}
    assert rows["first"][:2] == ["2", "768"]  # two runs of 2 epochs of 192 images
    assert rows["second"][:2] == ["2", "768"]
    assert re.search(r"all, each run once +3 +1,152 +\d", text)
    assert "1 thread; speed from steps timed now" in text
    assert "core-hours" in text
    assert not Path("state").exists()
    assert not Path("results").exists()


def test_what_was_measured_is_not_timed(half, monkeypatch, small):
    from cnntention.status import timing

    path = Path(half.tiny.folder, "run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"images_per_s": 4.0}))
    timed = []
    monkeypatch.setattr(timing, "images_per_s", lambda study, run, *_: timed.append(run.model) or 8.0)
    text = half.status("--estimate")
    assert timed == ["looking"]
    assert re.search(rf"all, each run once +2 +768 +{2 * 192 / 4 / 3600 + 2 * 192 / 8 / 3600:.3f}", text)
    made = json.loads(path.read_text())
    path.write_text(json.dumps(made | {"provenance": made["provenance"] | {"device": "cuda"}}))
    timed.clear()
    text = half.status("--estimate")  # seconds of this CPU and of that GPU do not add up
    assert timed == []
    assert "GPU-hours" in text


def test_the_images_of_known_datasets_are_known_before_they_are_prepared(folder, monkeypatch):
    from cnntention.status import timing

    monkeypatch.setattr(timing, "images_per_s", lambda *_: 1000.0)
    shutil.copy(ROOT / "config.yaml", "config.yaml")
    text = folder.status("--estimate")
    epochs = load([ROOT / "config.yaml"]).recipes["equal"].epochs
    images = epochs * 4 * 10 * (45_000 + 55_000)  # models, seeds; CIFAR-10's and MNIST's less 5,000 for validation
    assert re.search(rf"main +80 +{images:,} +{images / 3.6e6:,.0f}\b", text)
    assert "(at most: recipes may stop early)" in text
    assert "all, each run once   732" in text


def test_an_estimate_that_nobody_asked_for_is_short(folder, monkeypatch):
    from cnntention.status import command

    monkeypatch.setattr(command, "UNASKED", 0.0)
    assert main(["status"]) == 0
    expected = "speed from steps timed now (1), other models, roughly scaled by size (1)"
    assert expected in folder.capsys.readouterr().out


def test_an_estimate_comes_by_itself_only_before_the_start(folder, monkeypatch, trained):
    def printed() -> str:
        folder.capsys.readouterr()
        assert main(["status"]) == 0
        return folder.capsys.readouterr().out

    assert "core-hours" in printed()
    with State(places.state(folder.tiny), "any").owned():
        assert "hours" not in printed()
    assert "core-hours" in printed()
    log = places.of_run(folder.tiny, "train.log")
    log.parent.mkdir(parents=True)
    log.write_text("cnntention train: it failed.\n")
    assert "hours" not in printed()  # the workflow may be between two runs
    shutil.copytree(trained, folder.path, dirs_exist_ok=True)
    assert "hours" not in printed()


# --- terminals --------------------------------------------------------------------------------------------------

LONG = "cuematch-relation-colour", "self-attention-stage12", "published-resnet20-mnist"


@pytest.fixture
def long_names(folder, small):
    """A study of names as long as ours, in which every part of the picture shows."""
    for kind, old, new in zip(("datasets", "models", "recipes"), ("cues", "tiny", "brief"), LONG, strict=True):
        small[kind] |= {new: small[kind][old], f"{new[:-1]}x": small[kind][old]}
    grid = {kind: [name, f"{name[:-1]}x"] for kind, name in zip(("datasets", "models", "recipes"), LONG, strict=True)}
    small["experiments"]["first"] |= {"baseline": LONG[1], "grid": {**grid, "seeds": 2}}
    folder.write(small)
    fetched, failed, done = folder.study.runs()[:3]
    Path(fetched.folder).mkdir(parents=True)
    gates = ",".join(f"att{i}.gate" for i in range(1, 4))
    text = f"epoch,train_loss,seconds,images_per_s,val_accuracy,{gates}\n1,2.0,96.0,12345.6,0.25,0.1234,-0.5678,1.0\n"
    Path(fetched.folder, "history.csv").write_text(text)
    places.lock(fetched).parent.mkdir(parents=True)
    places.lock(fetched).write_text("another-machine")
    Path(failed.folder).mkdir(parents=True)
    Path(failed.folder, "train.log").write_text("cnntention train: the training loss is nan at epoch 3, step 50.\n")
    Path(done.folder).mkdir(parents=True)
    Path(done.folder, "run.json").write_text(json.dumps({"weights_sha256": "a", "images_per_s": 100.0}))
    from cnntention.plan import evaluation_key

    scores = {"key": evaluation_key(folder.study, done, "a"), "top1": 0.91234}
    Path(done.folder, "metrics.json").write_text(json.dumps(scores))
    return folder


def test_a_pipe_gets_whole_names_on_whole_lines(long_names, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    text = long_names.status("--estimate")  # also on stderr, where a terminal has a spinner
    run, failed, done = long_names.study.runs()[:3]
    assert re.search(rf"{run.name} +2 of 2 +12,346 +25\.0 % +0\.123 -0\.568 1\.000 +\d", text)
    assert f"{failed.name} (train)\n" in text
    assert re.search(rf"{done.dataset} +{done.model} +{done.recipe} +91\.23 +1/2", text)


class Terminal:
    """`cnntention status` on a terminal of so many columns."""

    def __init__(self, columns: int, *words: str):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        env |= {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "cnntention", "status", *words]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env)
        os.close(slave)
        self.text, self.decoder = "", codecs.getincrementaldecoder("utf-8")()

    def read(self, until: str | None = None, seconds: float = 20) -> str:
        """All that it writes until it ends, or until these words."""
        end = time.time() + seconds
        while time.time() < end and not (until and until in ANSI.sub("", self.text)):
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.text += self.decoder.decode(os.read(self.master, 65536))
                except OSError:  # it ended
                    break
        return ANSI.sub("", self.text).replace("\r", "")

    def close(self) -> int:
        code = self.process.wait(10)
        os.close(self.master)
        return code


@pytest.mark.parametrize("columns", [80, 120])
def test_a_terminal_gets_lines_that_fit(long_names, columns):
    terminal = Terminal(columns, "--no-estimate")
    text = terminal.read()
    assert terminal.close() == 0
    assert "\x1b[" in terminal.text
    run, failed, _ = long_names.study.runs()[:3]
    paths = (f"    See {failed.folder}",)  # not broken: it is there to be copied
    assert [line for line in text.splitlines() if len(line) > columns and not line.startswith(paths)] == []
    stacked = f"{run.dataset}/\n {run.model}/\n {run.recipe}"
    assert re.sub(r" {2,}.*", "", text).count(f"{stacked}/seed0\n") == 1
    if columns == 80:
        assert stacked in re.sub(r" {2,}.*", "", text.split("Test accuracy")[1])
    assert "…" not in text
    assert f"See {failed.folder}/train.log" in text


def test_watching_ends_with_ctrl_c(half, trained):
    terminal = Terminal(100, "--watch")
    assert "1 of 2 runs trained" in terminal.read(until="1 of 2 runs trained")
    shutil.copytree(half.tiny.folder, half.looking.folder)
    assert "2 of 2 runs trained" in terminal.read(until="2 of 2 runs trained")
    terminal.process.send_signal(signal.SIGINT)
    text = terminal.read()
    assert terminal.close() == 0
    assert "Traceback" not in text


def test_watching_ends_when_all_is_done(half):
    shutil.copytree(half.tiny.folder, half.looking.folder)
    for run in half.study.runs():
        for name in ("attention.json", "explanations.json"):
            Path(run.folder, name).write_text("{}")
    terminal = Terminal(100, "--watch")
    terminal.read(until="no report yet")
    report = places.report(half.study)
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    assert "the report is made" in terminal.read()
    assert terminal.close() == 0


def test_it_starts_without_torch_or_pandas(half):
    code = "import sys; from cnntention.cli import main; main(['status']); print(sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert "1 of 2 runs trained" in done.stdout
    loaded = done.stdout.rsplit("[", 1)[1]
    assert not [name for name in ("torch", "pandas", "numpy") if f"'{name}'" in loaded]
