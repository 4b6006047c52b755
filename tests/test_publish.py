"""Publishing: small results are copied, and the README's results are theirs."""

import pytest
import tabled

from cnntention import files
from cnntention.errors import UserError
from cnntention.report.page import write_report
from cnntention.report.publish import END, START, publish


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "made/0123456789"
    tabled.write(folder)
    write_report(folder / "tables", folder / "verdicts", folder / "report")
    return folder


@pytest.fixture
def readme(tmp_path):
    (tmp_path / "README.md").write_text(f"Before | *\n{START}\nstale words\n{END}\nAfter\n")
    return tmp_path / "README.md"


def test_the_readme_changes_between_the_markers_alone(source, readme):
    published = readme.parent / "results/published"
    publish(source, published, readme)
    text = readme.read_text()
    assert text.startswith(f"Before | *\n{START}\n")
    assert text.endswith(f"{END}\nAfter\n")
    assert "stale" not in text
    assert "Supported: Looking" in text
    assert "](results/published/made/report/report.md)" in text
    assert "](results/published/made/report/figures/claims.svg)" in text
    assert text.count("![") == text.count("| --- |") == 1
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert 2 < len(rows) <= 10
    assert (
        "| looking | 3 | 3 of 3 [10, 90] % | 72.00–74.00 | +11.00 points [+8.00, +14.00] ↑ | 2 of 3 runs |"
        in text.replace("\\", "")
    )
    publish(source, published, readme)
    assert readme.read_text() == text


def test_the_zoo_is_the_second_result(source, readme, tmp_path):
    folder = tmp_path / "results/zoo/0123456789"
    tabled.write(folder, zoo=True)
    write_report(folder / "tables", folder / "verdicts", folder / "report")
    published = readme.parent / "results/published"
    publish(folder, published, readme)
    assert readme.read_text().count("![") == 1
    publish(source, published, readme)
    text = readme.read_text()
    figures = [text.index(f"](results/published/{name}.svg)") for name in (
        "made/report/figures/claims", "zoo/report/figures/main.tradeoff")]  # fmt: skip
    assert figures[0] < text.index("| module |") < figures[1]
    assert "Claims: ." not in text
    assert "| self-attention | × 1.00, × 1.00 | × 1.10 | +11.00 points" in text.replace("\\", "")


def test_arrays_and_what_an_older_version_left_stay_behind(source, readme):
    published = readme.parent / "published"
    files.write_text(published / "made/tables/accuracy.csv", "old")
    publish(source, published, readme)
    assert not list(published.rglob("*.safetensors"))
    assert not (published / "made/tables/accuracy.csv").exists()
    assert (published / "made/report/figures/claims.svg").exists()
    assert (source / "tables/explanations.safetensors").exists()


def test_without_markers_nothing_changes(source, readme):
    readme.write_text("mine")
    with pytest.raises(UserError, match=r"README\.md: has no lines"):
        publish(source, readme.parent / "published", readme)
    assert readme.read_text() == "mine"
    assert not (readme.parent / "published").exists()
