"""Claims: testable sentences, the runs they are tested on, and what must hold before a test means anything."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cnntention.config.base import Strict, one_or_many

Precondition = Literal["attention_alive", "same_recipe", "test_untouched", "maps_sane"]
Several = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]


class Claim(Strict):
    """One sentence that the runs can support or refute: a metric of one model against that of others, or a number.

    A claim about several datasets or several models to beat holds if it holds for each.
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
    """A column of runs.csv, attention.csv (mean over a run's modules), cost.csv (counted or timed) or pareto.csv."""
    model: str
    """The model that the sentence is about."""
    expect: Literal["higher", "lower", "equal", "front"] = "higher"
    """What the sentence says of the metric. equal: within the margin either way; front: none is better and cheaper."""
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
    margin: float | None = Field(None, gt=0)
    """Of expect: equal, in the metric's unit; statistics.margin when empty."""
    family: str | None = None
    """Claims of one family share their chance of a false alarm (Holm); the experiment's name when empty."""
    preconditions: tuple[Precondition, ...] = ("attention_alive", "same_recipe", "test_untouched")
    """What voids the claim where it fails."""

    @model_validator(mode="after")
    def one_comparison(self) -> "Claim":
        models = bool(self.against or self.against_recipe)
        if self.expect == "front":
            if models or self.value is not None or not self.metric.startswith("front_"):
                raise ValueError("expect front: needs a metric of pareto.csv (front_macs, front_time) and nothing else")
            return self
        if models == (self.value is not None):
            raise ValueError("give either `against` or `against_recipe`, runs to compare with, or `value`, a number")
        if self.control and self.value is not None:
            raise ValueError("control: needs `against`, models to compare with")
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
    """One comparison that a claim makes: cells, a cell being (dataset, model, recipe)."""

    a: tuple[str, str, str]
    b: tuple[str, str, str] | None
    """Empty where the claim names a number."""
    control: tuple[tuple[str, str, str], tuple[str, str, str]] | None = None
    """The same two on the control dataset."""

    @property
    def cells(self) -> list[tuple[str, str, str]]:
        return [self.a, *filter(None, [self.b]), *(self.control or ())]


def cases(claim: Claim, cells: Iterable[tuple[str, str, str]]) -> list[Case]:
    """The claim's comparisons among the (dataset, model, recipe) cells of its experiment; none if they are not there.

    Raises ValueError where a model has several recipes and the claim does not say which.
    """
    known = list(dict.fromkeys(cells))

    def one(dataset: str, model: str, recipe: str | None, key: str) -> tuple[str, str, str] | None:
        recipes = [r for d, m, r in known if (d, m) == (dataset, model)]
        if recipe is None and len(recipes) > 1:
            raise ValueError(f"{model} has the recipes {', '.join(recipes)} there; name one under `{key}`")
        wanted = recipes[0] if recipe is None and recipes else recipe
        return (dataset, model, wanted) if wanted in recipes else None

    found = []
    datasets = claim.datasets or dict.fromkeys(d for d, _, _ in known if d != claim.control)
    for dataset in datasets:
        a = one(dataset, claim.model, claim.recipe, "recipe")
        if claim.value is not None or claim.expect == "front":
            found += [Case(a, None)] if a else []
            continue
        for model in claim.against or (claim.model,):
            for recipe in claim.against_recipe or (claim.recipe,):
                b = one(dataset, model, recipe, "against_recipe")
                control = None
                if claim.control:
                    pairs = ((claim.model, claim.recipe), (model, recipe))
                    control = tuple(one(claim.control, *pair, "recipe") for pair in pairs)
                if a and b and (control is None or all(control)):
                    found.append(Case(a, b, control))
    return found
