"""Recipes: the optimizer, the learning rate's course and the rest of how a model is trained."""

from typing import Literal

from pydantic import Field, model_validator

from cnntention.config.base import Strict, may_be_partial, may_extend


class Optimizer(Strict, json_schema_extra=may_be_partial):
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


class Schedule(Strict, json_schema_extra=may_be_partial):
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


class Stop(Strict, json_schema_extra=may_be_partial):
    """Early stopping on the monitored split's error, as skorch counts it (the study's library)."""

    patience: int = Field(ge=1)
    """Epochs in a row without improvement after which training ends."""
    threshold: float = Field(1e-4, ge=0, lt=1)
    """An improvement is an error below the last improvement's error times (1 - threshold)."""


class Recipe(Strict, json_schema_extra=may_extend):
    """A named way of training, the same for every model it is used on."""

    epochs: int = Field(ge=1)
    """Passes over the train split, at most."""
    batch_size: int = Field(128, ge=1)
    """Images a step; the last, smaller batch of an epoch is used too."""
    optimizer: Optimizer
    """The update rule."""
    schedule: Schedule
    """The learning rate over the epochs."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """tf32: TF32 convolutions and matrix products; bf16: autocast of the forward pass. Weights and optimizer: fp32."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Of the cross-entropy."""
    monitor: Literal["val", "test"] = "val"
    """The split that is scored after every epoch. test, as the original study did, leaks if it stops or selects."""
    stop: Stop | None = None
    """Early stopping; none when empty."""
    select: Literal["last", "best"] = "last"
    """The run's result: the weights of the last epoch, or of the one with the best accuracy on the monitored split."""
    divergence: Literal["stop", "keep"] = "stop"
    """When the loss is not finite: stop with an error, or end the run there, marked, with the last sound weights."""

    @property
    def leaks(self) -> bool:
        """Whether the test split decides which weights are the result."""
        return self.monitor == "test" and (self.stop is not None or self.select == "best")

    def identity(self) -> dict:
        return self.model_dump(mode="json")
