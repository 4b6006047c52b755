"""Put a study's small results under version control, and the README's results in step with them.

Copies tables, verdicts and report to `results/published/<study>/`, but for arrays, and rewrites README.md between the
markers from what is published there, so that no number in it is typed by hand.
"""

import os
import shutil
from fnmatch import fnmatch
from pathlib import Path

from cnntention import files
from cnntention.errors import UserError
from cnntention.report import answers, markdown, sections, tables, zoo
from cnntention.report.catalogue import KINDS, Figure, many
from cnntention.report.document import Picture
from cnntention.report.figures import figure_files, tradeoff
from cnntention.report.reading import Results, read
from cnntention.results.paths import STUDY_PARTS

START, END = "<!-- results: written by `snakemake publish` -->", "<!-- /results -->"
NEEDED = ("runs", "cells", "datasets", "tests", "claims", "cost")
ARRAYS = "*.safetensors"  # remade by `summarise`, and too large for every clone
ROWS = 8  # of the README's table, without headings


def publish(folder: Path, published: Path, readme: Path) -> None:
    """Publish `results/studies/<study>/<key>` and refresh the README; UserError if unfinished, or without markers."""
    for part in STUDY_PARTS:
        card = files.read_record(folder / part / "card.json")
        if card["key"] != folder.name:
            raise UserError(f"{folder / part}: is of another study, of key {card['key']}; delete it and run snakemake.")
        for name, recorded in card["sha256"].items():
            if not fnmatch(name, ARRAYS):
                files.read_bytes(folder / part / name, recorded)
    split(readme)
    target = published / card["study"]
    shutil.rmtree(target, ignore_errors=True)
    for part in STUDY_PARTS:
        shutil.copytree(folder / part, target / part, ignore=shutil.ignore_patterns(ARRAYS))
    if (record := folder.parent / "looks.json").exists():
        shutil.copy(record, target)
    write_readme(published, readme)


def split(readme: Path) -> tuple[str, str]:
    """What stands before and after the results."""
    source = readme.read_text(encoding="utf-8")
    before, start, rest = source.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise UserError(f"{readme}: has no lines {START!r} and {END!r}; put them where the results belong.")
    return before, after


def write_readme(published: Path, readme: Path) -> None:
    """Replace what stands between the markers."""
    before, after = split(readme)
    studies = {}
    for card in sorted(published.glob("*/tables/card.json")):
        folder = card.parents[1]
        studies[folder] = read(folder / "tables", folder / "verdicts", NEEDED)
    parts = [section(folder, results, readme) for folder, results in studies.items()]
    zoos = {folder: results for folder, results in studies.items() if many(results.study, results.experiments[0])}
    if others := studies.keys() - zoos:
        most = max(sorted(others), key=lambda folder: studies[folder].frames["tests"]["p"].notna().sum())
        parts += shown(most, studies[most], readme)
    for folder, results in zoos.items():
        parts += compared(folder, results, readme)
    files.write_text(readme, "\n\n".join([f"{before}{START}", *parts, f"{END}{after}"]))


def relative(path: Path, readme: Path) -> str:
    return Path(os.path.relpath(path, readme.parent)).as_posix()


def section(folder: Path, results: Results, readme: Path) -> str:
    """A study: its question, its answer, and what that rests on."""
    question, report = markdown.escaped(results.study.study.question), relative(folder / "report/report.md", readme)
    answer = [*answers.study_answer(results), *([answers.SMALL] if results.study.study.scale == "cpu" else [])]
    ended = ", ".join(
        f"{number} {verdict}" for verdict, number in answers.claims_ended(results.frames["claims"]) if number
    )
    rows = [*sections.facts(results).rows, *([("Claims", ended)] if ended else [])]
    small = markdown.escaped("".join(f"{name}: {value}. " for name, value in rows).strip())
    return f"**{question}** {markdown.escaped(' '.join(answer))} ([report]({report}))\n\n<sub>{small}</sub>"


def shown(folder: Path, results: Results, readme: Path) -> list[str]:
    """One table and one figure of one study: its first experiment that fits, and all its claims."""
    parts = []
    fitting = [name for name in results.experiments if len(results.of("cells", name)) <= ROWS]
    for name in fitting[:1]:
        parts.append(f"_{markdown.escaped(results.study.experiments[name].question)}_")
        parts.append(markdown.render(tables.scores(results, name)))
    parts += [picture(folder, figure, f"{figure.title}.", readme) for figure in figure_files(results.study)[:1]]
    return parts


def compared(folder: Path, results: Results, readme: Path) -> list[str]:
    """Of a study's first experiment, with many modules: the table on its first dataset, and the figure on all."""
    name = results.experiments[0]
    found = zoo.entries(results, name)
    relates = any(entry.relates for part in found.values() for entry in part)
    return [
        f"_{markdown.escaped(results.study.experiments[name].question)}_",
        markdown.render(zoo.table(results, name, 1)),
        picture(folder, Figure(KINDS["tradeoff"], name), tradeoff.caption(relates), readme),
    ]


def picture(folder: Path, figure: Figure, caption: str, readme: Path) -> str:
    file = folder / "report" / figure.path
    return markdown.render(Picture(file, relative(file, readme), figure.title, caption, 0))
