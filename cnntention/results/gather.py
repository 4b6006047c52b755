"""The summarise step: the results of all runs of a study become tables."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from cnntention import files, provenance
from cnntention.config import Study
from cnntention.results import paths, tables
from cnntention.results.profiles import cost_rows
from cnntention.results.records import Diagnosis, Explanations, Finished, Metrics
from cnntention.results.rows import TABLES, Row, frame
from cnntention.results.words import Ended, State

USED = 2  # standard errors by which accuracy must fall without all attention for that to count as used
EPOCH = [name for name in tables.EpochRow.model_fields if name not in tables.OfRun.model_fields]
SHOWN_IMAGES = 8  # of the seeded sample, beside the showcase, in the report's Grad-CAM grids


class Examined(Finished):
    """A run with its examination; UserError if a file is not the one that its JSON describes."""

    def __init__(self, study: Study, run):
        super().__init__(study, run)
        self.metrics: Metrics = self.read(Metrics, "metrics.json")
        self.diagnosis: Diagnosis = self.read(Diagnosis, "attention.json")
        self.explanations: Explanations = self.read(Explanations, "explanations.json")
        check(self.folder / "model.safetensors", self.made.weights_sha256)
        check(self.examination / "predictions.safetensors", self.metrics.predictions_sha256)
        check(self.examination / "explanations.safetensors", self.explanations.sha256)
        self.history = self.read_history()

    def read_history(self) -> pd.DataFrame:
        """Its epochs, all numbers."""
        path = self.folder / "history.csv"
        with files.readable(path):
            found = files.read_csv(path).astype(float)
            if set(EPOCH) - set(found) or found["epoch"].tolist() != list(range(1, self.made.last.epoch + 1)):
                raise ValueError("not the epochs that run.json tells of")
        return found


def check(path: Path, sha256: str) -> None:
    with files.readable(path):
        if files.sha256(path) != sha256:
            raise ValueError("its SHA-256 is not the one in the JSON beside it")


def write_tables(study: Study, out: Path) -> None:
    """Write the study's tables, then card.json."""
    runs = [Examined(study, run) for run in study.runs()]
    made = {
        "runs": [run_row(study, run) for run in runs],
        "epochs": epoch_rows(runs),
        "gates": gate_rows(runs),
        "modules": rows_of(runs, tables.ModuleRow, lambda run: module_states(run)),
        "maps": rows_of(runs, tables.MapRow, lambda run: run.explanations.localisation),
        "road": rows_of(runs, tables.RoadRow, lambda run: run.explanations.road),
        "lookup": rows_of(runs, tables.LookUpRow, lambda run: run.explanations.lookup),
        "cost": cost_rows(study),
        "datasets": dataset_rows(study),
    }
    frames = {name: frame(rows, TABLES[name]) for name, rows in made.items()}
    frames["cells"] = frame(cell_rows(study, frames["runs"]), tables.CellRow)
    frames["published"] = frame(published_rows(study, frames["runs"]), tables.PublishedRow)
    for name, table in frames.items():
        files.write_csv(out / f"{name}.csv", table)
    files.write_tensors(out / "explanations.safetensors", shown_maps(runs))
    files.write_json(out / "study.json", study.part().model_dump(mode="json"))
    written = [f"{name}.csv" for name in frames] + ["explanations.safetensors", "study.json"]
    write_card(out, study.study.name, paths.study_key(study), written, runs=len(runs))


def write_card(out: Path, study: str, key: str, written: Iterable[str], **more: Any) -> None:
    """card.json: what a folder of the study's results is, who made it, and the hashes of its files."""
    card = {"study": study, "key": key, **more, "made": provenance.now(), "provenance": provenance.describe()}
    files.write_json(out / "card.json", card | {"sha256": {name: files.sha256(out / name) for name in written}})


def rows_of(runs: list[Examined], kind: type[Row], parts) -> list[Row]:
    return [kind(**run.head, **part.model_dump()) for run in runs for part in parts(run)]


# --- runs -------------------------------------------------------------------------------------------------------


