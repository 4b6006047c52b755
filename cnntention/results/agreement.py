"""Do two models' Grad-CAM maps differ more than one model's do from seed to seed?"""

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING

import numpy as np

from cnntention import files
from cnntention.explanation.ranks import standardized
from cnntention.results.tables import AgreementRow

if TYPE_CHECKING:
    from cnntention.results.gather import Examined


def agreement_rows(runs: "list[Examined]") -> Iterator[AgreementRow]:
    """A row two models of a dataset and recipe, over pairs of runs with different seeds: equal seeds share initial
    weights and data order. The maps are the last stage's for the predicted class, without the showcase, which somebody
    chose."""
    groups: dict[tuple[str, str], list[Examined]] = {}
    for each in runs:
        groups.setdefault((each.run.dataset, each.run.recipe), []).append(each)
    for (dataset, recipe), group in groups.items():
        rho = correlations(np.stack([sampled_ranks(each) for each in group]))
        models = list(dict.fromkeys(each.run.model for each in group))
        pairs = {pair: between(group, rho, *pair) for pair in combinations_with_replacement(models, 2)}
        for (model, other), means in pairs.items():
            alone = [pairs[same, same] for same in (model, other)]
            yield AgreementRow(
                dataset=dataset,
                recipe=recipe,
                model=model,
                other=other,
                agreement=float(np.mean(means)) if means else None,
                sd=float(np.std(means, ddof=1)) if len(means) > 1 else None,
                pairs=len(means),
                of_seeds=float(np.mean([np.mean(each) for each in alone])) if all(alone) else None,
            )


def sampled_ranks(each: "Examined") -> np.ndarray:
    """(images, pixels): standardized ranks of the run's maps."""
    maps = files.read_tensors(each.examination / "explanations.safetensors")["cam.stage3.predicted"]
    return standardized(maps[each.explanations.showcase :])


def correlations(ranked: np.ndarray) -> np.ndarray:
    """(runs, images, pixels) standardized ranks -> (images, runs, runs) Spearman's rho; NaN where a map is empty."""
    by_image = ranked.transpose(1, 0, 2)
    return by_image @ by_image.mT


def between(group: "list[Examined]", rho: np.ndarray, model: str, other: str) -> list[float]:
    """Of each pair of runs of two models with different seeds the mean over the images for which both have a map."""
    means = []
    for i, first in enumerate(group):
        for j, second in enumerate(group):
            pair = (first.run.model, second.run.model) == (model, other) and first.run.seed != second.run.seed
            if pair and (model != other or i < j) and not np.isnan(rho[:, i, j]).all():
                means.append(float(np.nanmean(rho[:, i, j])))
    return means
