"""Recipes: optimizer, learning-rate schedule, and everything else about the training of a model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cnntention.config.base import Strict, may_be_partial, may_extend

Beta = Annotated[float, Field(ge=0, lt=1)]


class Optimizer(Strict, json_schema_extra=may_be_partial):
    """The update rule."""

    name: Literal["sgd", "adam", "adamw"]
    """Adam adds weight decay to the gradient (L2), AdamW does not; it matters for gates that start closed."""
    lr: float = Field(gt=0, le=1e10)
    """Peak learning rate."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """Momentum of SGD."""
    nesterov: bool = False
    """Whether SGD uses Nesterov's momentum."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay rates of the moments, for Adam and AdamW."""
    weight_decay: float = Field(0.0, ge=0, le=1e10)
    """Weight decay, as torch's optimizers define it."""
    decay_exempt: tuple[Literal["gates", "biases", "norms", "attention"], ...] = ()
    """Parameters without weight decay."""

    @model_validator(mode="after")
    def nesterov_needs_momentum(self) -> "Optimizer":
        if self.name == "sgd" and self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class Schedule(Strict, json_schema_extra=may_be_partial):
    """The learning rate over the epochs."""

    name: Literal["constant", "multistep", "cosine", "onecycle"]
    """multistep: multiplied by gamma after each milestone; cosine: to 0; onecycle: up, then to 0 (Smith 2018)."""
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """multistep: epochs after which the learning rate drops."""
    gamma: float = Field(0.1, gt=0, le=1)
    """multistep: factor of each drop."""
    warmup_epochs: float = Field(0, ge=0)
    """constant, multistep, cosine: epochs of linear warm-up."""
    peak: float = Field(0.3, gt=0, lt=1)
    """onecycle: share of the steps after which the learning rate peaks."""

    @model_validator(mode="after")
    def milestones_belong_to_multistep(self) -> "Schedule":
        if (self.name == "multistep") != bool(self.milestones):
            raise ValueError("milestones and `name: multistep` go together")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones {list(self.milestones)} must increase")
        return self


class Stop(Strict, json_schema_extra=may_be_partial):
    """Early stopping on the monitored split's error, counted as by skorch, the study's library."""

    patience: int = Field(ge=1)
    """Training ends after this many epochs in a row without improvement."""
    threshold: float = Field(1e-4, ge=0, lt=1)
    """An epoch improves if its error is below (1 - threshold) times that of the last improvement."""


class Recipe(Strict, json_schema_extra=may_extend):
    """A named way of training, the same for every model it is used on."""

    epochs: int = Field(ge=1, le=1_000_000)
    """Passes over the train split; fewer with early stopping."""
    batch_size: int = Field(128, ge=1, le=1_000_000)
    """Images per step; the smaller last batch of an epoch is used too."""
    optimizer: Optimizer
    """The update rule."""
    schedule: Schedule
    """The learning rate over the epochs."""
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """tf32: TF32 convolutions and matrix products; bf16: autocast of the forward pass. Weights and optimizer: fp32."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Label smoothing of the cross-entropy."""
    monitor: Literal["val", "test"] = "val"
    """The split scored after every epoch. test, as in the original study, leaks if it stops or selects."""
    stop: Stop | None = None
    """Early stopping; none when empty."""
    select: Literal["last", "best"] = "last"
    """Weights to keep: of the last epoch, or of the epoch with the best accuracy on the monitored split."""
    divergence: Literal["stop", "keep"] = "stop"
    """If the loss is not finite: stop with an error, or keep the run, marked, with the last finite weights."""

    @property
    def leaks(self) -> bool:
        """Whether the test split decides which weights are kept."""
        return self.monitor == "test" and (self.stop is not None or self.select == "best")

    @property
    def too_late(self) -> str:
        """What of its schedule lies behind its last epoch; empty if nothing does."""
        for key, value in {
            "milestones": self.schedule.milestones[-1:],
            "warmup_epochs": (self.schedule.warmup_epochs,),
        }.items():
            if value and value[0] >= self.epochs:
                return f"schedule.{key}: {value[0]} is not below the recipe's {self.epochs} epochs"
        return ""

    def identity(self) -> dict:
        return self.model_dump(mode="json")