def run_row(study: Study, run: Examined) -> tables.RunRow:
    made, scores = run.made, run.metrics
    source, distance = study.datasets[run.run.dataset].source, scores.distance
    accuracy = run.history["val_accuracy"]
    reached = np.flatnonzero(accuracy >= study.statistics.reach)
    return tables.RunRow(
        **run.head,
        key=run.run.key,
        test_accuracy=scores.top1,
        test_images=scores.images,
        **{name: getattr(scores, name) for name in ("top2", "nll", "brier", "ece")},
        solved=int(scores.top1 >= source.solved_from) if source.format == "cuematch" else None,
        **{f"accuracy_{name}": getattr(distance, name, None) for name in ("near", "mid", "far")},
        distance_slope=getattr(distance, "slope", None),
        val_accuracy=made.last.val_accuracy,
        train_accuracy=made.last.train_accuracy,
        learning_area=accuracy.mean(),
        epochs_to_reach=int(reached[0]) + 1 if len(reached) else None,
        epochs=made.last.epoch,
        ended=made.ended,
        leaks=made.leaks,
        **liveness(run),
        **maps_summary(run.explanations),
        parameters=made.parameters.total,
        images_per_s=made.images_per_s or 0.0,
        train_seconds=made.train_seconds,
        resumed=len(made.resumed_after_epochs),
        precision=made.precision.asked,
        hardware=provenance.hardware(made.provenance, made.precision.model_dump()),
        threads=made.provenance["threads"],
        device=made.provenance["device"],
        torch=made.provenance["libraries"]["torch"],
        commit=made.provenance["commit"],
        finished=made.finished,
        version=made.version,
        folder=run.run.folder,
    )


def liveness(run: Examined) -> dict[str, Any]:
    """Empty, but for the count, if the model has no attention or the run diverged."""
    states, without = [module.state for module in run.diagnosis.modules], run.diagnosis.without_all
    row = {"modules": len(states), "modules_alive": None, "attention_alive": None, "attention_used": None}
    row["accuracy_without_attention"] = None
    if not states or run.made.ended is Ended.DIVERGED:
        return row
    row |= {"modules_alive": states.count(State.ALIVE), "attention_alive": State.ALIVE in states}
    # No part of attention_alive: attention that is at work and useless is a finding, not a failed precondition.
    row["attention_used"] = without.drop > USED * without.drop_se
    return row | {"accuracy_without_attention": without.accuracy}


def maps_summary(found: Explanations) -> dict[str, Any]:
    """lookup is a mean over heads: a maximum grows with their number."""
    cam = next((score for score in found.localisation if score.method == "gradcam"), None)
    heads: dict[str, list[float]] = {}
    for row in found.lookup:
        if row.direction == "match_to_cue":
            heads.setdefault(row.module, []).append(row.score)
    return {
        "cam_sane": found.sanity.sane,
        "cam_correlation": found.sanity.correlation,
        "cam_mass": getattr(cam, "mass", None),
        "cam_auc": getattr(cam, "auc", None),
        "road": next(row.road for row in found.road if row.method == "gradcam"),
        "lookup": max((float(np.mean(scores)) for scores in heads.values()), default=None),
    }


def module_states(run: Examined) -> list[tables.ModuleState]:
    """Nothing can be said of the modules of a run that diverged."""
    lost = {"state": State.DIVERGED} if run.made.ended is Ended.DIVERGED else {}
    return [module.model_copy(update=lost) for module in run.diagnosis.modules]


# --- epochs -----------------------------------------------------------------------------------------------------


def epoch_rows(runs: list[Examined]) -> Iterator[tables.EpochRow]:
    for run in runs:
        for row in run.history[EPOCH].replace(np.nan, None).to_dict("records"):
            yield tables.EpochRow(**run.head, **row)


def gate_rows(runs: list[Examined]) -> Iterator[tables.GateRow]:
    for run in runs:
        modules = dict.fromkeys(name.split(".")[0] for name in run.history if "." in name)
        for row in run.history.replace(np.nan, None).to_dict("records"):
            for module in modules:
                values = {part: row.get(f"{module}.{part}") for part in ("gate", "query", "key", "value")}
                yield tables.GateRow(**run.head, epoch=row["epoch"], module=module, **values)


# --- cells, datasets, published ---------------------------------------------------------------------------------


