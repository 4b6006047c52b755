"""Tables of studies that nobody ran: rows whose truth is known."""

from collections.abc import Callable
from types import NoneType
from typing import Any, get_args

import numpy as np
from conftest import small_study

from cnntention.config import Run, Study, parse_study
from cnntention.judging.evidence import Evidence
from cnntention.results.rows import Row, frame
from cnntention.results.tables import TIMES, CostRow, RoundRow, RunRow

MODELS = ("tiny", "looking", "other", "wide")
TOLD = {"sentence": "It helps.", "experiment": "first", "model": "looking", "against": "tiny"}


def filled(kind: type[Row], **known: Any) -> Row:
    """A row that is empty or zero where nothing is known."""
    row = {}
    for name, field in kind.model_fields.items():
        of = field.annotation
        row[name] = None if NoneType in get_args(of) else next(iter(of)) if hasattr(of, "__members__") else of()
    return kind(**row | known)


def planned(seeds: int = 6, models: tuple[str, ...] = MODELS, datasets: tuple[str, ...] = ("cues",), **claims) -> Study:
    """The small study with these models and claims; a claim's None removes a key of TOLD."""
    config = small_study()
    config["datasets"] |= dict.fromkeys(datasets, config["datasets"]["cues"])
    config["models"] = dict.fromkeys(models, config["models"]["tiny"])
    config["experiments"]["first"]["grid"] |= {"models": list(models), "datasets": list(datasets), "seeds": seeds}
    told = {name: TOLD | claim for name, claim in claims.items()}
    config["claims"] = {n: {key: value for key, value in c.items() if value is not None} for n, c in told.items()}
    config["statistics"] = {"min_seeds": 3}
    return parse_study(config)


def evidence(study: Study, of: Callable[[Run], dict | None], costs: dict[str, dict] | None = None) -> Evidence:
    """The study's tables: the columns of runs.csv by run, None where it was not run, and by model those of cost.csv,
    and times of shape (processes, rounds)."""
    found = [(run, of(run)) for run in study.runs()]
    rows = [
        filled(RunRow, dataset=r.dataset, model=r.model, recipe=r.recipe, seed=r.seed, folder=r.folder, **columns)
        for r, columns in found
        if columns is not None
    ]
    models = {(run.dataset, run.model) for run, _ in found}
    counts, rounds = [], []
    for dataset, model in sorted(models):
        known = dict((costs or {}).get(model, {}))
        times = {name: np.asarray(known.pop(name)) for name in TIMES if name in known}
        counts.append(filled(CostRow, dataset=dataset, model=model, **known))
        for process, turn in np.ndindex(next(iter(times.values())).shape if times else (0, 0)):
            now = {name: values[process, turn] for name, values in times.items()}
            rounds.append(filled(RoundRow, dataset=dataset, model=model, process=process, round=turn, **now))
    return Evidence(frame(rows, RunRow), frame(counts, CostRow), frame(rounds, RoundRow))


def sample(mean: float, sd: float, n: int, seed: int = 0) -> np.ndarray:
    """n values with exactly this mean and sd."""
    draws = np.random.default_rng(seed).standard_normal(n)
    return mean + sd * (draws - draws.mean()) / draws.std(ddof=1)


SOUND = {"cam_sane": True, "leaks": False}


def accuracies(study: Study, costs: dict[str, dict] | None = None, **models: np.ndarray) -> Evidence:
    """Of each model one accuracy a seed."""
    return evidence(study, lambda run: SOUND | {"test_accuracy": models[run.model][run.seed]}, costs)


def holm(ps: list[float]) -> list[float]:
    """Plainly: the i-th smallest of m times m - i, never less than a smaller one's, at most 1."""
    adjusted, worst = [0.0] * len(ps), 0.0
    for i, at in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        adjusted[at] = worst = min(1.0, max(worst, ps[at] * (len(ps) - i)))
    return adjusted
