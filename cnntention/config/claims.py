"""Claims: testable sentences, the runs they are tested on, and what must hold before a test means anything."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cnntention.config.base import Strict, one_or_many

Precondition = Literal["attention_alive", "own_attention_alive", "same_recipe", "test_untouched", "maps_sane"]
Several = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
Cell = tuple[str, str, str]
"""Dataset, model, recipe."""

FRONTS = {"front_macs": "macs", "front_time": "training_step_ms"}
"""Metrics of `expect: front`, and the column of cost.csv that accuracy is set against."""


class Claim(Strict):
    """One sentence that the runs can support or refute: a metric of models against that of others, or a number.

    A claim about several datasets, several models or several to beat holds if it holds for each.
    """

    sentence: str
    """What is claimed."""
    source: str = ""
    """Who claims it, and where."""
    published: str = ""
    """What the original study measured."""
    experiment: str
    """The experiment whose runs test it."""
    metric: str = "test_accuracy"
    """A column of runs.csv, attention.csv (mean over a run's modules) or cost.csv (counted or timed); or a front."""
    model: Annotated[Several, Field(min_length=1)]
    """The model that the sentence is about, or several."""
    expect: Literal["higher", "lower", "equal", "not-lower", "front"] = "higher"
    """What the sentence says of the metric. equal: within the margin either way; not-lower: by no more than the margin;
    front (of metric front_macs, front_time): no other model of the experiment is as cheap and more accurate."""
    against: Several = ()
    """The models that it is compared with; itself when empty, by the recipes of against_recipe."""
    recipe: str | None = None
    """The recipe of the model's runs; may be left out where the experiment has one for it."""
    against_recipe: Several = ()
    """The recipes of the others; the model's own when empty."""
    value: float | None = None
    """A number to compare with, instead of models."""
    datasets: Several = ()
    """The datasets on which it must hold; all of the experiment's when empty."""
    control: str | None = None
    """A control dataset: the difference must be that much larger than the same difference there."""
    control_model: str | None = None
    """A control model: the difference between recipes must be that much larger than the same difference of it."""
    margin: float | None = Field(None, gt=0)
    """Of expect: equal and not-lower, in the metric's unit; statistics.margin when empty, for an accuracy."""
    family: str | None = None
    """Claims of one family share their chance of a false alarm (Holm). When empty: a model beside the experiment's
    baseline belongs to that table of the dataset and recipe, any other test to those of its experiment and metric."""
    preconditions: tuple[Precondition, ...] = ("attention_alive", "same_recipe", "test_untouched")
    """What voids the claim where it fails. own_attention_alive: of the claim's model alone."""

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is a share of images, for which statistics.margin is meant."""
        return "accuracy" in self.metric

    @model_validator(mode="after")
    def one_comparison(self) -> "Claim":
        models = bool(self.against or self.against_recipe)
        if self.expect == "front" or self.metric in FRONTS:
            if models or self.value is not None or self.metric not in FRONTS or self.expect != "front":
                raise ValueError(f"expect front: needs the metric {' or '.join(FRONTS)}, and nothing to compare with")
            return self
        if models == (self.value is not None):
            raise ValueError("give either `against` or `against_recipe`, runs to compare with, or `value`, a number")
        controls = [name for name in ("control", "control_model") if getattr(self, name)]
        if controls and (self.value is not None or self.expect not in ("higher", "lower") or len(controls) > 1):
            wanted = "models or recipes to compare with, expect higher or lower, and no other control"
            raise ValueError(f"{controls[0]}: needs {wanted}")
        if self.control_model and self.against:
            raise ValueError("control_model: compares recipes, so give `against_recipe` and leave `against` out")
        if self.expect in ("equal", "not-lower") and not (self.margin or self.is_accuracy):
            raise ValueError(f"expect {self.expect}: needs a `margin` in the unit of {self.metric}")
        return self


class Statistics(Strict):
    """How runs are compared."""

    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Chance of a false alarm, of each family of comparisons together."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """Chance to see the minimum detectable effect."""
    margin: float = Field(0.003, gt=0)
    """Accuracies that differ by less, as a share, count as equivalent."""
    min_seeds: int = Field(6, ge=3)
    """Below this nothing is tested. Six is the least with which an exact paired test can reach 5 %."""
    reach: float = Field(0.9, gt=0, lt=1)
    """The validation accuracy whose first epoch tells how fast a run learns (metric epochs_to_reach)."""
    resamples: int = Field(9999, ge=999)
    """Of the bootstrap intervals."""
    seed: int = Field(0, ge=0)
    """Of the bootstrap intervals."""


@dataclass(frozen=True)
class Case:
    """One comparison that a claim makes."""

    a: Cell
    b: Cell | None
    """Empty where the claim names a number, or a front."""
    control: tuple[Cell, Cell] | None = None
    """The same two on the control dataset, or of the control model."""

    @property
    def cells(self) -> list[Cell]:
        return [self.a, *filter(None, [self.b]), *(self.control or ())]


def cases(claim: Claim, cells: Iterable[Cell]) -> list[Case]:
    """The comparisons that the claim asks for, among the cells of its experiment or beyond them: those have no runs.

    Raises ValueError where a model has several recipes and the claim does not say which.
    """
    known = list(dict.fromkeys(cells))

    def one(dataset: str, model: str, recipe: str | None, key: str) -> Cell:
        recipes = [r for d, m, r in known if (d, m) == (dataset, model)]
        if recipe is None and len(recipes) > 1:
            raise ValueError(f"{model} has the recipes {', '.join(recipes)} there; name one under `{key}`")
        return dataset, model, recipe or (recipes[0] if recipes else "")

    found = []
    datasets = claim.datasets or dict.fromkeys(d for d, _, _ in known if d != claim.control)
    for dataset, model in product(datasets, claim.model):
        a = one(dataset, model, claim.recipe, "recipe")
        if claim.value is not None or claim.expect == "front":
            found.append(Case(a, None))
            continue
        for other, recipe in product(claim.against or (model,), claim.against_recipe or (claim.recipe,)):
            b, control = one(dataset, other, recipe, "against_recipe"), None
            if claim.control:
                control = one(claim.control, model, claim.recipe, "recipe"), one(claim.control, other, recipe, "recipe")
            elif claim.control_model:
                control = (dataset, claim.control_model, a[2]), (dataset, claim.control_model, b[2])
            found.append(Case(a, b, control))
    return found