def cell_rows(study: Study, runs: pd.DataFrame) -> Iterator[tables.CellRow]:
    for experiment in study.study.experiments:
        wanted = {run.folder for run in study.runs_of(experiment)}
        groups = runs[runs["folder"].isin(wanted)].groupby(["dataset", "model", "recipe"], sort=False)
        for (dataset, model, recipe), cell in groups:
            scores, sound = cell["test_accuracy"], cell[cell["ended"] != Ended.DIVERGED]
            sound = sound[sound["modules"] > 0]
            low, high = interval(scores)
            yield tables.CellRow(
                experiment=experiment,
                dataset=dataset,
                model=model,
                recipe=recipe,
                n=len(cell),
                mean=scores.mean(),
                sd=scores.std(ddof=1) if len(cell) > 1 else None,
                low=low,
                high=high,
                min=scores.min(),
                max=scores.max(),
                solved=int(cell["solved"].sum()) if cell["solved"].notna().all() else None,
                diverged=int((cell["ended"] == Ended.DIVERGED).sum()),
                alive=int(sound["attention_alive"].sum()) if len(sound) else None,
                used=int(sound["attention_used"].sum()) if len(sound) else None,
                seeds=" ".join(map(str, cell["seed"])),
            )


def interval(values: pd.Series) -> tuple[float | None, float | None]:
    """Student's 95 % interval of the mean of three runs or more, unless all are the same."""
    if len(values) < 3 or np.ptp(values) == 0:
        return None, None
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return float(low), float(high)


def dataset_rows(study: Study) -> Iterator[tables.DatasetRow]:
    for name in study.datasets_used():
        card, source = files.read_json(f"{paths.data_folder(study, name)}/card.json"), study.datasets[name].source
        archives = source.archives.values()
        yield tables.DatasetRow(
            dataset=name,
            format=source.format,
            licence=source.licence,
            image="x".join(str(card["image"][side]) for side in ("channels", "height", "width")),
            classes=card["classes"],
            class_names="; ".join(card["class_names"] or map(str, range(card["classes"]))),
            **card["images"],
            key=card["key"],
            source="; ".join(archive.urls[0] for archive in archives) or "generated",
            source_sha256="; ".join(archive.sha256 for archive in archives),
        )


def published_rows(study: Study, runs: pd.DataFrame) -> Iterator[tables.PublishedRow]:
    for entry, dataset in [(each, name) for each in study.part().published for name in each.dataset]:
        head = entry.model_dump() | {"dataset": dataset}
        ours = runs[(runs["dataset"] == dataset) & (runs["model"] == entry.model)]
        if ours.empty:
            yield tables.PublishedRow(**head, our_recipe="", our_error=None, our_sd=None, n=0)
        for recipe, cell in ours.groupby("recipe", sort=False):
            errors = 100 * (1 - cell["test_accuracy"])
            sd = errors.std(ddof=1) if len(cell) > 1 else None
            yield tables.PublishedRow(**head, our_recipe=recipe, our_error=errors.mean(), our_sd=sd, n=len(cell))


# --- maps to show -----------------------------------------------------------------------------------------------


def shown_maps(runs: list[Examined]) -> dict[str, np.ndarray]:
    """Images and maps for the report's grids: of each cell the first run.

    Names: `<dataset>/index`, `<dataset>/images`, `<dataset>/labels`, `<dataset>/showcase` (how many of the first
    images are the showcase), then `<dataset>/<model>/<recipe>/{seed, predicted, cam, …}`.
    """
    chosen: dict[str, np.ndarray] = {}
    for each in runs:
        run, card = each.run, each.explanations
        cell = f"{run.dataset}/{run.model}/{run.recipe}"
        if f"{cell}/seed" in chosen:
            continue
        path = each.examination / "explanations.safetensors"
        arrays, count = files.read_tensors(path), card.showcase + SHOWN_IMAGES
        chosen[f"{run.dataset}/index"] = np.array(card.test_images[:count])
        chosen[f"{run.dataset}/showcase"] = np.array([card.showcase])
        for name in ("images", "labels"):
            chosen[f"{run.dataset}/{name}"] = arrays.pop(name)[:count]
        chosen[f"{cell}/seed"] = np.array([run.seed])
        chosen |= {f"{cell}/{name}": value[:count] for name, value in arrays.items()}
    return chosen
