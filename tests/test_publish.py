"""Publishing: the README's numbers are the tables' numbers."""

import pandas as pd
import pytest

from cnntention import files
from cnntention.errors import UserError
from cnntention.report.publish import END, START, publish


@pytest.fixture
def results(tmp_path, small):
    for part in ("report", "tables"):
        files.write_json(tmp_path / f"results/small/{part}/card.json", {"key": "0"})
    files.write_json(tmp_path / "results/small/tables/study.json", small)
    cells = [
        {"model": "tiny", "n": 2, "mean": 0.5, "sd": 0.0123, "difference": 0.0},
        {"model": "looking", "n": 1, "mean": 0.61234, "sd": None, "difference": 0.11234},
    ]
    shared = {"experiment": "first", "dataset": "cues", "hardware": "a CPU, 1 thread", "commit": "123456789012"}
    files.write_csv(tmp_path / "results/small/tables/experiments.csv", pd.DataFrame([shared | cell for cell in cells]))
    data = {"dataset": "cues", "train": 20000, "test": 96, "source": "generated", "source_sha256": None}
    files.write_csv(tmp_path / "results/small/tables/datasets.csv", pd.DataFrame([data]))
    (tmp_path / "results/small/report/figures").mkdir()
    (tmp_path / "results/small/report/figures/cues.accuracy.svg").write_text("<svg/>")
    (tmp_path / "README.md").write_text(f"Before\n{START}\nold\n{END}\nAfter\n")
    return tmp_path


def test_numbers_and_where_they_come_from(results):
    publish("small", results / "results", results / "README.md")
    text = (results / "README.md").read_text()
    assert text.startswith("Before\n")
    assert text.endswith("After\n")
    assert "old" not in text
    assert "| cues | tiny | 2 | 50.00 ± 1.23 |  |" in text
    assert "| cues | looking | 1 | 61.23 (one seed) | +11.23 |" in text
    assert "a CPU, 1 thread. Commit 123456789012. Data: cues: 20,000 training, 96 test images, generated" in text
    assert "](results/published/small/report/figures/cues.accuracy.svg)" in text
    assert (results / "results/published/small/report/figures/cues.accuracy.svg").exists()
    publish("small", results / "results", results / "README.md")
    assert (results / "README.md").read_text() == text


def test_without_markers_nothing_is_overwritten(results):
    (results / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"README\.md: has no lines"):
        publish("small", results / "results", results / "README.md")
    assert (results / "README.md").read_text() == "mine"
