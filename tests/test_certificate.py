"""`cnntention new` and `test`: any module becomes a study that plans, and its page answers first."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tabled
import yaml

from cnntention.certificate import source
from cnntention.certificate.widths import wider
from cnntention.cli import main
from cnntention.config import Model
from cnntention.errors import UserError
from cnntention.models.attention import KINDS
from cnntention.models.registry import build, parameter_counts
from cnntention.plan import load
from cnntention.profiling.measure import count_macs
from cnntention.report.certificate import certificate, in_a_sentence
from cnntention.report.reading import read

MODULE = """
from torch import nn
from helping import halved


class Part(nn.Module):
    pass


class Squeeze({base}):
    def __init__(self, channels, ratio=4):
        super().__init__()
        self.gate = None
        self.inner = nn.Linear(channels, halved(channels))
        self.outer = nn.Linear(halved(channels), channels)

    def forward(self, x):
        return x * self.outer(self.inner(x.mean((2, 3))).relu()).sigmoid()[..., None, None]
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A file of a user's, in whose folder the command is called, and a file that it imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "helping.py").write_text("def halved(n):\n    return n // 2\n")
    path = tmp_path / "mine.py"
    path.write_text(MODULE.format(base="nn.Module"))
    kinds, folders = dict(KINDS), list(sys.path)
    yield path
    sys.path[:] = folders
    KINDS.clear()  # a user's process ends
    KINDS.update(kinds)
    for name in ("mine", "helping"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("module_name", "dataset", "experiments"),
    [
        ("mine.py:Squeeze", None, ["certificate"]),
        ("timm:eca", "mnist", ["certificate", "places"]),
        ("torchvision.ops.SqueezeExcitation", None, ["certificate"]),
        ("self-attention", "cifar10", ["certificate", "places"]),
    ],
)
def test_any_module_becomes_a_study(module, tmp_path, monkeypatch, module_name, dataset, experiments):
    words = ["--dataset", dataset] if dataset else []
    words += ["--option", "squeeze_channels=4"] if "torchvision" in module_name else []
    assert main(["new", "study", module_name, *words]) == 0
    monkeypatch.chdir("study")
    study = load(["config.yaml"])
    assert list(study.study.experiments) == experiments
    subject = study.study.certificate
    assert {f"{subject}-frozen", f"{subject}-constant", "resnet8"} <= set(study.models)
    assert study.adaptive
    # every control differs from the module in the control alone
    own = study.models[subject].model_dump()
    for control in ("frozen", "constant"):
        other = study.models[f"{subject}-{control}"].model_dump()
        assert {name for name in own if own[name] != other[name]} == {"attention"}
    assert {"constant", "places"} <= set(study.claims) <= {"helps", "capacity", "constant", "places"}


def test_a_users_file_is_copied_with_what_it_imports_and_planned(module, tmp_path, environment):
    assert main(["new", "study", "mine.py:Squeeze"]) == 0
    folder = tmp_path / "study"
    assert {"tested_module.py", "mine.py", "helping.py", "Snakefile", "config.yaml", "profiles", "seals"} == {
        path.name for path in folder.iterdir() if path.name != "__pycache__"
    }
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1"]
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(" train ") >= 18
    # again: the same bytes; a config.yaml that somebody else wrote stays
    before = (folder / "config.yaml").read_bytes()
    assert main(["new", "study", "mine.py:Squeeze"]) == 0
    assert (folder / "config.yaml").read_bytes() == before
    (folder / "config.yaml").write_text("mine: true\n")
    assert main(["new", "study", "mine.py:Squeeze"]) == 1
    assert yaml.safe_load((folder / "config.yaml").read_text()) == {"mine": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine.py", "has 2 nn.Modules: Part, Squeeze; name the attention module: mine.py:Squeeze"),
        ("mine.py:Squeez", "has no class 'Squeez'; it has Part, Squeeze"),
        ("absent.py", "there is no such file"),
        ("broken.py", "is not Python"),
        ("helping.py", "has no nn.Module"),
        ("torch.nn.Nothing", "torch.nn has no class 'Nothing'"),
        ("nowhere.at.All", "cannot be imported"),
        ("../mine", "is no file; give the path of a Python file"),
        ("round.py", "has no nn.Module; name the attention module: round.py:Class"),
        ("eca", "is no file, no kind of this package"),
    ],
)
def test_what_is_no_module_is_told_in_a_sentence(module, tmp_path, text, said):
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "round.py").write_text("class A(B): pass\nclass B(A): pass\nclass C(C): pass\n")
    with pytest.raises(UserError) as error:
        source.parse(text, [])
    assert said in str(error.value)


@pytest.mark.parametrize("module_name", ["timm:ecaa", "timm:halo", "self-atention"])
def test_a_known_kind_that_cannot_be_is_told_in_a_sentence(module, capsys, module_name):
    assert main(["new", "study", module_name]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


BAD = (
    ["--option", "ratio"],
    ["--dataset", "mnst"],
    ["--budget", "0"],
    ["--option", "rati=4"],
    ["--dataset", "bad.npz"],
)


@pytest.mark.parametrize("words", BAD)
def test_bad_options_are_told_in_a_sentence(module, capsys, words):
    Path("bad.npz").write_text("no arrays")
    try:
        code = main(["new", "study", "mine.py:Squeeze", *words])
    except SystemExit as ended:  # the parser's
        code = ended.code
    assert code == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_wider_networks_cost_as_much():
    """No other width is nearer, counted anew."""
    config = {"depth": 8, "attention": {"stage2": {"kind": "self-attention"}, "stage3": {"kind": "self-attention"}}}
    shape = (3, 32, 32)
    counts = {
        "macs": lambda model: count_macs(build(model, 3, 10), shape),
        "parameters": lambda model: parameter_counts(build(model, 3, 10))["total"],
    }
    widths = wider(8, 16, config, shape)
    found = widths.nearest
    assert set(found) == set(counts)
    assert not widths.fewer
    assert widths.own == parameter_counts(build(Model.model_validate(config), 3, 10))["attention"]
    for name, count in counts.items():
        goal = count(Model.model_validate(config))
        off = {width: abs(count(Model(depth=8, width=width)) - goal) for width in range(12, 40)}
        assert found[name] == min(off, key=off.__getitem__)


def test_the_page_answers_in_a_sentence(tmp_path):
    """Of a made study, as if it certified a model of it."""
    tabled.write(tmp_path)
    results = read(tmp_path / "tables", tmp_path / "verdicts")
    info = results.study.study.model_copy(update={"certificate": "looking"})
    results = replace(results, study=results.study.model_copy(update={"study": info}))
    # one seed of two or three is not used: tabled.rows
    assert in_a_sentence(results) == "looking – alive and used: yes."
    rows = {question: measured for question, _, measured in certificate(results).rows}
    assert rows["Alive and used?"].startswith("accuracy falls without it in 4 of 6 runs")
    assert "MACs × 1.00" in rows["What does it cost?"]
    # a module that does nothing
    void = {"verdict": "void", "reason": "attention not used", "claim": "places"}
    frames = {name: results.frames[name].head(1).assign(**void) for name in ("claims", "tests")}
    told = in_a_sentence(replace(results, frames=results.frames | frames))
    assert told == "looking – alive and used: yes; relates distant places: it is not used."
