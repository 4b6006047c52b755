"""Recipes: the optimizer, the learning rate's course and the rest of how a model is trained."""

from typing import Literal

from pydantic import Field, model_validator

from cnntention.config.base import Strict


class Optimizer(Strict):
    """The update rule."""

    name: Literal["sgd", "adam", "adamw"]
    """Adam couples weight decay into the gradient (L2), AdamW does not: this decides whether a gate opens."""
    lr: float = Field(gt=0)
    """Peak learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Of SGD."""
    nesterov: bool = False
    """Of SGD."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of Adam and AdamW."""
    weight_decay: float = Field(0.0, ge=0)
    """As torch's optimizers define it."""
    decay_exempt: tuple[Literal["gates", "biases", "norms", "attention"], ...] = ()
    """Parameters that are not decayed."""


class Schedule(Strict):
    """The learning rate over the epochs."""

    name: Literal["constant", "multistep", "cosine", "onecycle"]
    """multistep: times gamma after each milestone; cosine: to 0; onecycle: up, then to 0 (Smith 2018)."""
    milestones: tuple[int, ...] = ()
    """Of multistep: epochs after which the rate drops."""
    gamma: float = Field(0.1, gt=0, le=1)
    """Of multistep: the factor."""
    warmup_epochs: float = Field(0, ge=0)
    """Of constant, multistep and cosine: epochs of linear warm-up."""
    peak: float = Field(0.3, gt=0, lt=1)
    """Of onecycle: the share of the steps at which the rate peaks."""

    @model_validator(mode="after")
    def milestones_belong_to_multistep(self) -> "Schedule":
        if (self.name == "multistep") != bool(self.milestones):
            raise ValueError("milestones and `name: multistep` go together")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must increase")
        return self


class Recipe(Strict):
    """A named way of training, the same for every model it is used on."""

    epochs: int = Field(ge=1)
    """Passes over the train split; the last epoch's weights are the run's result."""
    batch_size: int = Field(128, ge=1)
    """Images a step; the last, smaller batch of an epoch is used too."""
    optimizer: Optimizer
    """The update rule."""
    schedule: Schedule
    """The learning rate over the epochs."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: autocast of the forward pass; weights and optimizer stay fp32."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Of the cross-entropy."""

    def identity(self) -> dict:
        return self.model_dump(mode="json")
