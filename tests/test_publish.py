"""Publishing: the README's numbers are the tables' numbers."""

import pandas as pd
import pytest

from cnntention import files
from cnntention.errors import UserError
from cnntention.report import sources
from cnntention.report.publish import END, START, publish

CELL = {"experiment": "first", "dataset": "cues", "recipe": "brief"}
CELL |= {"key": "0", "min": 0, "max": 1, "top2": 1, "nll": 1, "ece": 0}
MADE = {"hardware": "a CPU, 1 thread", "commit": "123456789012", "version": 7}
CLAIM = {"sentence": "Looking | helps.", "source": "", "published": "", "experiment": "first", "expect": "higher"}


@pytest.fixture
def results(tmp_path, small):
    """A study of two models as its steps leave it: tables, verdicts, a report with one figure."""
    folder = tmp_path / "results/small"
    asked = {"sentence": "Looking | helps.", "experiment": "first", "model": "looking", "against": "tiny"}
    small["claims"] = {"C1": asked}
    cells = [
        CELL | {"model": "tiny", "n": 2, "mean": 0.5, "sd": 0.0123, "difference": 0.0},
        CELL | {"model": "looking", "n": 1, "mean": 0.61234, "sd": None, "difference": 0.11234},
    ]
    run = dict.fromkeys(sources.NEEDED["runs"].split()) | {"dataset": "cues", "recipe": "brief", "leaks": False} | MADE
    attention = {"tiny": {"modules": 0}, "looking": {"modules": 1, "attention_alive": False, "attention_used": False}}
    runs = [
        run | {"model": cell["model"], "seed": seed, "ended": ended} | attention[cell["model"]]
        for cell, ended in zip(cells, ("diverged", "all epochs"), strict=True)
        for seed in range(cell["n"])
    ]
    where = dict(zip(("dataset", "model", "recipe"), ("cues", "looking", "brief"), strict=True))
    compared = dict.fromkeys(sources.COMPARISONS.split()) | {"experiment": "first", "baseline": "tiny"} | where
    compared |= {"n": 1, "n_baseline": 2, "difference": 0.11234, "equivalent": False}
    compared |= {"note": "not enough seeds (n = 1, needs 6)"}
    data = {"dataset": "cues", "train": 20000, "test": 96, "val": 5, "source": "generated", "source_sha256": None}
    data |= {"format": "cuematch", "image": "3x32x32", "classes": 10, "key": "0", "licence": "none"}
    frames = {"tables/experiments": cells, "tables/accuracy": cells, "tables/runs": runs, "tables/datasets": [data]}
    module = dict.fromkeys(sources.NEEDED["attention"].split()) | {"module": "att3", "seed": 0, "state": "uniform"}
    frames["tables/attention"] = [module | where]
    for name, rows in (frames | {"claims/comparisons": [compared]}).items():
        files.write_csv(folder / f"{name}.csv", pd.DataFrame(rows))
    void = "the attention of looking is off in 1 of 1 runs"
    found = {"a": where, "b": where | {"model": "tiny"}}
    found |= {"n": [1, 2], "difference": 0.11234, "interval": None, "mde": None, "verdict": "void", "reason": void}
    numbers = ("equivalence_p", "superiority", "sign_flip_p", "p", "p_holm", "bca", "two_level")
    found |= dict.fromkeys(numbers) | {"means": [0.6, 0.5], "sds": [None, 0.01], "family": "", "tests": 1}
    claim = CLAIM | {"metric": "test_accuracy", "verdict": "void", "reason": void}
    claims = {"C1": claim | {"comparisons": [found]}}
    head = {"key": "0", "tables": "0", "statistics": {"alpha": 0.05}}
    files.write_json(folder / "claims/claims.json", head | {"claims": claims})
    files.write_json(folder / "tables/study.json", small)
    for part in ("report", "tables"):
        files.write_json(folder / part / "card.json", {"key": "0"})
    (folder / "tables/hits.safetensors").write_bytes(b"large")
    (folder / "report/figures").mkdir()
    (folder / "report/figures/cues.accuracy.svg").write_text("<svg/>")
    (tmp_path / "README.md").write_text(f"Before\n{START}\nold\n{END}\nAfter\n")
    return tmp_path


def test_numbers_and_where_they_come_from(results):
    publish("small", results / "results", results / "README.md")
    text = (results / "README.md").read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "old" not in text
    assert "Of 1 claim tested: 1 void. Attention is alive in 0 of 1 run with any." in text
    assert "looking +11.23 points, not" not in text, "nothing was tested: the table says what there is to say"
    why = "the attention of looking is off in 1 of 1 runs"
    effect = f"looking against tiny: +11.23 points, n\u00a0=\u00a01 and 2 ({why})"
    assert f"| C1: Looking \\| helps. | ∅ void | {effect} |" in text
    assert "| cues | tiny | brief | 2 | 50.00 ± 1.23 | – |  | diverged 2/2 |" in text
    dead = "not alive in 1/1 runs (uniform 1/1 modules), used in 0/1"
    assert f"| cues | looking | brief | 1 | 61.23 (one seed) | {dead} | +11.23 |  |" in text
    assert "a CPU, 1 thread. Code: commit 123456789012; training version 7. Data: cues" in text
    assert "cues: 20,000 training, 96 test images, generated" in text
    assert "](results/published/small/report/figures/cues.accuracy.svg)" in text
    assert (results / "results/published/small/report/figures/cues.accuracy.svg").exists()
    assert (results / "results/published/small/claims/claims.json").exists()
    publish("small", results / "results", results / "README.md")
    assert (results / "README.md").read_text() == text


def test_arrays_stay_behind(results):
    kept = results / "results/published/small/tables"
    kept.mkdir(parents=True)
    (kept / "explanations.safetensors").write_bytes(b"of an earlier version")
    publish("small", results / "results", results / "README.md")
    assert not list(kept.glob("*.safetensors"))
    assert (results / "results/small/tables/hits.safetensors").exists()


def test_without_markers_nothing_is_overwritten(results):
    (results / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"README\.md: has no lines"):
        publish("small", results / "results", results / "README.md")
    assert (results / "README.md").read_text() == "mine"
