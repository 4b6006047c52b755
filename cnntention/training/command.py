"""The train step: one run's files from the prepared data."""

import os
import time
from pathlib import Path

from torch import nn

from cnntention import device, files, precision, provenance, versions
from cnntention.config import Recipe, Run, Study
from cnntention.data.augment import load_batches
from cnntention.data.datasets import read_card
from cnntention.errors import UserError
from cnntention.models.registry import attention_modules, build, has_deterministic_form, parameter_counts
from cnntention.results.paths import data_folder
from cnntention.storage import write_weights
from cnntention.training.loop import Hooks, diverged, finished, train
from cnntention.training.progress import Progress
from cnntention.training.state import State


def train_run(study: Study, run: Run, state_file: Path, threads: int, device_name: str) -> None:
    """Train the run and write run.json, model.safetensors and history.csv into its folder."""
    began, started = time.perf_counter(), provenance.now()
    source, recipe, config = data_folder(study, run.dataset), study.recipes[run.recipe], study.models[run.model]
    where = device.choose(device_name)
    device.prepare_torch(threads, where, recipe.precision, has_deterministic_form(config))
    if warning := precision.warning(run.recipe, recipe.precision, where):
        print(f"{run.name}: {warning}", flush=True)
    card = read_card(source)
    splits = {"train": "train", "val": recipe.monitor}
    data = {use: load_batches(source, study.datasets[run.dataset], split, where) for use, split in splits.items()}
    model = build(config, card["image"]["channels"], card["classes"], run.seed).to(where)
    state, folder = State(state_file, f"{run.key}/seed{run.seed}"), Path(run.folder)
    progress, board = Progress(run.name, recipe.epochs, len(data["train"])), tensorboard(run)

    def resume(parts: dict) -> tuple[int, list[dict]]:
        done, history = state.load(parts, where)
        progress.begin(done)
        return done, history

    def on_epoch(history: list[dict], parts: dict) -> None:
        files.write_rows(folder / "history.csv", history)
        if not finished(history, recipe):
            state.save(len(history), history, parts)
        progress.epoch(history[-1])
        if board:
            for name, value in history[-1].items():
                if value is not None:
                    board.add_scalar(name, value, history[-1]["epoch"])

    with state.owned():
        try:
            history = train(model, data, recipe, run.seed, Hooks(resume, progress.step, on_epoch))
        except UserError as error:
            raise UserError(f"{run.name}: {error}") from None
        finally:
            progress.close()
        weights = write_weights(folder / "model.safetensors", model)
        times = {
            "started": started,
            "finished": provenance.now(),
            "wall_seconds": round(time.perf_counter() - began, 1),
        }
        facts = times | {"resumed_after_epochs": state.resumed, "provenance": provenance.describe(where, threads)}
        facts |= {"precision": precision.describe(recipe.precision, where)}
        files.write_json(folder / "run.json", describe(study, run, model, card, history, weights) | facts)
        state.remove()


def describe(study: Study, run: Run, model: nn.Module, card: dict, history: list[dict], weights: str) -> dict:
    """What run.json says of a run: its resolved description, the hashes of what it used and left, its outcome."""
    best, last = max(history, key=lambda row: row["val_accuracy"]), history[-1]
    dataset, recipe = study.datasets[run.dataset].model_dump(mode="json"), study.recipes[run.recipe]
    sound = [row for row in history if row["train_loss"] is not None]
    return {
        "dataset": {"name": run.dataset, "data_key": study.data_key(run.dataset)} | dataset,
        "model": {"name": run.model} | study.model_identity(run.model),
        "recipe": {"name": run.recipe} | recipe.identity(),
        "seed": run.seed,
        "key": run.key,
        "version": versions.TRAINING,
        "parameters": parameter_counts(model),
        "weights_sha256": weights,
        "weights_epoch": best["epoch"] if recipe.select == "best" else len(sound),
        "data_sha256": {split: card["files"][f"{split}.safetensors"] for split in ("train", recipe.monitor)},
        "leaks": recipe.leaks,
        "ended": ending(history, recipe),
        "last": {k: last[k] for k in ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")},
        "best": {"epoch": best["epoch"], "val_accuracy": best["val_accuracy"]},
        "gates": {name: m.gate.item() for name, m in attention_modules(model) if hasattr(m, "gate")},
        "images_per_s": round(sum(row["images_per_s"] for row in sound) / len(sound), 1) if sound else None,
        "train_seconds": round(sum(row["seconds"] for row in history), 1),
    }


def ending(history: list[dict], recipe: Recipe) -> str:
    """Why training ended: "all epochs", "early stopping" or "diverged"."""
    if diverged(history):
        return "diverged"
    return "all epochs" if len(history) == recipe.epochs else "early stopping"


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
