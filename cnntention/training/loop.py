"""The training loop: `train(model, data, recipe, seed) -> history`. It reads and writes no files and prints nothing."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntention.config import Recipe, Stop
from cnntention.data.augment import Batches
from cnntention.errors import UserError
from cnntention.models.registry import attention_state
from cnntention.models.resnet import channels_last
from cnntention.seeding import GlobalState, seed_all
from cnntention.training.recipe import lr_factor, make_optimizer

CHECK_EVERY = 50  # steps between checks of the loss: each check is a CPU-GPU sync point


@dataclass
class Hooks:
    """Callbacks during training; all optional."""

    resume: Callable[[dict[str, Any]], tuple[int, list[dict]]] = lambda parts: (0, [])
    """Restores `parts`; returns (epochs done, history)."""
    on_step: Callable[[int, int, float, float], None] = lambda epoch, seen, loss, accuracy: None
    """Called every CHECK_EVERY steps with the epoch, the number of images so far, and their mean loss and accuracy."""
    after_step: Callable[[list[dict], dict[str, Any]], None] = field(default=lambda history, parts: None)
    """Called within an epoch, after every step, with the history and the parts to save; may raise to stop."""
    on_epoch: Callable[[list[dict], dict[str, Any]], None] = field(default=lambda history, parts: None)
    """Called after every epoch with the history and the parts to save; may raise to stop."""


def train(
    model: nn.Module, data: dict[str, Batches], recipe: Recipe, seed: int, hooks: Hooks | None = None
) -> list[dict]:
    """Train `model` in place; data: {"train", "val"}, where val is the monitored split. Returns a row per epoch.

    A row: epoch (from 1), lr (of the last step), train_loss, train_accuracy (of the augmented batches during the
    epoch), val_loss, val_accuracy (shares), seconds (training only), images_per_s, and `registry.attention_state`. The
    model ends with the weights of the last epoch, or of the best one if the recipe selects it. If a loss, of
    training or of the monitored split, is not finite: raises UserError, or, if the recipe keeps such runs, restores the
    weights of the epoch before, and the last row has no train_loss.
    """
    hooks = hooks or Hooks()
    channels_last(model)
    optimizer, best, begun = make_optimizer(model, recipe.optimizer), Best(), Begun()
    parts = {"model": model, "optimizer": optimizer, "best": best, "begun": begun, "random": GlobalState()}
    seed_all(seed, "training")
    _, history = hooks.resume(parts)
    while not finished(history, recipe):
        epoch = len(history) + 1
        if not begun.steps:
            begun.before = copy_of(model) if recipe.divergence == "keep" else {}
        try:
            after_step = partial(hooks.after_step, history, parts)
            row = train_epoch(model, data["train"], optimizer, recipe, seed, epoch, begun, after_step, hooks.on_step)
            loss, accuracy = score(model, data["val"], recipe.precision)
            if not math.isfinite(loss):  # the last step, or the batch statistics, diverged
                raise Diverged(f"{recipe.monitor} loss is {loss} after epoch {epoch}", recipe)
        except Diverged as error:
            if recipe.divergence == "stop":
                raise UserError(str(error)) from None
            model.load_state_dict(begun.before)
            row = {"epoch": epoch, "lr": None, "train_loss": None, "train_accuracy": None}
            row |= {"seconds": 0.0, "images_per_s": 0.0}
            loss, accuracy = score(model, data["val"], recipe.precision)
        history.append(row | {"val_loss": loss, "val_accuracy": accuracy} | attention_state(model))
        if recipe.select == "best":
            best.offer(model, accuracy)
        begun.load_state_dict({})
        hooks.on_epoch(history, parts)
    if recipe.select == "best":
        model.load_state_dict(best.weights)
    return history


class Diverged(Exception):
    """A loss is not finite."""

    def __init__(self, what: str, recipe: Recipe):
        lower = f"lower optimizer.lr (it is {recipe.optimizer.lr}) or add schedule.warmup_epochs"
        super().__init__(f"the {what}: the run diverged; {lower}.")


class Best:
    """The weights with the best accuracy so far; the first ones in a tie."""

    def __init__(self):
        self.accuracy, self.weights = -1.0, {}

    def offer(self, model: nn.Module, accuracy: float) -> None:
        if accuracy > self.accuracy:
            self.accuracy, self.weights = accuracy, copy_of(model)

    def state_dict(self) -> dict:
        return {"accuracy": self.accuracy, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        self.accuracy, self.weights = state["accuracy"], state["weights"]


class Begun:
    """What of an epoch is done: steps, the sums of loss and hits (2,), and seconds; before: the weights before it."""

    def __init__(self):
        self.load_state_dict({})

    def state_dict(self) -> dict:
        return vars(self) if self.steps else {}

    def load_state_dict(self, state: dict) -> None:
        empty = {"steps": 0, "sums": torch.zeros(2), "seconds": 0.0, "before": {}}
        vars(self).update(empty | state)


def copy_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the state dict."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def finished(history: list[dict], recipe: Recipe) -> bool:
    """Whether training is over: all epochs done, the loss not finite, or no improvement for too long."""
    if not history:
        return False
    ended = len(history) >= recipe.epochs or diverged(history)
    return ended or (recipe.stop is not None and stalled(history, recipe.stop))


def diverged(history: list[dict]) -> bool:
    return history[-1]["train_loss"] is None


def stalled(history: list[dict], stop: Stop) -> bool:
    """skorch's EarlyStopping with a relative threshold, applied to the monitored error of all epochs so far."""
    bar, misses = math.inf, 0
    for row in history:
        error = 1 - row["val_accuracy"]
        bar, misses = (error * (1 - stop.threshold), 0) if error < bar else (bar, misses + 1)
    return misses >= stop.patience


