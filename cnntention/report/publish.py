"""Put a study's small results under version control, and the README's table in step with them.

Copies `results/<study>/{report,tables}` to `results/published/<study>/` and rewrites the part of README.md between the
markers from what is published there, so that no number in it is typed by hand.
"""

import shutil
from pathlib import Path

import pandas as pd

from cnntention import files
from cnntention.errors import UserError

START, END = "<!-- results: written by `snakemake publish` -->", "<!-- /results -->"


def publish(study: str, results: Path, readme: Path) -> None:
    """Publish `results/<study>` and refresh the README; raises UserError where the markers are missing."""
    target = results / "published" / study
    for part in ("report", "tables"):
        files.read_json(results / study / part / "card.json")  # written last: without it the part is not finished
        shutil.copytree(results / study / part, target / part, dirs_exist_ok=True)
    write_readme(results / "published", readme)


def write_readme(published: Path, readme: Path) -> None:
    """Replace what stands between the markers by a section a published study."""
    text = readme.read_text(encoding="utf-8")
    if START not in text or END not in text:
        raise UserError(f"{readme}: has no lines {START!r} and {END!r}; put them where the results belong.")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    sections = [section(card.parents[1], readme.parent) for card in sorted(published.glob("*/tables/card.json"))]
    files.write_text(readme, f"{before}{START}\n\n{''.join(sections)}{END}{after}")


def section(folder: Path, root: Path) -> str:
    """One study: its question, its cells (mean, sd, n, difference), and where the numbers come from."""
    study = files.read_json(folder / "tables/study.json")
    names = dict.fromkeys(("dataset", "model", "commit", "hardware", "source", "source_sha256"), str)
    cells = pd.read_csv(folder / "tables/experiments.csv", dtype=names)
    data = pd.read_csv(folder / "tables/datasets.csv", dtype=names).set_index("dataset")
    link = folder.relative_to(root) / "report/report.md"
    lines = [f"**{study['study']['question']}** ([report]({link}))\n"]
    for name, rows in cells.groupby("experiment", sort=False):
        lines.append(f"_{study['experiments'][name]['question']}_\n")
        lines.append("| dataset | model | n | test accuracy, % | difference, points |\n| --- | --- | --: | --: | --: |")
        lines += [row_of(row) for row in rows.itertuples()]
        lines.append("")
    figure = folder / f"report/figures/{cells['dataset'].iloc[0]}.accuracy.svg"
    if figure.exists():
        lines.append(f"![Test accuracy of every seed]({figure.relative_to(root)})\n")
    hardware, commits = ("; ".join(dict.fromkeys(cells[column])) for column in ("hardware", "commit"))
    used = "; ".join(f"{name}: {source_of(data.loc[name])}" for name in dict.fromkeys(cells["dataset"]))
    lines.append(
        f"<sub>Mean ± sample sd over n seeds; no test is made. {hardware}. Commit {commits}. Data: {used}.</sub>\n\n"
    )
    return "\n".join(lines)


def row_of(row) -> str:
    """A cell as a line of the table."""
    spread = f" ± {100 * row.sd:.2f}" if row.n > 1 else " (one seed)"
    difference = "" if pd.isna(row.difference) or row.difference == 0 else f"{100 * row.difference:+.2f}"
    return f"| {row.dataset} | {row.model} | {row.n} | {100 * row.mean:.2f}{spread} | {difference} |"


def source_of(row: pd.Series) -> str:
    """What a dataset really was: counts, and the first file's hash, or that it was generated."""
    counts = f"{row['train']:,} training, {row['test']:,} test images"
    return f"{counts}, generated" if row["source"] == "generated" else f"{counts}, SHA-256 {row['source_sha256'][:8]}…"
