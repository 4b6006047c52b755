"""All runs of a study gathered into tables: plain CSV, shares between 0 and 1, one idea a file.

The report is made of this folder alone, so it can be redrawn, or read by a person, without the runs.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cnntention import files, plan, provenance
from cnntention.config import Study
from cnntention.evaluation.pareto import pareto
from cnntention.report.attention_table import attention_table, liveness
from cnntention.report.cost_table import cost_table
from cnntention.report.explanation_tables import explanation_tables, run_columns
from cnntention.report.records import Record

CELL = ["dataset", "model", "recipe", "key"]
SHOWN_IMAGES = 8  # of the seeded sample, beside the showcase, in the report's Grad-CAM grids


def write_tables(study: Study, out: Path) -> None:
    """Write the study's tables, then card.json, which carries their key."""
    records = [Record(run) for run in study.runs()]
    table, costs = pd.DataFrame([run_row(study, record) for record in records]), cost_table(study)
    tables = {
        "runs": table,
        "accuracy": accuracy(table),
        "experiments": experiments(study, table),
        "curves": curves(records),
        "classes": classes(study, records),
        "cost": costs,
        "pareto": pareto(table, costs, study.statistics),
        "attention": attention_table(records),
        "published": published(study, table),
        "datasets": datasets(study),
        **explanation_tables(records),
    }
    for name, frame in tables.items():
        files.write_csv(out / f"{name}.csv", frame)
    files.write_tensors(out / "explanations.safetensors", explanations(records))
    files.write_tensors(out / "hits.safetensors", hits(records))
    files.write_json(out / "study.json", study.model_dump(mode="json"))
    written = [f"{name}.csv" for name in tables] + ["explanations.safetensors", "hits.safetensors", "study.json"]
    settings, content = plan.summary_settings(study), plan.summary_content(study)
    card = {"study": study.study.name, "key": plan.summary_key(settings, content), "settings": settings}
    card |= {"runs": len(records), "made": provenance.now(), "provenance": provenance.describe()}
    card |= {"sha256": {name: files.sha256(out / name) for name in written}, "inputs": content}
    files.write_json(out / "card.json", card)


def run_row(study: Study, record: Record) -> dict:
    """One run: what it is, how it scored on the test split, how it was trained and where.

    val_accuracy, best_val_accuracy, learning_area: of the split that the recipe monitors.
    """
    made, scores = record.made, record.scores
    facts = made["provenance"]
    low, high = scores["top1_interval"]
    row = record.head | {"key": record.run.key}
    row |= {"test_accuracy": scores["top1"], "test_accuracy_low": low, "test_accuracy_high": high}
    row |= {name: scores[name] for name in ("top2", "nll", "brier", "ece")} | {"test_images": scores["images"]}
    row |= {"val_accuracy": made["last"]["val_accuracy"], "train_accuracy": made["last"]["train_accuracy"]}
    row |= {"best_epoch": made["best"]["epoch"], "best_val_accuracy": made["best"]["val_accuracy"]}
    row |= {"epochs": made["last"]["epoch"], "ended": made["ended"], "leaks": made["leaks"]}
    row |= {"precision": made["recipe"]["precision"]}
    row |= {f"gate_{name}": value for name, value in made["gates"].items()}
    row |= {"parameters": made["parameters"]["total"], "images_per_s": made["images_per_s"]}
    row |= {"train_seconds": made["train_seconds"], "resumed": len(made["resumed_after_epochs"])}
    row |= {"hardware": provenance.hardware(facts, made.get("precision"))}
    row |= {"threads": facts["threads"], "device": facts["device"]}
    row |= {"torch": facts["libraries"]["torch"], "commit": facts["commit"], "finished": made["finished"]}
    row |= {"version": made["version"]}
    row |= learning(study, record) | by_distance(scores) | {"solved": solved(study, record)}
    return row | liveness(record) | run_columns(record) | {"folder": record.run.folder}


def learning(study: Study, record: Record) -> dict:
    """How fast a run learned: mean monitored accuracy over its epochs, and the first epoch that reached the bar."""
    accuracy = record.history["val_accuracy"]
    reached = np.flatnonzero(accuracy >= study.statistics.reach)
    return {"learning_area": accuracy.mean(), "epochs_to_reach": reached[0] + 1 if len(reached) else None}


def solved(study: Study, record: Record) -> int | None:
    """CueMatch: 1 if the run has learned what is asked (`CueMatchSource.solved_from`), else 0; empty elsewhere."""
    source = study.datasets[record.run.dataset].source
    return int(record.scores["top1"] >= source.solved_from) if source.format == "cuematch" else None


def by_distance(scores: dict) -> dict:
    """CueMatch: accuracy where cue and match are near, at mid distance and far, and its slope; empty elsewhere."""
    found = scores.get("distance", {"accuracy": {}, "slope": None})
    bins = {f"accuracy_{name}": found["accuracy"].get(name) for name in ("near", "mid", "far")}
    return bins | {"distance_slope": found["slope"]}


def hits(records: list[Record]) -> dict[str, np.ndarray]:
    """Folder of each run -> whether it was right on each test image, eight images a byte."""
    folders = [record.run.folder for record in records]
    found = {folder: files.read_tensors(f"{folder}/predictions.safetensors") for folder in folders}
    return {folder: np.packbits(p["logits"].argmax(axis=1) == p["labels"]) for folder, p in found.items()}


