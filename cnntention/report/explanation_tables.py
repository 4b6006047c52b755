"""The explanations' scores of all runs as tables, and whether maps agree from seed to seed. Knows no torch."""

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations_with_replacement

import numpy as np
import pandas as pd

from cnntention import files
from cnntention.config import Run
from cnntention.explanation.ranks import standardized
from cnntention.report.records import Record

RUN = ["dataset", "model", "recipe", "seed"]
PRIMARY = ("stage3", "predicted")  # the stage and target that a run is summed up by


def explanation_tables(records: list[Record]) -> dict[str, pd.DataFrame]:
    """Name -> table; a table has its columns even if nothing applies."""

    def table(rows_of: Callable[[dict], Iterable[dict]], columns: list[str]) -> pd.DataFrame:
        rows = [record.head | row for record in records for row in rows_of(record.explained)]
        return pd.DataFrame(rows, columns=RUN + columns)

    scores = ["reportable", "images", "empty", "mass", "normalized_mass", "auc"]
    road = ["road", "road_se", "morf", "lerf", "morf_unchanged", "lerf_unchanged", "images"]
    lookup = ["module", "head", "direction", "score", "se", "images"]
    return {
        "explanations": table(localisation, ["stage", "target", "method", "region", *scores]),
        "faithfulness": table(faithfulness, ["method", *road]),
        "sanity": table(sanity, ["stage", "level", "correlation", "threshold", "sane", "draws", "images"]),
        "lookup": table(look_ups, lookup),
        "agreement": agreement(records),
    }


def localisation(made: dict) -> Iterator[dict]:
    """A row a stage, target, method and region; reportable: whether the stage's maps passed randomization."""
    for stage, targets in made["scores"]["localisation"].items():
        for target, regions in targets.items():
            for region, methods in regions.items():
                for method, scores in methods.items():
                    row = {"stage": stage, "target": target, "method": method, "region": region}
                    yield row | {"reportable": made["sanity"]["sane"][stage]} | scores


def faithfulness(made: dict) -> Iterator[dict]:
    """A row a method; means over the shares of removed pixels."""
    found = made["scores"]["road"]
    for method, scores in found["methods"].items():
        means = {name: float(np.mean(value)) for name, value in scores.items()}
        yield {"method": method, "images": found["images"]} | means


def sanity(made: dict) -> Iterator[dict]:
    """A row a stage and level of randomization."""
    found = made["sanity"]
    shared = {name: found[name] for name in ("threshold", "draws", "images")}
    for stage, levels in found["correlation"].items():
        for level, correlation in levels.items():
            yield {"stage": stage, "level": level, "correlation": correlation, "sane": found["sane"][stage]} | shared


def look_ups(made: dict) -> Iterator[dict]:
    """A row a module, head and direction; 1 = as uniform attention."""
    for module, directions in made["lookup"]["modules"].items():
        for direction, heads in directions.items():
            for number, scores in enumerate(heads):
                row = {"module": module, "head": number, "direction": direction, "images": made["lookup"]["images"]}
                yield row | scores


def run_columns(record: Record) -> dict:
    """What a run's row says of its explanations: PRIMARY's maps on the primary region; the look-up of the best module.

    lookup is a mean over heads: a maximum grows with their number. lookup.csv has every head.
    """
    made = record.explained
    stage, target = PRIMARY
    scores = made["scores"]
    cams = scores["localisation"][stage][target][scores["region"]]["gradcam"] if scores["region"] else {}
    modules = [directions["match_to_cue"] for directions in made["lookup"]["modules"].values()]
    return {
        "cam_sane": made["sanity"]["sane"][stage],
        "cam_mass": cams.get("mass"),
        "cam_auc": cams.get("auc"),
        "road": scores["road"]["methods"]["gradcam"]["road"],
        "lookup": max((float(np.mean([head["score"] for head in heads])) for heads in modules), default=None),
    }


# --- agreement over seeds ---------------------------------------------------------------------------------------


def agreement(records: list[Record]) -> pd.DataFrame:
    """A row two models of one dataset and recipe, or one model with itself: how far their maps agree.

    agreement: Spearman's rho of two runs' maps (PRIMARY) of the same image, mean over the sampled images for which
    both have one, then over all pairs of runs with different seeds: equal seeds share initial weights and data order.
    of_seeds: the mean of what the two models reach each with itself; a difference between models is one if agreement
    is lower.
    """
    rows, groups = [], {}
    for record in records:
        groups.setdefault((record.run.dataset, record.run.recipe), []).append(record)
    for (dataset, recipe), own in groups.items():
        group = [record.run for record in own]
        rho = correlations(np.stack([sampled_ranks(record) for record in own]))
        models = list(dict.fromkeys(run.model for run in group))
        found = {pair: between(group, rho, *pair) for pair in combinations_with_replacement(models, 2)}
        for (a, b), row in found.items():
            alone = [found[model, model]["agreement"] for model in (a, b)]
            row |= {"of_seeds": None if None in alone else sum(alone) / 2}
            rows.append({"dataset": dataset, "recipe": recipe, "model": a, "other": b} | row)
    columns = ["dataset", "recipe", "model", "other", "agreement", "sd", "pairs", "images", "of_seeds"]
    return pd.DataFrame(rows, columns=columns)


def sampled_ranks(record: Record) -> np.ndarray:
    """(images, pixels): standardized ranks of the run's maps, without the showcase, which somebody chose."""
    maps = files.read_tensors(f"{record.run.folder}/explanations.safetensors")[f"cam.{'.'.join(PRIMARY)}"]
    return standardized(maps[record.explained["showcase"] :])


def correlations(ranked: np.ndarray) -> np.ndarray:
    """(runs, images, pixels) standardized ranks -> (images, runs, runs) Spearman's rho; NaN where a map is empty."""
    by_image = ranked.transpose(1, 0, 2)
    return by_image @ by_image.mT


def between(group: list[Run], rho: np.ndarray, model: str, other: str) -> dict:
    """Mean and sd over the pairs of runs of two models, how many pairs, and over how many images on average."""
    pairs = [
        (i, j)
        for i, one in enumerate(group)
        for j, two in enumerate(group)
        if (one.model, two.model) == (model, other) and one.seed != two.seed and (model != other or i < j)
    ]
    each = [rho[:, i, j] for i, j in pairs]
    known = [values[~np.isnan(values)] for values in each if not np.isnan(values).all()]
    means = [float(values.mean()) for values in known]
    return {
        "agreement": float(np.mean(means)) if means else None,
        "sd": float(np.std(means, ddof=1)) if len(means) > 1 else None,
        "pairs": len(means),
        "images": float(np.mean([len(values) for values in known])) if known else None,
    }
