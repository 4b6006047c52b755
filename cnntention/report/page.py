"""The report: a study's tables folder becomes one page, a text for forges, and figures. Reads nothing else."""

import base64
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jinja2
import pandas as pd

from cnntention import __version__, files, plan, provenance
from cnntention.config import Study, parse_study
from cnntention.errors import UserError
from cnntention.report import captions, figures, methods, text, views

NEEDED = {
    "runs": "dataset model recipe seed test_accuracy test_accuracy_low test_accuracy_high test_images hardware "
    "threads torch commit",
    "accuracy": "dataset model recipe n mean sd min max top2 nll ece",
    "experiments": "experiment dataset model recipe n mean sd min max difference",
    "curves": "dataset model recipe seed epoch train_loss val_accuracy",
    "classes": "dataset model recipe seed class test_accuracy",
    "cost": "dataset model parameters macs macs_ratio latency_ms training_step_ms training_step_ratio "
    "training_memory_bytes training_step_joules inference_image_joules energy batch_size hardware",
    "pareto": "dataset recipe model low high front_macs front_time",
    "published": "dataset model test_error epochs note our_recipe our_epochs our_error our_sd n",
    "datasets": "dataset image classes train val test key source source_sha256 licence",
}
NAMES = ("dataset", "model", "recipe", "experiment", "class", "key", "seeds", "commit", "note", "our_recipe")
NAMES += ("source", "source_sha256", "licence", "image", "hardware", "energy", "torch", "folder")


@dataclass(frozen=True)
class Tables:
    """A study's tables folder, read and checked."""

    study: Study
    card: dict
    frames: dict[str, pd.DataFrame]
    tensors: dict

    @property
    def in_turn(self) -> str:
        """How the models' times were taken, the end of a sentence."""
        return (
            f"all models in turn in one process, {self.study.profiling.rounds} rounds; other work on the machine, if "
            "it is shared, is in the times, less so in their ratios."
        )

    @property
    def datasets(self) -> list[str]:
        return list(self.frames["runs"]["dataset"].unique())

    def of(self, name: str, dataset: str, recipe: str = "") -> pd.DataFrame:
        """The rows of a table that are about a dataset, and if given a recipe."""
        frame = self.frames[name]
        chosen = frame["dataset"] == dataset
        if recipe:
            chosen &= frame["recipe"] == recipe
        return frame[chosen].reset_index(drop=True)

    def class_names(self, dataset: str) -> list[str]:
        return list(self.of("classes", dataset)["class"].unique())

    def classes_of(self, dataset: str) -> int:
        return int(self.of("datasets", dataset)["classes"].iloc[0])


def read_tables(folder: Path) -> Tables:
    """Everything in the folder; a UserError names the file that is missing, broken or not what card.json says."""
    card = files.read_json(folder / "card.json")
    frames = {name: read_frame(folder / f"{name}.csv", NEEDED[name].split()) for name in NEEDED}
    tensors = files.read_tensors(folder / "explanations.safetensors")
    study = parse_study(files.read_json(folder / "study.json"))
    for name, hashed in card["sha256"].items():
        if files.sha256(folder / name) != hashed:
            raise UserError(f"{folder / name}: is not the file that card.json describes; run the step summarise again.")
    return Tables(study, card, frames, tensors)


def read_frame(path: Path, columns: list[str]) -> pd.DataFrame:
    frame = files.read_csv(path, NAMES)
    missing = [name for name in columns if name not in frame]
    if missing:
        raise UserError(f"{path}: has no column {', '.join(missing)}; run the step summarise again.")
    return frame


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


def write_report(study: Study, tables: Path, out: Path) -> None:
    """Write figures/, index.html and report.md, then card.json, which carries their key."""
    found = read_tables(tables)
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
    card = {"study": study.study.name, "key": plan.report_key(study, found.card["key"]), "made": provenance.now()}
    card |= {"tables": found.card["key"], "provenance": provenance.describe()}
    files.write_json(out / "card.json", card | {"sha256": {name: files.sha256(out / name) for name in written}})


def environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("cnntention.report"),
        autoescape=True,
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
    return numbered_tables(tables) | {
        "study": study,
        "questions": figures.QUESTIONS,
        "answer": text.answer(text.comparisons(study, tables.frames["experiments"])),
        "facts": facts(tables),
        "datasets": tables.datasets,
        "figure_of": lambda topic, dataset: [
            s for s in shown if (s.figure.topic, s.figure.dataset) == (topic, dataset)
        ],
        "colours": {model: colour for model, (colour, _) in figures.looks(study).items()},
        "recipes": used(study, "recipe"),
        "models": used(study, "model"),
        "hashes": hashes(tables),
        "machine": machine(tables),
        "card": tables.card,
        "version": __version__,
    }


def numbered_tables(tables: Tables) -> dict:
    """The page's tables, by where they stand, numbered in the page's order."""
    found = text.comparisons(tables.study, tables.frames["experiments"])
    of_dataset = {"accuracy": views.accuracy, "classes": views.classes, "cost": views.cost}
    by = {kind: {d: made(tables, d) for d in tables.datasets} for kind, made in of_dataset.items()}
    experiments = [
        {
            "name": name,
            "question": tables.study.experiments[name].question,
            "findings": text.findings([c for c in found if c.cell["experiment"] == name]),
            "table": views.experiment(tables, name, found),
        }
        for name in tables.study.study.experiments
    ]
    remarks = captions.published(tables)
    published = {dataset: (remark, views.published(tables, dataset)) for dataset, remark in remarks.items()}
    single = {"datasets": views.datasets(tables), "splits": views.splits(tables), "runs": views.runs(tables)}
    ordered = [by[kind][d] for d in tables.datasets for kind in ("accuracy", "classes")]  # side by side in the page
    ordered += [*by["cost"].values(), *(e["table"] for e in experiments)]
    ordered += [*(table for _, table in published.values()), *single.values()]
    for number, each in enumerate(ordered, start=1):
        each.number = number
    return {"by": by, "experiments": experiments, "published": published, "single": single}


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
        "Code": [f"commit {commit}" for commit in text.distinct(runs["commit"])],
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
        "Commits of the runs": text.listing(text.distinct(runs["commit"])),
        "Tables gathered by": f"Python {facts['python']}, "
        + ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()),
        "Tables gathered on": f"{facts['system']}, {facts['cpu']}, commit {facts['commit']}",
    }