def train_epoch(
    model: nn.Module,
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
    seed: int,
    epoch: int,
    begun: Begun,
    after_step: Callable[[], None],
    on_step: Callable[[int, int, float, float], None],
) -> dict:
    """One pass over the train split, or the rest of it; returns the training part of the epoch's row.

    Raises Diverged.
    """
    model.train()
    start = clock(batches.device) - begun.seconds
    per_epoch = math.ceil(len(batches) / recipe.batch_size)
    begun.sums = begun.sums.to(batches.device)  # to avoid syncs
    for images, labels in batches.shuffled(recipe.batch_size, seed, epoch, begun.steps):
        step = (epoch - 1) * per_epoch + begun.steps
        lr = recipe.optimizer.lr * lr_factor(recipe.schedule, step, recipe.epochs * per_epoch, per_epoch)
        begun.sums += train_step(model, images, labels, optimizer, lr, recipe)
        begun.steps += 1
        begun.seconds = clock(batches.device) - start
        seen = min(begun.steps * recipe.batch_size, len(batches))
        if begun.steps % CHECK_EVERY == 0 or begun.steps == per_epoch:
            loss, accuracy = (begun.sums / seen).tolist()
            if not math.isfinite(loss):
                raise Diverged(f"training loss is {loss} at epoch {epoch}, step {begun.steps}", recipe)
            on_step(epoch, seen, loss, accuracy)
        if begun.steps < per_epoch:
            after_step()
    seconds = clock(batches.device) - start
    row = {"epoch": epoch, "lr": lr, "train_loss": loss, "train_accuracy": accuracy}
    return row | {"seconds": round(seconds, 3), "images_per_s": round(seen / seconds, 1)}


def clock(device: torch.device) -> float:
    """Seconds of which differences count: on a CPU those that it worked, for each thread, so that a run costs as many
    core-hours on a busy machine as on an idle one."""
    return time.process_time() / torch.get_num_threads() if device.type == "cpu" else time.perf_counter()


def train_step(
    model: nn.Module, images: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer, lr: float, recipe: Recipe
) -> Tensor:
    """One step; returns (2,), on the device: the batch's summed loss and its hits."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    with autocast(images.device, recipe.precision):
        logits = model(images)
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=recipe.label_smoothing)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    hits = (logits.detach().argmax(1) == labels).sum()
    return torch.stack([loss.detach() * len(labels), hits])


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Autocast to bf16 if that is the recipe's precision, else disabled."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


@torch.no_grad()
def logits_of(model: nn.Module, batches: Batches, precision: str = "fp32") -> Tensor:
    """(N, classes) float32 logits of the whole split, on the CPU; sets evaluation mode."""
    model.eval()
    batch_size = 100 if batches.device.type == "cpu" else 500  # on a CPU the features then fit its cache
    parts = []
    for images, _ in batches.in_order(batch_size):
        with autocast(batches.device, precision):
            parts.append(model(images).float())
    return torch.cat(parts).cpu()  # one copy: each is a sync point


def score(model: nn.Module, batches: Batches, precision: str) -> tuple[float, float]:
    """(mean cross-entropy, top-1 accuracy) of a split."""
    logits, labels = logits_of(model, batches, precision), batches.labels.cpu()
    return F.cross_entropy(logits, labels).item(), (logits.argmax(1) == labels).double().mean().item()
