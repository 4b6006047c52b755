"""README and docs/: short, without dead links, and in step with the code."""

import re
from textwrap import dedent

import faults
import pytest
import yaml
from conftest import ROOT

from cnntention.config import load
from cnntention.config.base import merge
from cnntention.results import tables  # noqa: F401  it registers the tables
from cnntention.results.rows import describe_tables

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MADE = ("data/", "results/", "logs/", "state/", ".venv", "mine.yaml", "my_attention.py")  # by a user or the workflow
PATH = re.compile(r"`((?:\.?[\w-]+/)+[\w.-]*|[\w-]+\.(?:md|yaml|py|toml))`")
BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
GENERATED = re.compile(r"<!-- results: .*<!-- /results -->\n", re.DOTALL)


def test_the_readme_is_short_and_counts_right():
    own = GENERATED.sub("", (ROOT / "README.md").read_text())
    assert own.count("\n") <= 110  # and `publish` writes at most 90: two results
    assert all(page.read_text().count("\n") <= 120 for page in PAGES[1:] if page.name != "tables.md")
    assert f"{len(load([ROOT / 'config.yaml']).runs())} runs of " in own


def anchors(text: str) -> set[str]:
    """Headings as GitHub links to them."""
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_exist(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            file = page.parent / path if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file.read_text()), target
    for path in PATH.findall(text):
        assert path.startswith(MADE) or any(ROOT.glob(path)) or any(ROOT.glob(f"*/{path}")), path


def test_the_overlays_in_the_docs_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written = [block for page in PAGES for block in BLOCK.findall(page.read_text())]
    (tmp_path / "my_attention.py").write_text(next(dedent(code) for _, kind, code in written if kind == "python"))
    overlay = {}
    for code in (dedent(code) for _, kind, code in written if kind == "yaml"):
        overlay = merge(overlay, yaml.safe_load(code.replace("64 hexadecimal digits", 64 * "a")))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(overlay))
    assert load([ROOT / "config.yaml", tmp_path / "mine.yaml"]).runs()


def test_the_tables_are_described_as_they_are():
    assert (ROOT / "docs/tables.md").read_text() == describe_tables(), "run `make docs`"


def test_the_faults_are_those_that_the_tests_try():
    assert (ROOT / "docs/faults.md").read_text() == faults.table(), "run `make docs`"
