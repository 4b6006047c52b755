"""The train step: one run's files from the prepared data."""

import os
import sys
import time
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from cnntention import device, files, provenance, versions
from cnntention.config import Run, Study
from cnntention.data.augment import load_batches
from cnntention.data.datasets import read_card
from cnntention.errors import UserError
from cnntention.models.registry import attention_modules, build, parameter_counts
from cnntention.plan import data_folder
from cnntention.storage import write_weights
from cnntention.training.loop import Hooks, train
from cnntention.training.state import State


def train_run(study: Study, run: Run, state_file: Path, threads: int, device_name: str) -> None:
    """Train the run and write run.json, model.safetensors and history.csv into its folder."""
    began, started = time.perf_counter(), provenance.now()
    where = device.choose(device_name)
    device.prepare_torch(threads, where)
    source = data_folder(study, run.dataset)
    card = read_card(source)
    recipe, dataset = study.recipes[run.recipe], study.datasets[run.dataset]
    data = {split: load_batches(source, dataset, split, where) for split in ("train", "val")}
    model = build(study.models[run.model], card["image"]["channels"], card["classes"], run.seed).to(where)
    state = State(state_file, f"{run.key}/seed{run.seed}")
    folder = Path(run.folder)
    resumed: list[int] = []

    def resume(parts: dict) -> tuple[int, list[dict]]:
        done, history = state.load(parts, where)
        if done:
            resumed.append(done)
            print(f"{run.name}: going on after epoch {done} of {recipe.epochs}", flush=True)
        return done, history

    progress = Progress(run, recipe.epochs, len(data["train"]))
    board = tensorboard(run)

    def on_epoch(history: list[dict], parts: dict) -> None:
        files.write_csv(folder / "history.csv", pd.DataFrame(history))
        if len(history) < recipe.epochs:
            state.save(len(history), history, parts)
        progress.epoch(history)
        if board:
            for name, value in history[-1].items():
                board.add_scalar(name, value, history[-1]["epoch"])

    with state.owned():
        try:
            history = train(model, data, recipe, run.seed, Hooks(resume, progress.step, on_epoch))
        except UserError as error:
            raise UserError(f"{run.name}: {error}") from None
        best = max(history, key=lambda row: row["val_accuracy"])
        weights = write_weights(folder / "model.safetensors", model)
        gates = {n: m.gate.item() for n, m in attention_modules(model) if hasattr(m, "gate")}
        description = {
            "dataset": {"name": run.dataset, "data_key": study.data_key(run.dataset)} | dataset.model_dump(mode="json"),
            "model": {"name": run.model} | study.model_identity(run.model),
            "recipe": {"name": run.recipe} | recipe.identity(),
            "seed": run.seed,
            "key": run.key,
            "version": versions.TRAINING,
            "parameters": parameter_counts(model),
            "weights_sha256": weights,
            "data_sha256": {split: card["files"][f"{split}.safetensors"] for split in ("train", "val")},
            "last": {k: history[-1][k] for k in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")},
            "best": {"epoch": best["epoch"], "val_accuracy": best["val_accuracy"]},
            "gates": gates,
            "images_per_s": round(sum(r["images_per_s"] for r in history) / len(history), 1),
            "train_seconds": round(sum(row["seconds"] for row in history), 1),
            "wall_seconds": round(time.perf_counter() - began, 1),
            "resumed_after_epochs": resumed,
            "started": started,
            "finished": provenance.now(),
            "provenance": provenance.describe(where, threads),
        }
        files.write_json(folder / "run.json", description)
        state.remove()


class Progress:
    """A live bar where a person watches, one plain line an epoch otherwise."""

    def __init__(self, run: Run, epochs: int, images: int):
        self.run, self.epochs, self.images = run, epochs, images
        self.start, self.done_before = time.perf_counter(), None
        self.live = sys.stderr.isatty()
        self.bar: tqdm | None = None

    def step(self, epoch: int, seen: int, loss: float, accuracy: float) -> None:
        if self.done_before is None:
            self.done_before = epoch - 1
        if not self.live:
            return
        if self.bar is None:
            total = self.epochs * self.images
            self.bar = tqdm(total=total, initial=(epoch - 1) * self.images, unit="img", desc=self.run.name, leave=True)
        self.bar.n = (epoch - 1) * self.images + seen
        self.bar.set_postfix(epoch=f"{epoch}/{self.epochs}", loss=f"{loss:.3f}", accuracy=f"{accuracy:.1%}")

    def epoch(self, history: list[dict]) -> None:
        row = history[-1]
        if self.live and self.bar:
            if row["epoch"] == self.epochs:
                self.bar.close()
            return
        done = row["epoch"] - (self.done_before or 0)
        left = (time.perf_counter() - self.start) / done * (self.epochs - row["epoch"])
        print(
            f"{self.run.name}: epoch {row['epoch']}/{self.epochs}  lr {row['lr']:.2e}  "
            f"train loss {row['train_loss']:.3f} accuracy {row['train_accuracy']:.1%}  "
            f"val loss {row['val_loss']:.3f} accuracy {row['val_accuracy']:.1%}  "
            f"{row['images_per_s']:.0f} images/s  {left / 60:.1f} min left",
            flush=True,
        )


def tensorboard(run: Run):
    """A TensorBoard writer under $CNNTENTION_TENSORBOARD, None where that is not set."""
    folder = os.environ.get("CNNTENTION_TENSORBOARD")
    if not folder:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            "CNNTENTION_TENSORBOARD is set, but TensorBoard is not installed; pip install 'cnntention[tensorboard]'."
        ) from None
    return SummaryWriter(Path(folder) / f"{run.dataset}-{run.model}-{run.recipe}-{run.key}-seed{run.seed}")
