"""Tables of more than a run: cells, datasets, published results; and the maps that the report shows."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy import stats

from cnntention import files
from cnntention.config import Study
from cnntention.data.archives import bare
from cnntention.data.datasets import read_card
from cnntention.results import paths, tables
from cnntention.results.examined import ExaminedRun
from cnntention.results.tuning import chosen, relabelled
from cnntention.results.words import Ended

SHOWN_IMAGES = 8  # of the seeded sample, beside the showcase, in the report's Grad-CAM grids


def cell_rows(study: Study, runs: pd.DataFrame) -> Iterator[tables.CellRow]:
    for experiment in study.study.experiments:
        wanted = {run.folder for run in study.runs_of(experiment)}
        own = runs[runs["folder"].isin(wanted)]
        groups = relabelled(own, chosen(study, experiment, own)).groupby(tables.CELL, sort=False)
        for (dataset, model, recipe), cell in groups:
            scores, sound = cell["test_accuracy"], cell[cell["ended"] != Ended.DIVERGED]
            sound = sound[sound["modules"] > 0]
            low, high = (None, None) if study.datasets[dataset].all_or_none else interval(scores)
            solved = int(cell["solved"].sum()) if cell["solved"].notna().all() else None
            rate = (None, None) if solved is None else stats.binomtest(solved, len(cell)).proportion_ci()
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
                solved=solved,
                solved_low=rate[0],
                solved_high=rate[1],
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
        source = study.datasets[name].source
        card = read_card(paths.data_folder(study, name), study.datasets[name])
        yield tables.DatasetRow(
            dataset=name,
            format=source.format,
            licence=source.licence,
            image="x".join(str(card["image"][side]) for side in ("channels", "height", "width")),
            classes=card["classes"],
            class_names="; ".join(card["class_names"] or map(str, range(card["classes"]))),
            **card["images"],
            key=card["key"],
            source="; ".join(map(bare, source.places)),
            source_sha256="; ".join(source.hashes),
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


def shown_maps(runs: list[ExaminedRun]) -> dict[str, np.ndarray]:
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
        arrays = files.read_tensors(each.examination / paths.MAPS, card.sha256)
        count = card.showcase + SHOWN_IMAGES
        chosen[f"{run.dataset}/index"] = np.array(card.test_images[:count])
        chosen[f"{run.dataset}/showcase"] = np.array([card.showcase])
        for name in ("images", "labels"):
            chosen[f"{run.dataset}/{name}"] = arrays.pop(name)[:count]
        chosen[f"{cell}/seed"] = np.array([run.seed])
        chosen |= {f"{cell}/{name}": value[:count] for name, value in arrays.items()}
    return chosen
