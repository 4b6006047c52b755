"""The Pareto front of accuracy against cost, as far as the seeds can tell who is on it. Knows no torch."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cnntention.config import Statistics
from cnntention.config.claims import FRONTS
from cnntention.evaluation.statistics import FEWEST, NotEnoughSeeds, holm, welch


def pareto(runs: pd.DataFrame, cost: pd.DataFrame, settings: Statistics) -> pd.DataFrame:
    """A row a cell (dataset, recipe, model): mean accuracy, its 95 % t interval over seeds, costs, place on the fronts.

    runs: a row a run, with test_accuracy; cost: a row a (dataset, model). Fewer than three seeds, or seeds without any
    spread, have no interval. Accuracies are shares; `front` says what the fronts' yes, possibly and no mean.
    """
    costs = cost.set_index(["dataset", "model"])[["macs", "training_step_ms", "latency_ms"]]
    rows = []
    for (dataset, recipe), cells in runs.groupby(["dataset", "recipe"], sort=False):
        accuracy = {model: own.to_numpy() for model, own in cells.groupby("model", sort=False)["test_accuracy"]}
        own = costs.loc[[(dataset, model) for model in accuracy]].set_axis(list(accuracy))
        fronts = {name: front(accuracy, own[column], settings) for name, column in FRONTS.items()}
        for model, values in accuracy.items():
            low, high = interval(values)
            row = {"dataset": dataset, "recipe": recipe, "model": model, "mean": values.mean()}
            row |= {"low": low, "high": high} | own.loc[model].to_dict()
            rows.append(row | {name: found[model] for name, found in fronts.items()})
    return pd.DataFrame(rows)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's 95 % interval of the mean; NaN where there is none."""
    if len(values) < FEWEST or np.ptp(values) == 0:
        return np.nan, np.nan
    return stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))


def front(accuracy: Mapping[str, Sequence[float]], cost: Mapping[str, float], settings: Statistics) -> dict[str, str]:
    """Whether each model is on the front; a rival of a model is one that costs as much or less.

    no: a rival is surely more accurate (Welch's t over seeds, p by Holm over the model's rivals); yes: all rivals are
    surely less accurate (each p as it is, since all must be), or there are none; possibly: the seeds do not tell. Costs
    are taken as they are.
    """
    found = {}
    for model in accuracy:
        rivals = [other for other in accuracy if other != model and cost[other] <= cost[model]]
        tests = [gap(accuracy[other], accuracy[model], settings.min_seeds) for other in rivals]
        better = [p if difference > 0 else 1.0 for difference, p in tests]
        if any(p is not None and p < settings.alpha for p in holm(better)):
            found[model] = "no"
        else:
            sure = all(difference < 0 and p is not None and p < settings.alpha for difference, p in tests)
            found[model] = "yes" if sure else "possibly"
    return found


def gap(a: Sequence[float], b: Sequence[float], needs: int) -> tuple[float, float | None]:
    """mean(a) - mean(b) and Welch's p, None where there is no test."""
    try:
        test = welch(a, b, needs)
    except NotEnoughSeeds:
        return 0.0, None
    return test.difference, test.p
