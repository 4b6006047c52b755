"""Runs whose truth is known, from their training to the page: dead attention, one network twice, a gain of a point."""

import html
import re
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import parse_study
from cnntention.results import paths
from cnntention.results.records import Ablated, Diagnosis, Metrics
from cnntention.results.rows import read_table

SEEDS = 4
ACCURACIES = {"tiny": 0.900, "twin": 0.900, "shut": 0.910, "helped": 0.910}


def config() -> dict:
    """Four networks: tiny, itself under another name, attention that cannot act, and attention that can."""
    study = small_study()
    attention = {"kind": "self-attention", "residual": "gated"}
    study["models"] = {
        "tiny": {"depth": 8, "width": 4},
        "twin": {"depth": 8, "width": 4},
        "shut": {"depth": 8, "width": 4, "attention": {"stage3": attention | {"gate_init": 0, "gate_learned": False}}},
        "helped": {"depth": 8, "width": 4, "attention": {"stage3": attention | {"gate_init": 1}}},
    }
    study["experiments"]["first"]["grid"] |= {"models": list(study["models"]), "seeds": SEEDS}
    study["statistics"] = {"min_seeds": SEEDS}
    study["claims"] = {
        model: {"sentence": f"{model} is better.", "experiment": "first", "model": model, "against": "tiny"}
        for model in ("twin", "shut", "helped")
    }
    return study


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The study's results: all real but for test accuracies, 0.3 points of spread around the planted means, and use."""
    folder = tmp_path_factory.mktemp("planted")
    study, words = parse_study(config()), ["--config", "config.yaml"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        files.write_json("config.yaml", config())  # JSON is YAML
        assert main(["seal"]) == 0
        time.sleep(1)  # the first training has to end in a later second
        steps = [["prepare", "--dataset", "cues", "--out", paths.data_folder(study, "cues")]]
        for run in study.runs():
            steps.append(["train", "--run", run.folder, "--state", "state/a.pt"])
            steps.append(["examine", "--run", run.folder])
        steps.append(["profile", "--dataset", "cues", "--out", paths.profile_path(study, "cues")])
        for step in steps:
            assert main([step[0], *words, *step[1:]]) == 0
        for run in study.runs():
            path = f"{paths.examination_folder(study, run)}/metrics.json"
            spread = 0.003 * (run.seed - (SEEDS - 1) / 2) / 1.29099  # sd of 0, 1, 2, 3
            Metrics.read(path).model_copy(update={"top1": ACCURACIES[run.model] + spread}).write(path)
            if run.model == "helped":  # so short a training does not get to use its attention
                path = f"{paths.examination_folder(study, run)}/attention.json"
                lost = Ablated(accuracy=0.5, drop=0.4, drop_se=0.01)
                Diagnosis.read(path).model_copy(update={"without_all": lost}).write(path)
        out = {part: f"{paths.study_folder(study)}/{part}" for part in paths.STUDY_PARTS}
        assert main(["summarise", *words, "--out", out["tables"]]) == 0
        assert main(["judge", *words, "--tables", out["tables"], "--out", out["verdicts"]]) == 0
        told = ["--tables", out["tables"], "--verdicts", out["verdicts"], "--out", out["report"]]
        assert main(["report", *words, *told]) == 0
    return folder / "results/small"


def verdict(results: Path, claim: str) -> tuple[tuple[str, str], pd.Series]:
    """A claim's verdict and reason, and its one test."""
    claims, tests = (read_table(results / "verdicts", name).set_index("claim") for name in ("claims", "tests"))
    return tuple(claims.loc[claim, ["verdict", "reason"]]), tests.loc[claim]


def test_attention_that_cannot_act_voids_its_gain(results):
    found, test = verdict(results, "shut")
    assert found == ("void", "attention not used")
    assert test["failing"] == "shut 4/4"
    assert test["effect"] == pytest.approx(0.01)


def test_one_network_under_two_names_is_no_difference(results):
    found, test = verdict(results, "twin")
    assert found == ("undecided", "not significant")
    assert test["effect"] == 0
    # sd 0.3 points, four runs each, two claims that are not void: t(6) at 0.05 / 2 and noncentral t at 80 %
    assert test["mde"] == pytest.approx(0.0084, abs=2e-4)


def test_a_gain_of_a_point_is_supported(results):
    found, test = verdict(results, "helped")
    assert found == ("supported", "significant")
    # Welch's by hand: a point over a standard error of 0.003 / sqrt(2), 6 degrees of freedom
    half = 2.44691 * 0.003 / 2**0.5
    assert test[["low", "high"]].tolist() == pytest.approx([0.01 - half, 0.01 + half], abs=1e-7)


def test_the_page_says_so(results):
    page = html.unescape((results / "report/index.html").read_text())
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "1 ✓ supported 0 ≈ supported but negligible 0 ✗ refuted 1 ? undecided 1 ∅ void" in words
    assert "3 of 3 tested claims were declared before their first score (sealed 20" in words
    assert words.count("Declared before its first score: sealed 20") == 3
    mde = 100 * verdict(results, "twin")[1]["mde"]
    for comparison, end in {
        "helped − tiny +1.00 points": "✓ supported: the difference is significant",
        "twin − tiny +0.00 points": f"? undecided: not significant; detectable from {mde:.2f} points on",
        "shut − tiny +1.00 points": "∅ void: most runs do not use their attention (shut 4/4)",
    }.items():
        row = words[words.index(comparison) :]
        assert row[row.index(re.search("[✓≈✗?∅]", row)[0]) :].startswith(end)
