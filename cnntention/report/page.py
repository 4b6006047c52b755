"""The report: a study's tables and verdicts become one page, a text for forges, and figures."""

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jinja2

from cnntention import __version__, files, plan, provenance
from cnntention.config import Study
from cnntention.errors import UserError
from cnntention.report import (
    accuracy_views,
    attention_views,
    captions,
    compared,
    figures,
    map_views,
    methods,
    published_views,
    sources,
    text,
    verdicts,
    views,
)
from cnntention.report.sources import Tables


@dataclass(frozen=True)
class Shown:
    """A figure in the page; width in CSS px."""

    number: int
    figure: figures.Figure
    path: Path
    caption: str
    alt: str
    width: int

    @cached_property
    def src(self) -> str:
        kind = {"svg": "image/svg+xml", "png": "image/png"}[self.figure.format]
        return f"data:{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def write_report(study: Study, tables: Path, claims: Path, out: Path) -> None:
    """Write figures/, index.html and report.md, then card.json, which carries their key."""
    found = sources.read(tables, claims)
    if found.study.study.name != study.study.name:
        raise UserError(
            f"{tables}: holds the tables of the study {found.study.study.name!r}, the configuration describes "
            f"{study.study.name!r}; give the folder that `summarise` wrote for it."
        )
    shown = []
    for number, figure in enumerate(figures.figure_files(found.study), start=1):
        width = figures.draw(figure, found, out / figure.path)
        shown.append(Shown(number, figure, out / figure.path, *captions.of(figure, found), width))
    content = contents(found, shown)
    names = {"index.html": "page.html.j2", "report.md": "report.md.j2"}
    for name, template in names.items():
        files.write_text(out / name, environment().get_template(template).render(content))
    written = [*names, *(s.figure.path for s in shown)]
    card = {"study": study.study.name, "key": plan.report_key(study, found.verdicts["key"]), "made": provenance.now()}
    card |= {"tables": found.card["key"], "provenance": provenance.describe()}
    files.write_json(out / "card.json", card | {"sha256": {name: files.sha256(out / name) for name in written}})


def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cnntention.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),  # not of Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    made.filters["cell"] = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    return made


def contents(tables: Tables, shown: list[Shown]) -> dict:
    """All that the templates show."""
    study = tables.study
    topics = {s.figure.topic for s in shown}
    attends = len(tables.frames["attention"]) > 0
    first = compared.primary(tables)
    return numbered_tables(tables) | {
        "study": study,
        "questions": {t: q for t, q in figures.QUESTIONS.items() if t in topics or (t == "alive" and attends)},
        "answer": verdicts.answer(tables),
        "primary": first,
        "findings": compared.findings(tables, first),
        "facts": facts(tables),
        "datasets": tables.datasets,
        "tasks": {d: methods.task(study, d, tables.classes_of(d)) for d in tables.datasets},
        "figure_of": lambda topic, dataset: [
            s for s in shown if (s.figure.topic, s.figure.dataset) == (topic, dataset)
        ],
        "colours": {model: colour for model, (colour, _) in figures.looks(study).items()},
        "statistics": methods.statistics(study.statistics),
        "recipes": used(study, "recipe"),
        "models": used(study, "model"),
        "hashes": hashes(tables),
        "machine": machine(tables),
        "card": tables.card,
        "version": __version__,
    }


OF_DATASET = {
    "accuracy": accuracy_views.accuracy,
    "distance": accuracy_views.distance,
    "classes": accuracy_views.classes,
    "alive": attention_views.grid,
    "modules": attention_views.modules,
    "learning": accuracy_views.learning,
    "cost": views.cost,
    "scores": map_views.scores,
    "lookup": map_views.lookup,
    "agreement": map_views.agreement,
}
"""Tables of one dataset; those of a line of TOGETHER stand side by side in the page, dataset by dataset."""
TOGETHER = (("accuracy", "distance", "classes"), ("alive", "modules"), ("learning",), ("cost",))
TOGETHER += (("scores", "lookup", "agreement"),)


def numbered_tables(tables: Tables) -> dict:
    """The page's tables, by where they stand, numbered in the page's order."""
    claims = verdicts.told(tables)
    by = {kind: {d: made(tables, d) for d in tables.datasets} for kind, made in OF_DATASET.items()}
    experiments = [
        {
            "name": name,
            "question": tables.study.experiments[name].question,
            "table": compared.experiment(tables, name),
        }
        for name in tables.study.study.experiments
    ]
    remarks = published_views.remarks(tables)
    published = {dataset: (remark, published_views.table(tables, dataset)) for dataset, remark in remarks.items()}
    single = {"datasets": views.datasets(tables), "splits": views.splits(tables), "runs": views.runs(tables)}
    ordered = [claim.numbers for claim in claims]
    ordered += [by[kind][d] for kinds in TOGETHER for d in tables.datasets for kind in kinds]
    ordered += [*(e["table"] for e in experiments), *(table for _, table in published.values()), *single.values()]
    for number, each in enumerate((table for table in ordered if table), start=1):
        each.number = number
    return {"claims": claims, "by": by, "experiments": experiments, "published": published, "single": single}


def used(study: Study, what: str) -> dict[str, str]:
    """The recipes or models that the runs use, each in a sentence."""
    known, words = (study.recipes, methods.recipe) if what == "recipe" else (study.models, methods.model)
    return {name: words(known[name]) for name in dict.fromkeys(getattr(run, what) for run in study.runs())}


def hashes(tables: Tables) -> list[tuple[str, str, str]]:
    """(dataset, file, SHA-256) of every source file."""
    rows = []
    for _, row in tables.frames["datasets"].dropna(subset="source_sha256").iterrows():
        pairs = zip(row["source"].split("; "), row["source_sha256"].split("; "), strict=True)
        rows += [(row["dataset"], methods.place(url), digest) for url, digest in pairs]
    return rows


def facts(tables: Tables) -> dict[str, list[str]]:
    """The line under the answer: what all of it rests on."""
    runs = tables.frames["runs"]
    return {
        "Runs": [f"{len(runs):,}, {text.seeds(tables.frames['accuracy']['n'])} per model"],
        "Hardware": text.distinct(runs["hardware"]),
        "Code": [text.code(runs)],
        "Tables made": [tables.card["made"].replace("T", " ").replace("Z", " UTC")],
        "Data": [f"{row['dataset']}: {methods.source(row)}" for _, row in tables.frames["datasets"].iterrows()],
    }


def machine(tables: Tables) -> dict[str, str]:
    """What trained and measured the runs, and what gathered them."""
    runs, facts = tables.frames["runs"], tables.card["provenance"]
    return {
        "Training": text.listing(text.distinct(runs["hardware"])),
        "CPU threads of a run": text.listing(text.distinct(runs["threads"])),
        "Cost measurements": text.listing(text.distinct(tables.frames["cost"]["hardware"])),
        "PyTorch of the runs": text.listing(text.distinct(runs["torch"])),
        "Code of the runs": text.code(runs),
        "Tables gathered by": f"Python {facts['python']}, "
        + ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()),
        "Tables gathered on": f"{facts['system']}, {facts['cpu']}, commit {facts['commit']}",
    }
