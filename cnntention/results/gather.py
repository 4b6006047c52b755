"""The summarise step: the results of all runs of a study become tables."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnntention import files, provenance
from cnntention.config import Study
from cnntention.data.archives import public
from cnntention.results import paths, tables
from cnntention.results.aggregate import cell_rows, dataset_rows, published_rows, shown_maps
from cnntention.results.cards import write_card
from cnntention.results.examined import EPOCH, ExaminedRun
from cnntention.results.profiles import cost_rows, round_rows
from cnntention.results.records import Explanations, RunRecord
from cnntention.results.rows import TABLES, Row, frame
from cnntention.results.words import Ended, State

BROKEN = 0.5  # test accuracy below which a training on ten classes counts as broken down
USED = 2  # standard errors by which accuracy must fall without all attention for that to count as used


def write_tables(study: Study, out: Path, whole: Study | None = None, missing: Sequence[str] = ()) -> None:
    """Write the study's tables, then card.json. `whole`: the study of which it is a part; `missing`: its other runs."""
    runs = [ExaminedRun(study, run) for run in study.runs()]
    made = {
        "runs": [run_row(study, run) for run in runs],
        "epochs": epoch_rows(runs),
        "gates": gate_rows(runs),
        "modules": rows_of(runs, tables.ModuleRow, module_states),
        "maps": rows_of(runs, tables.MapRow, lambda run: run.explanations.localisation),
        "road": rows_of(runs, tables.RoadRow, lambda run: run.explanations.road),
        "lookup": rows_of(runs, tables.LookUpRow, lambda run: run.explanations.lookup),
        "cost": cost_rows(study, whole),
        "rounds": round_rows(study, whole),
        "datasets": dataset_rows(study),
    }
    frames = {name: frame(rows, TABLES[name]) for name, rows in made.items()}
    frames["cells"] = frame(cell_rows(study, frames["runs"]), tables.CellRow)
    frames["published"] = frame(published_rows(study, frames["runs"]), tables.PublishedRow)
    maps = shown_maps(runs)  # before anything is written, since it may find a file missing
    for name, table in frames.items():
        files.write_csv(out / f"{name}.csv", table)
    files.write_tensors(out / paths.MAPS, maps)
    files.write_json(out / "study.json", public(study.part().model_dump(mode="json")))
    facts = {"runs": len(runs), "missing": list(missing)}
    write_card(out, study.study.name, paths.study_key(study), paths.TABLE_FILES[:-1], **facts)


def rows_of(runs: list[ExaminedRun], kind: type[Row], parts) -> list[Row]:
    return [kind(**run.head, **part.model_dump()) for run in runs for part in parts(run)]


# --- runs -------------------------------------------------------------------------------------------------------


def run_row(study: Study, run: ExaminedRun) -> tables.RunRow:
    made, scores = run.made, run.metrics
    source, distance = study.datasets[run.run.dataset].source, scores.distance
    return tables.RunRow(
        **run.head,
        key=run.run.key,
        test_accuracy=scores.top1,
        test_images=scores.images,
        **{name: getattr(scores, name) for name in ("top2", "nll", "brier", "ece")},
        solved=int(scores.top1 >= source.solved_from) if source.format == "cuematch" else None,
        broken=int(made.ended is Ended.DIVERGED or scores.top1 < BROKEN),
        **{f"accuracy_{name}": getattr(distance, name, None) for name in ("near", "mid", "far")},
        distance_slope=getattr(distance, "slope", None),
        val_accuracy=made.last.val_accuracy,
        train_accuracy=made.last.train_accuracy,
        learning_area=run.history["val_accuracy"].mean(),
        epochs=made.last.epoch,
        ended=made.ended,
        leaks=made.leaks,
        **liveness(run),
        **maps_summary(run.explanations),
        parameters=made.parameters.total,
        images_per_s=made.images_per_s,
        train_seconds=made.train_seconds,
        hours=hours(made),
        resumed=len(made.resumed_after_epochs),
        precision=made.precision.asked,
        hardware=provenance.hardware(made.provenance, made.precision),
        threads=made.provenance.threads,
        device=made.provenance.device,
        torch=made.provenance.libraries["torch"],
        commit=made.provenance.commit,
        finished=made.finished,
        version=made.version,
        folder=run.run.folder,
    )


def hours(made: RunRecord) -> float:
    on = made.provenance
    share = 1 / on.gpu_settings.slots if on.gpu_settings else on.threads if on.device == "cpu" else 1
    return made.train_seconds * share / 3600


def liveness(run: ExaminedRun) -> dict[str, Any]:
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


def module_states(run: ExaminedRun) -> list[tables.ModuleState]:
    """Nothing can be said of the modules of a run that diverged."""
    lost = {"state": State.DIVERGED} if run.made.ended is Ended.DIVERGED else {}
    return [module.model_copy(update=lost) for module in run.diagnosis.modules]


# --- epochs -----------------------------------------------------------------------------------------------------


def epoch_rows(runs: list[ExaminedRun]) -> Iterator[tables.EpochRow]:
    for run in runs:
        for row in run.history[EPOCH].replace(np.nan, None).to_dict("records"):
            yield tables.EpochRow(**run.head, **row)


def gate_rows(runs: list[ExaminedRun]) -> Iterator[tables.GateRow]:
    for run in runs:
        modules = dict.fromkeys(name.split(".")[0] for name in run.history if "." in name)
        for row in run.history.replace(np.nan, None).to_dict("records"):
            for module in modules:
                values = {part: row.get(f"{module}.{part}") for part in ("gate", "query", "key", "value")}
                yield tables.GateRow(**run.head, epoch=row["epoch"], module=module, **values)
