"""The report: from tables made by hand to page, text and figures."""

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import pandas as pd
import pytest
import tabled

from cnntention import files
from cnntention.errors import UserError
from cnntention.report import answers, numbers, page, tables, wording, zoo
from cnntention.report.figures import figure_files
from cnntention.report.figures.tradeoff import fits, placed
from cnntention.report.reading import read
from cnntention.results.words import Reason, Test, Verdict

VOID = {"meta", "img", "br", "link", "input", "hr"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    tabled.write(made)
    page.write_report(made / "tables", made / "verdicts", made / "report")
    return made


@pytest.fixture(scope="module")
def results(folder):
    return read(folder / "tables", folder / "verdicts")


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report/index.html").read_text()


@pytest.fixture(scope="module")
def markdown(folder):
    return (folder / "report/report.md").read_text()


class Tree(HTMLParser):
    """Checks that tags close in order; gathers tables and headings, and ids."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tables, self.titles, self.ids, self.text = [], [], [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [value for name, value in attributes if name == "id"]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        elif tag == "h2":
            self.titles.append("")

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] == "h2":
            self.titles[-1] += data


def test_the_page_is_sound_and_has_each_experiment_once(html):
    tree = Tree(html)
    assert len(tree.ids) == len(set(tree.ids))
    assert [title for title in tree.titles if title in ("Does it | help?", "And alone?")] == tree.titles[:2]
    assert "Is <b> & | read?" in tree.text
    assert not re.search(r'(src|href)="(?!#|data:)', html)
    assert "<script" not in html


def test_tables_are_narrow_and_of_one_experiment(results, html):
    tree = Tree(html)
    assert tree.tables
    assert all(len(row) <= 6 for table in tree.tables for row in table)
    for table in (tables.scores, tables.learning, tables.modules, tables.maps):
        told = {cell[0] for cell in table(results, "other").rows}
        assert told == {"lone", "looking"}
        assert {row[0] for row in table(results, "main").rows if len(row) > 1} <= {"plain", "looking", "gates"}


def test_many_modules_are_told_by_what_they_cost_and_change(tmp_path):
    study = tabled.write(tmp_path, zoo=True)
    page.write_report(tmp_path / "tables", tmp_path / "verdicts", tmp_path / "report")
    results = read(tmp_path / "tables", tmp_path / "verdicts")
    tree = Tree((tmp_path / "report/index.html").read_text())
    (shown,) = [table for table in tree.tables if table[0][0] == "module"]
    assert all(len(row) == 6 for row in shown)
    assert [row[0] for row in shown[1:]] == ["plain", "self-attention", *reversed(tabled.ZOO)]  # by accuracy
    rows = {row[0]: row for row in shown}
    assert rows["plain"][2:] == ["40 ms", "62.00 ± 1.00 %", "no attention", "0 of 3"]
    assert rows["self-attention"][1:4] == ["× 1.00, × 1.00", "× 1.10", "+11.00 points [+8.00, +14.00] ↑"]
    assert rows["self-attention"][4:] == ["2 of 3 runs", "3 of 3 ↑"]
    drawn = (tmp_path / "report/figures/main.tradeoff.svg").read_text()
    assert all(f">{label}</text>" in drawn for label in ("self-attention ↑", *tabled.ZOO))
    assert "8 models do not differ significantly" in tree.text
    relating = {entry.name: entry.relates for entry in zoo.entries(results, "main")["local"]}
    assert relating["self-attention"]
    assert not relating["se"]
    assert zoo.named(study, "main")["local", "looking", "brief"] == "self-attention"


def test_labels_of_marks_at_one_place_do_not_overlap():
    texts = [f"module {i}" for i in range(12)]
    boxes = placed(texts, [(4.0, 2.0)] * 12, 8.0, 4.0)
    assert all(fits(box, [*boxes[:i], *boxes[i + 1 :]], 8.0, 4.0) for i, box in enumerate(boxes))


def test_the_answer_comes_first_and_says_what_it_rests_on(html, markdown):
    for text in (Tree(html).text, markdown.replace("\\", "")):
        start = text[: text.index("Does it | help?")]
        assert "Supported: Looking" in start
        assert answers.SMALL in start
        assert "a CPU, 1 thread" in start
        assert "0123456789ab" in start


def test_the_answer_of_many_claims_counts_comparisons(results):
    claims = results.frames["claims"]
    many = replace(results, frames=results.frames | {"claims": pd.concat([claims] * 3)})
    head, life = answers.study_answer(many)
    assert head.startswith(("Sometimes: in 4 comparisons", "Yes: in 4"))
    assert "significantly better in 2 (looking on cues, looking on local)" in head
    assert life.startswith("Attention changes the features in")


def test_numbers_come_from_runs(results, folder, html):
    runs = pd.read_csv(folder / "tables/runs.csv")
    shown = [row for table in Tree(html).tables for row in table]
    for (dataset, model), own in runs.groupby(["dataset", "model"]):
        scores, counted = 100 * own["test_accuracy"], dataset == "cues"  # which relates two places: all or none
        text = f"{scores.min():.2f}–{scores.max():.2f}" if counted else f"{scores.mean():.2f} ± {scores.std():.2f}"
        solved = f"{own['solved'].sum()} of {len(own)} [10, 90] %"
        count = sum(row[0] == model and row[2:4] == [solved, text] for row in shown if len(row) > 3)
        experiments = [n for n in results.experiments if (dataset, model, "brief") in results.study.cells(n)]
        assert count >= len(experiments) > 0
    for _, test in results.comparisons().iterrows():
        assert f"{100 * test['effect']:+.2f} points" in html


def test_figures_are_those_that_the_workflow_expects(results, folder):
    listed = [figure.path for figure in figure_files(results.study)]
    there = sorted(p.relative_to(folder / "report").as_posix() for p in (folder / "report/figures").iterdir())
    assert sorted(listed) == there
    assert len(set(listed)) == len(listed)
    card = files.read_json(folder / "report/card.json")
    assert set(card["sha256"]) == {*listed, "index.html", "report.md"}
    assert (card["study"], card["key"]) == ("made", "0123456789")


def test_the_same_tables_give_the_same_bytes(folder, tmp_path):
    page.write_report(folder / "tables", folder / "verdicts", tmp_path)
    first, second = (files.read_json(f / "card.json")["sha256"] for f in (folder / "report", tmp_path))
    assert first == second


def test_the_text_for_forges_says_what_the_page_shows_unfolded(html, markdown):
    unfolded = Tree(re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL))
    plain = markdown.replace("\\", "")
    for row in (row for table in unfolded.tables for row in table if len(row) > 1):
        assert f"| {' | '.join(row)} |" in plain
    assert "monitored accuracy" not in plain
    assert len(re.findall(r"^!\[", markdown, re.MULTILINE)) == len(re.findall("<figure>", re.sub(
        r"<details>.*?</details>", "", html, flags=re.DOTALL)))  # fmt: skip


def test_other_tables_are_refused(folder, tmp_path):
    tabled.write(tmp_path)
    files.write_record(tmp_path / "verdicts/card.json", {"key": "else", "sha256": {}})
    with pytest.raises(UserError, match="is of other tables than"):
        read(tmp_path / "tables", tmp_path / "verdicts")
    tabled.write(tmp_path)
    (tmp_path / "tables/runs.csv").write_text((tmp_path / "tables/runs.csv").read_text().replace("0.61", "0.62"))
    with pytest.raises(UserError, match=r"runs\.csv: cannot be read \(its SHA-256"):
        read(tmp_path / "tables", tmp_path / "verdicts")


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_and_reason_has_words(verdict):
    for reason, failing in product(Reason, ("", "cbam 2/3")):
        known = {"verdict": verdict, "reason": reason, "failing": failing}
        row = pd.Series(tabled.test("cues", "gates", "C1", **known).model_dump())
        said = [wording.reason(row), wording.verdict(row), wording.compared(row), wording.effect(row)]
        assert all(said)
        assert not re.search(r"None|nan|[{}]|  ", " ".join(said))
        if reason in (Reason.NOT_USED, Reason.MAPS_NOT_SANE, Reason.TEST_SPLIT_USED):
            assert failing in said[0]
        assert answers.outcomes(pd.DataFrame([dict(row), {**row, "model": "looking"}]))


def test_what_was_claimed_stands_beside_what_is_tested(results):
    (heading,) = (row[0] for row in tables.claims(results, "main").rows if len(row) == 1)
    assert heading.startswith("C1: Looking | helps. — supported\nClaimed: “It sees | more.” Metric: test accuracy, on ")


def test_a_count_beside_a_number_is_shown_with_the_interval_of_its_share():
    known = {"metric": "broken", "test": Test.BINOMIAL, "value": 0.5, "n": 7, "mean": 6 / 7, "effect": 6 / 7 - 0.5}
    row = tabled.test("cues", "gates", "C1", other_model="", low=0.421 - 0.5, high=0.996 - 0.5, **known).model_dump()
    assert wording.effect(pd.Series(row)) == "6 of 7 [42, 100] %"
    assert wording.compared(pd.Series(row)) == "gates against 50.00 %"


def test_a_test_without_numbers_has_words():
    known = dict.fromkeys(("effect", "low", "high", "p", "p_adjusted", "mde", "margin", "n_other"))
    row = pd.Series(tabled.test("cues", "gates", "C1", reason=Reason.TOO_FEW_SEEDS, **known).model_dump())
    assert wording.effect(row) == "–"
    assert wording.reason(row) == "too few seeds for a test (n = 3)"


def test_costs_have_words():
    """A time as a share of the other's, with its interval; a count beside the other's."""
    row = tabled.test("cues", "gates", "C1", metric="inference_ms", test=Test.RATIO, effect=-0.123, low=-0.2, high=0.05)
    assert wording.effect(pd.Series(row.model_dump())) == "−12.3 % [−20, +5]"
    row = tabled.test("cues", "gates", "C1", metric="macs", test=Test.COUNTED, mean=4e7, mean_other=8e7)
    assert wording.effect(pd.Series(row.model_dump())) == "40 M against 80 M"


def test_numbers_as_text():
    assert numbers.value(0.9997, "test_accuracy") == "99.97 %"
    assert numbers.difference(-0.00001, "test_accuracy") == "+0.00 points"
    assert numbers.difference(-0.0038, "test_accuracy") == "−0.38 points"
    assert numbers.interval(-1.5, 2, "norm_query") == "[−1.5, +2]"
    assert numbers.p_value(0.0001) == "< 0.001"
    assert numbers.listing(["a", "b", "a", "c"]) == "a, b and c"
    assert numbers.value(None, "road") == "–"


def test_planning_draws_nothing():
    code = "import sys; from cnntention.report.figures import figure_files; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "cnntention.report.figures.maps" in found
    assert not {"matplotlib", "pandas", "numpy", "PIL"} & set(found)
