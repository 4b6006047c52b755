"""Claims: testable sentences, the runs that test them, and the preconditions of a valid test."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from cnntention.config.base import Strict, one_or_many

Precondition = Literal["attention_used", "own_attention_used", "same_recipe", "test_untouched", "maps_sane"]
Several = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]
Cell = tuple[str, str, str]
"""Dataset, model, recipe."""

COUNTED = ("solved", "broken")
"""Metrics that are 0 or 1: their runs are counted, and counts have exact tests."""
FRONTS = {"front_macs": "macs", "front_time": "inference_ms"}
"""Metrics of `expect: front`, and the cost that accuracy is set against. A model is chosen for its use, so the time is
that of inference, of a batch."""


class Claim(Strict):
    """One sentence that runs can support or refute: a model's metric compared with other models', or with a number.

    With several datasets, models or `against`, the claim needs every one of these comparisons to hold.
    """

    sentence: str
    """What is tested."""
    claimed: str = ""
    """What was claimed, if what is tested differs from it."""
    source: str = ""
    """Who claims it, and where."""
    published: str = ""
    """What the original study measured."""
    experiment: str
    """The experiment whose runs test it."""
    metric: str = "test_accuracy"
    """A number of the tables runs or modules (mean over a run's modules); a count: macs, parameters,
    attention_parameters, attention_matrix_bytes; a time: latency_ms, inference_ms, training_step_ms; or a front:
    front_macs, front_time."""
    model: Annotated[Several, Field(min_length=1)]
    """The model that the sentence is about, or several."""
    expect: Literal["higher", "lower", "equal", "not-lower", "front"] = "higher"
    """What the sentence says of the metric. equal: differs by less than the margin; not-lower: lower by less than the
    margin, or higher; front (metric front_macs, or front_time: inference of a batch): no other model of the experiment
    is as cheap and more accurate by the margin or more."""
    against: Several = ()
    """The models that it is compared with; when empty, the model itself with the recipes of against_recipe."""
    recipe: str | None = None
    """The recipe of the model's runs; needed only if the experiment has several for it."""
    against_recipe: Several = ()
    """The recipes of the models in `against`; the recipe of `model` when empty."""
    value: float | None = None
    """A number to compare with, instead of models; of a metric that is counted (solved, broken) a share of the runs."""
    datasets: Several = ()
    """The datasets on which it must hold; all of the experiment when empty."""
    control: str | None = None
    """A control dataset, whose difference between the same models is subtracted."""
    control_model: str | None = None
    """A control model, whose difference between the same recipes is subtracted."""
    learned: str | None = None
    """A dataset that the compared models must have learned, else the verdict is void: of those that the experiment
    trains on it by the same recipe, each must have a mean test accuracy of at least 95 %."""
    margin: float | None = Field(None, gt=0)
    """Differences below it are negligible, in the metric's unit, of times as a share; for an accuracy, and a front,
    statistics.margin when empty."""
    family: str | None = None
    """Claims of one family share the chance of a false positive; the claims of one experiment when empty."""
    preconditions: tuple[Precondition, ...] = ("attention_used", "same_recipe", "test_untouched")
    """What must hold, else the verdict is void. attention_used: in most runs of each side that has attention, accuracy
    falls without it; own_attention_used: in those of `model`."""

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is a share of images, so that statistics.margin applies."""
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
        share = self.value is None or 0 <= self.value <= 1
        if self.metric in COUNTED and (controls or self.expect not in ("higher", "lower") or self.margin or not share):
            wanted = "expect higher or lower, a `value` from 0 to 1 if any, and neither control nor margin"
            raise ValueError(f"metric {self.metric}: runs are counted, which needs {wanted}")
        if self.expect in ("equal", "not-lower") and not (self.margin or self.is_accuracy):
            unit = "as a share" if self.metric.endswith("_ms") else f"in the unit of {self.metric}"
            raise ValueError(f"expect {self.expect}: needs a `margin` {unit}")
        return self


class Sequential(Strict):
    """A study that is looked at more than once, each time with more seeds."""

    looks: tuple[Annotated[int, Field(ge=3)], ...] = Field((3, 6, 10, 15, 20), min_length=1)
    """Seeds a model at each look, ascending."""
    spending: Literal["pocock", "obrien-fleming"] = "pocock"
    """How the looks share alpha (Lan and DeMets): about equally, or strict at first."""
    budget: float | None = Field(None, gt=0)
    """Hours of training, of a core or GPU, that all runs of the study may take: a look is not taken if it would exceed
    them. No limit when empty."""

    @model_validator(mode="after")
    def ascending(self) -> "Sequential":
        if list(self.looks) != sorted(set(self.looks)):
            raise ValueError("looks: give them in ascending order, each once")
        return self


class Statistics(Strict):
    """How runs are compared."""

    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Chance of any false positive in a family of tests."""
    control: Literal["family-wise", "false-discovery"] = "family-wise"
    """How p-values are adjusted within a family: family-wise by Holm, false-discovery by Benjamini-Hochberg."""
    paired: bool = False
    """Compare runs of the same seed, which share initialisation and order of the data; Welch's p stands beside it."""
    sequential: Sequential | None = None
    """When empty, the study is looked at once, with the seeds that it has."""
    power: float = Field(0.8, gt=0.5, lt=1)
    """Chance that the minimum detectable effect is detected."""
    margin: float = Field(0.003, gt=0)
    """Accuracies, as shares, that differ by less are equivalent."""
    min_seeds: int = Field(6, ge=3)
    """Runs per group below which nothing is tested. With fewer than six no exact paired test can reach 5 %."""


@dataclass(frozen=True)
class Case:
    """One comparison that a claim makes."""

    a: Cell
    b: Cell | None
    """None if the claim names a number, or a front."""
    control: tuple[Cell, Cell] | None = None
    """The same two cells on the control dataset, or for the control model."""

    @property
    def cells(self) -> list[Cell]:
        return [self.a, *filter(None, [self.b]), *(self.control or ())]


def cases(claim: Claim, cells: Iterable[Cell]) -> list[Case]:
    """The comparisons that a claim makes. A cell that is not in `cells`, those of its experiment, has no runs.

    Raises ValueError if a model has several recipes and the claim does not say which.
    """
    known = list(dict.fromkeys(cells))

    def cell_of(dataset: str, model: str, recipe: str | None, key: str) -> Cell:
        recipes = [r for d, m, r in known if (d, m) == (dataset, model)]
        if recipe is None and len(recipes) > 1:
            raise ValueError(f"{model} has the recipes {', '.join(recipes)} there; name one under `{key}`")
        return dataset, model, recipe or (recipes[0] if recipes else "")

    compared = []
    datasets = claim.datasets or dict.fromkeys(d for d, _, _ in known if d not in (claim.control, claim.learned))
    for dataset, model in product(datasets, claim.model):
        a = cell_of(dataset, model, claim.recipe, "recipe")
        if claim.value is not None or claim.expect == "front":
            compared.append(Case(a, None))
            continue
        for other, recipe in product(claim.against or (model,), claim.against_recipe or (claim.recipe,)):
            b, control = cell_of(dataset, other, recipe, "against_recipe"), None
            if claim.control:
                control = (
                    cell_of(claim.control, model, claim.recipe, "recipe"),
                    cell_of(claim.control, other, recipe, "recipe"),
                )
            elif claim.control_model:
                control = (dataset, claim.control_model, a[2]), (dataset, claim.control_model, b[2])
            compared.append(Case(a, b, control))
    return compared


def gate(claim: Claim, cells: Iterable[Cell]) -> list[Cell]:
    """The cells of the compared models on the dataset that they must have learned; a model without one is not asked.

    Raises ValueError if there is none, and as `cases` does.
    """
    known = list(dict.fromkeys(cells))
    compared = {cell[1:] for case in cases(claim, known) for cell in case.cells}
    found = [cell for cell in known if cell[0] == claim.learned and cell[1:] in compared]
    if claim.learned and not found:
        raise ValueError(f"learned: none of the compared models has runs on {claim.learned}")
    return found