def accuracy(runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell (dataset, model, recipe): mean, sample sd, n and range of test accuracy over seeds."""
    groups = runs.groupby(CELL, sort=False)
    scores = groups["test_accuracy"]
    table = pd.DataFrame({"n": scores.size(), "mean": scores.mean(), "sd": scores.std(ddof=1)})
    table["min"], table["max"] = scores.min(), scores.max()
    for name in ("nll", "brier", "ece", "top2", "val_accuracy", "train_accuracy", "train_seconds"):
        table[name] = groups[name].mean()
    for name in ("seed", "hardware", "threads", "commit"):
        table["seeds" if name == "seed" else name] = groups[name].agg(distinct)
    return table.reset_index()


def distinct(values: pd.Series) -> str:
    return "; ".join(str(value) for value in dict.fromkeys(values))


def experiments(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """A row a cell of each experiment, with its difference from the baseline's mean where both have runs."""
    parts = []
    for name in study.study.experiments:
        wanted = {run.folder for run in study.runs_of(name)}
        cells = accuracy(runs[runs["folder"].isin(wanted)])
        baseline = cells[cells["model"] == study.experiments[name].baseline]
        base = baseline.set_index(["dataset", "recipe"])["mean"]
        index = pd.MultiIndex.from_frame(cells[["dataset", "recipe"]])
        cells["difference"] = cells["mean"] - base.reindex(index).to_numpy()
        cells.insert(0, "experiment", name)
        parts.append(cells)
    columns = [
        "experiment",
        *CELL,
        "n",
        "mean",
        "sd",
        "min",
        "max",
        "difference",
        "seeds",
        "hardware",
        "commit",
    ]
    return pd.concat(parts)[columns]


def curves(records: list[Record]) -> pd.DataFrame:
    """Every epoch of every run."""
    return pd.concat([pd.DataFrame(record.head, record.history.index).join(record.history) for record in records])


def classes(study: Study, records: list[Record]) -> pd.DataFrame:
    """Test accuracy of every class in every run."""
    rows = []
    names = {d: class_names(study, d) for d in dict.fromkeys(record.run.dataset for record in records)}
    for record in records:
        pairs = zip(names[record.run.dataset], record.scores["class_accuracy"], strict=True)
        rows += [record.head | {"class": name, "test_accuracy": score} for name, score in pairs]
    return pd.DataFrame(rows)


def class_names(study: Study, dataset: str) -> list[str]:
    card = files.read_json(f"{plan.data_folder(study, dataset)}/card.json")
    return card["class_names"] or [str(i) for i in range(card["classes"])]


def published(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """The original study's test errors, %, beside ours: a row for each recipe that this study trained the model by."""
    rows = []
    for entry, dataset in [(each, name) for each in study.published for name in each.dataset]:
        ours = runs[(runs["dataset"] == dataset) & (runs["model"] == entry.model)]
        for recipe, part in ours.groupby("recipe", sort=False) if len(ours) else [(None, ours)]:
            errors = 100 * (1 - part["test_accuracy"])
            row = {"our_recipe": recipe, "our_epochs": part["epochs"].mean()}
            row |= {"our_error": errors.mean(), "our_sd": errors.std(ddof=1), "n": len(part)}
            rows.append(entry.model_dump() | {"dataset": dataset} | row)
    columns = ["dataset", "model", "test_error", "epochs", "note"]
    columns += ["our_recipe", "our_epochs", "our_error", "our_sd", "n"]
    return pd.DataFrame(rows, columns=columns)


def datasets(study: Study) -> pd.DataFrame:
    """What was really used: source, hashes, counts."""
    rows = []
    for name in dict.fromkeys(run.dataset for run in study.runs()):
        card = files.read_json(f"{plan.data_folder(study, name)}/card.json")
        source = study.datasets[name].source
        hashes = [archive.sha256 for archive in source.archives.values()]
        places = [archive.urls[0] for archive in source.archives.values()]
        rows.append(
            {
                "dataset": name,
                "format": source.format,
                "licence": source.licence,
                "image": "x".join(str(card["image"][side]) for side in ("channels", "height", "width")),
                "classes": card["classes"],
                **card["images"],
                "key": card["key"],
                "source": "; ".join(places) or "generated",
                "source_sha256": "; ".join(hashes),
            }
        )
    return pd.DataFrame(rows)


def explanations(records: list[Record]) -> dict[str, np.ndarray]:
    """Images and Grad-CAM maps for the report's grids: of each cell the first seed's run.

    Names: `<dataset>/index`, `<dataset>/images`, `<dataset>/labels`, `<dataset>/showcase` (how many of the first
    images are the original study's), then `<dataset>/<model>/<recipe>/{seed, predicted, cam.<stage>.<target>}`.
    """
    chosen: dict[str, np.ndarray] = {}
    for record in records:
        run, card = record.run, record.explained
        cell = f"{run.dataset}/{run.model}/{run.recipe}"
        if f"{cell}/seed" in chosen:
            continue
        found = files.read_tensors(f"{run.folder}/explanations.safetensors")
        count = card["showcase"] + SHOWN_IMAGES
        chosen[f"{run.dataset}/index"] = np.array(card["test_images"][:count])
        chosen[f"{run.dataset}/showcase"] = np.array([card["showcase"]])
        for name in ("images", "labels"):
            chosen[f"{run.dataset}/{name}"] = found.pop(name)[:count]
        chosen[f"{cell}/seed"] = np.array([run.seed])
        chosen |= {f"{cell}/{name}": value[:count] for name, value in found.items()}
    return chosen
