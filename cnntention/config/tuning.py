"""Tuning: the same trials of learning rate and weight decay for every model of an experiment."""

import random
from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from cnntention.config.base import Strict, one_or_many

MOST_TRIALS = 100
Values = Annotated[tuple[float, ...], BeforeValidator(one_or_many), Field(min_length=1, max_length=MOST_TRIALS)]


class Tuning(Strict):
    """Every model gets the same number of trials over the same grid. Of each model the trial with the best validation
    accuracy is trained with all seeds, and compared."""

    trials: int = Field(8, ge=2, le=MOST_TRIALS)
    """How many combinations are tried, drawn from the grid; all models try the same ones, in the same order."""
    lr: Values
    """Learning rates."""
    weight_decay: Values
    """Weight decays."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the draw."""

    @model_validator(mode="after")
    def enough(self) -> "Tuning":
        if self.trials > (most := len(self.lr) * len(self.weight_decay)):
            raise ValueError(f"trials: the grid has {most} combinations (it is {self.trials}); give more values")
        return self

    @property
    def settings(self) -> list[dict[str, float]]:
        """Of the optimizer, one a trial."""
        every = [{"lr": lr, "weight_decay": decay} for lr, decay in product(self.lr, self.weight_decay)]
        return random.Random(self.seed).sample(every, self.trials)


def trial(recipe: str, number: int) -> str:
    """The recipe of a trial."""
    return f"{recipe}-trial{number}"


def tuned(recipe: str) -> str:
    """What the runs of the chosen trials are called: their recipe differs from model to model."""
    return f"{recipe}-tuned"


def with_trials(recipes: Mapping[str, Any], experiments: Any) -> dict[str, Any]:
    """The recipes, and those of all trials. What is not as it should be is left to the checks that follow."""
    made = dict(recipes)
    for experiment in experiments.values() if isinstance(experiments, Mapping) else ():
        of = experiment.get("tuning") if isinstance(experiment, Mapping) else None
        try:
            tuning = of if isinstance(of, Tuning) else Tuning.model_validate(of) if of else None
        except ValueError:
            continue
        grids = one_or_many(experiment.get("grid")) if tuning else ()
        used = [name for grid in grids if isinstance(grid, Mapping) for name in one_or_many(grid.get("recipes"))]
        for name in used:
            if isinstance(name, str) and name in recipes:
                for number, settings in enumerate(tuning.settings):
                    made[trial(name, number)] = {"extends": name, "optimizer": settings}
    return made
