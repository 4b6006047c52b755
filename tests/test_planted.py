"""Runs whose truth is known, from their training to the page: dead attention, one network twice, a gain of a point."""

import html
import re
from pathlib import Path

import pytest
from conftest import small_study

from cnntention import files, plan
from cnntention.cli import main
from cnntention.config import parse_study

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
    """The study's results: all real but for the test accuracies, 0.3 points of spread around the planted means."""
    folder = tmp_path_factory.mktemp("planted")
    study, words = parse_study(config()), ["--config", "config.yaml"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        files.write_json("config.yaml", config())  # JSON is YAML
        steps = [["prepare", "--dataset", "cues", "--out", plan.data_folder(study, "cues")]]
        for run in study.runs():
            steps.append(["train", "--run", run.folder, "--state", "state/a.pt"])
            steps += [[step, "--run", run.folder] for step in ("evaluate", "diagnose", "explain")]
        steps.append(["profile", "--dataset", "cues", "--out", plan.profiles(study)["cues"]])
        for step in steps:
            assert main([step[0], *words, *step[1:]]) == 0
        for run in study.runs():
            path = Path(run.folder, "metrics.json")
            spread = 0.003 * (run.seed - (SEEDS - 1) / 2) / 1.29099  # sd of 0, 1, 2, 3
            files.write_json(path, files.read_json(path) | {"top1": ACCURACIES[run.model] + spread})
        out = {part: f"results/small/{part}" for part in ("tables", "claims", "report")}
        assert main(["summarise", *words, "--out", out["tables"]]) == 0
        assert main(["judge", *words, "--tables", out["tables"], "--out", out["claims"]]) == 0
        told = ["--tables", out["tables"], "--claims", out["claims"], "--out", out["report"]]
        assert main(["report", *words, *told]) == 0
    return folder / "results/small"


def claims_of(results: Path) -> dict:
    return files.read_json(results / "claims/claims.json")["claims"]


def test_attention_that_cannot_act_voids_its_gain(results):
    found = claims_of(results)["shut"]
    assert (found["verdict"], found["reason"]) == ("void", f"the attention of shut is not alive in {SEEDS} of 4 runs")
    assert found["comparisons"][0]["difference"] == pytest.approx(0.01)


def test_one_network_under_two_names_is_no_difference(results):
    found = claims_of(results)["twin"]
    (one,) = found["comparisons"]
    assert (found["verdict"], found["reason"]) == ("inconclusive", "no significant difference")
    assert one["difference"] == 0
    # sd 0.3 points, four runs each, three tests: t(6) at 0.05 / 3 and noncentral t at 80 % by their tables
    assert one["mde"] == pytest.approx(0.0090, abs=2e-4)


def test_a_gain_of_a_point_is_supported(results):
    found = claims_of(results)["helped"]
    (one,) = found["comparisons"]
    assert found["verdict"] == "supported"
    # Welch's by hand: a point over a standard error of 0.003 / sqrt(2), 6 degrees of freedom
    half = 2.44691 * 0.003 / 2**0.5
    assert one["interval"] == pytest.approx((0.01 - half, 0.01 + half), abs=1e-7)


def test_the_page_says_so(results):
    page = html.unescape((results / "report/index.html").read_text())
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "Of 3 claims tested: 1 supported, 1 inconclusive, 1 void." in words
    assert "Attention is alive in 4 of 8 runs with any." in words
    for name, end in {"helped": "✓ supported", "twin": "? inconclusive", "shut": "∅ void"}.items():
        row = words[words.index(f"{name} {name} is better.") :]
        verdict = re.search(r"(✓|✕|\?|∅) (supported|refuted|inconclusive|void)", row)[0]
        assert verdict == end
    mde = claims_of(results)["twin"]["comparisons"][0]["mde"]
    assert f"no significant difference; MDE {100 * mde:.2f} points" in words
    assert "not alive in 4/4 runs (off 4/4 modules)" in words
