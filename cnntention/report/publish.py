"""Put a study's small results under version control, and the README's results in step with them.

Copies `results/<study>/{report,tables,claims}` to `results/published/<study>/`, but for arrays, and rewrites the part
of README.md between the markers from what is published there, so that no number in it is typed by hand.
"""

import shutil
from pathlib import Path

import pandas as pd

from cnntention import files
from cnntention.errors import UserError
from cnntention.report import compared, sources, text, verdicts
from cnntention.report.flags import flag, marks
from cnntention.report.sources import Tables

START, END = "<!-- results: written by `snakemake publish` -->", "<!-- /results -->"
PARTS = {"tables": "card.json", "claims": "claims.json", "report": "card.json"}
"""What is published, and the file of it that is written last: without it the part is not finished."""
NEEDED = ("runs", "accuracy", "experiments", "attention", "datasets")
ARRAYS = "*.safetensors"  # maps and single predictions: too large to keep in every clone, and remade by `summarise`


def publish(study: str, results: Path, readme: Path) -> None:
    """Publish `results/<study>` and refresh the README; raises UserError where the markers are missing."""
    target = results / "published" / study
    for part, last in PARTS.items():
        files.read_json(results / study / part / last)
    for part in PARTS:
        ignored = shutil.ignore_patterns(ARRAYS)
        shutil.copytree(results / study / part, target / part, dirs_exist_ok=True, ignore=ignored)
        for old in (target / part).glob(ARRAYS):
            old.unlink()
    write_readme(results / "published", readme)


def write_readme(published: Path, readme: Path) -> None:
    """Replace what stands between the markers by a section a published study."""
    source = readme.read_text(encoding="utf-8")
    if START not in source or END not in source:
        raise UserError(f"{readme}: has no lines {START!r} and {END!r}; put them where the results belong.")
    before, rest = source.split(START, 1)
    after = rest.split(END, 1)[1]
    sections = [section(card.parents[1], readme.parent) for card in sorted(published.glob("*/tables/card.json"))]
    files.write_text(readme, f"{before}{START}\n\n{''.join(sections)}{END}{after}")


def section(folder: Path, root: Path) -> str:
    """One study: its question, the answer, claims and cells, one figure, and where the numbers come from."""
    tables = sources.read_some(folder / "tables", folder / "claims", NEEDED)
    beside = [name for name, one in tables.study.experiments.items() if one.baseline is not None]
    cells = tables.frames["experiments"]
    cells = cells[cells["experiment"].isin(beside)]  # of the others the claims tell, above
    link = folder.relative_to(root) / "report/report.md"
    lines = [f"**{tables.study.study.question}** ([report]({link}))\n", *(f"{s}\n" for s in answer(tables))]
    lines += claims_table(tables)
    for name, rows in cells.groupby("experiment", sort=False):
        lines.append(f"_{tables.study.experiments[name].question}_\n")
        lines += accuracy_table(tables, rows)
    for dataset in whole(tables, cells)[:1]:
        figure = folder.relative_to(root) / f"report/figures/{dataset}.accuracy.svg"
        lines.append(f"![Test accuracy of every seed, {dataset}]({figure})\n")
    return "\n".join([*lines, f"<sub>{provenance(tables)}</sub>\n\n"])


def whole(tables: Tables, cells: pd.DataFrame) -> list[str]:
    """The datasets all of whose runs are among the cells: their figures show what the tables show, and nothing else."""
    shown = set(cells[["dataset", "model", "recipe"]].itertuples(index=False, name=None))
    runs = tables.frames["runs"][["dataset", "model", "recipe"]].itertuples(index=False, name=None)
    others = {run[0] for run in runs if run not in shown}
    return [dataset for dataset in tables.datasets if dataset not in others]


def answer(tables: Tables) -> list[str]:
    """The generated answer, then what the first experiment found, where that was tested: the table has the rest."""
    found = [
        f"{group['where']}: " + "; ".join(in_words(each) for each in group["lines"]) + f" ({group['against']})."
        for group in compared.findings(tables, compared.primary(tables))
        if any(each["interval"] for each in group["lines"])
    ]
    return [" ".join(verdicts.answer(tables)), *found]


def in_words(line: dict[str, str]) -> str:
    return ", ".join(filter(None, (f"{line['model']} {line['difference']}", line["interval"], line["outcome"])))


def claims_table(tables: Tables) -> list[str]:
    """The claims that were tested; nothing where none was."""
    told = [claim for claim in verdicts.told(tables) if claim.verdict != "not run"]
    if not told:
        return []
    rows = [f"| {c.name}: {escaped(c.sentence)} | {c.mark} {c.verdict} | {escaped(c.effect)} |" for c in told]
    return ["| claim | verdict | effect [95 % interval] |\n| --- | --- | --- |", *rows, ""]


def accuracy_table(tables: Tables, cells: pd.DataFrame) -> list[str]:
    head = "| dataset | model | recipe | n | test accuracy, % | attention | difference, points | note |"
    lines = [head, "| --- | --- | --- | --: | --: | --- | --: | --- |"]
    for _, cell in cells.iterrows():
        difference = "" if pd.isna(cell["difference"]) or cell["difference"] == 0 else text.points(cell["difference"])
        parts = (*cell[["dataset", "model", "recipe", "n"]], text.score(cell), flag(tables, cell), difference)
        lines.append(f"| {' | '.join(map(str, parts))} | {'; '.join(marks(tables, cell))} |")
    return [*lines, ""]


def provenance(tables: Tables) -> str:
    runs, data = tables.frames["runs"], tables.frames["datasets"].set_index("dataset")
    machines = "; ".join(text.distinct(runs["hardware"]))
    used = "; ".join(f"{name}: {source_of(data.loc[name])}" for name in tables.datasets)
    return (
        "Mean ± sample sd over n seeds. Attention: in how many of the runs that did not diverge it is alive, and if "
        "not in all, in how many it is used: accuracy falls without it. Tests: Welch’s t, Holm, from "
        f"{tables.study.statistics.min_seeds} seeds a model on. Hardware: {machines}. Code: {text.code(runs)}. Data: "
        f"{used}."
    )


def escaped(words: str) -> str:
    return words.replace("|", "\\|")


def source_of(row: pd.Series) -> str:
    """What a dataset really was: counts, and the first file's hash, or that it was generated."""
    counts = f"{row['train']:,} training, {row['test']:,} test images"
    return f"{counts}, generated" if row["source"] == "generated" else f"{counts}, SHA-256 {row['source_sha256'][:8]}…"
