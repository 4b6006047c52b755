"""The Pareto front of accuracy against cost, as far as the seeds can tell who is on it. Knows no torch."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from cnntention.evaluation.statistics import FEWEST, NotEnoughSeeds, welch

COSTS = {"front_macs": "macs", "front_time": "training_step_ms"}


def pareto(runs: pd.DataFrame, cost: pd.DataFrame) -> pd.DataFrame:
    """A row a cell (dataset, recipe, model): mean accuracy, its 95 % t interval over seeds, costs, place on the fronts.

    runs: a row a run, with test_accuracy; cost: a row a (dataset, model). Fewer than three seeds, or seeds without any
    spread, have no interval. Accuracies are shares; `front` says what the fronts' yes, possibly and no mean.
    """
    costs = cost.set_index(["dataset", "model"])[["macs", "training_step_ms", "latency_ms"]]
    rows = []
    for (dataset, recipe), cells in runs.groupby(["dataset", "recipe"], sort=False):
        accuracy = {model: own.to_numpy() for model, own in cells.groupby("model", sort=False)["test_accuracy"]}
        own = costs.loc[[(dataset, model) for model in accuracy]].set_axis(list(accuracy))
        fronts = {name: front(accuracy, own[column]) for name, column in COSTS.items()}
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


def front(accuracy: Mapping[str, Sequence[float]], cost: Mapping[str, float]) -> dict[str, str]:
    """Whether each model is on the front; a rival of a model is one that costs as much or less.

    no: a rival is surely more accurate; yes: all rivals are surely less accurate, or there are none; possibly: the
    seeds do not tell. Sure is a difference whose 95 % Welch interval over seeds excludes 0, one pair at a time; costs
    are taken as they are.
    """
    found = {}
    for model in accuracy:
        rivals = [other for other in accuracy if other != model and cost[other] <= cost[model]]
        signs = [sign(accuracy[other], accuracy[model]) for other in rivals]
        found[model] = "no" if 1 in signs else "yes" if all(s == -1 for s in signs) else "possibly"
    return found


def sign(a: Sequence[float], b: Sequence[float]) -> int:
    """1 or -1 if mean(a) is surely above or below mean(b); 0 if the seeds do not tell."""
    try:
        low, high = welch(a, b).interval or (-np.inf, np.inf)
    except NotEnoughSeeds:
        return 0
    return int(low > 0) - int(high < 0)
