"""The train step: train a run and write its files."""

import time
from pathlib import Path

import torch
from torch import nn

from cnntention import device, files, precision, provenance, versions
from cnntention.config import Model, Recipe, Run, Study
from cnntention.data.archives import public
from cnntention.data.augment import load_batches
from cnntention.data.datasets import read_card
from cnntention.errors import UserError
from cnntention.models.controls import uncontrolled
from cnntention.models.registry import attention_modules, build, has_deterministic_form, is_gate, parameter_counts
from cnntention.models.trial import blamed
from cnntention.results.paths import data_folder
from cnntention.results.records import LastEpoch, RunRecord
from cnntention.results.words import Ended
from cnntention.storage import write_weights
from cnntention.training import capacity
from cnntention.training.loop import Hooks, diverged, finished, train
from cnntention.training.pause import Pause
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
    capacity.require(study, run, data["train"], where)
    model = made(config, card, run.seed, study.datasets[run.dataset].augment.crop_size).to(where)
    state, folder = State(state_file, f"{run.key}/seed{run.seed}"), Path(run.folder)
    progress, pause = Progress(run.name, recipe.epochs, len(data["train"])), Pause()

    def resume(parts: dict) -> tuple[int, list[dict]]:
        done, history = state.load(parts, where)
        progress.begin(done)
        return done, history

    def after_step(history: list[dict], parts: dict) -> None:
        if pause.due():
            state.save(len(history), history, parts)
            pause.taken(run.name, f"within epoch {len(history) + 1}")

    def on_epoch(history: list[dict], parts: dict) -> None:
        files.write_rows(folder / "history.csv", history)
        left = not finished(history, recipe)
        if left:
            state.save(len(history), history, parts)
        progress.epoch(history[-1])
        if left:
            pause.taken(run.name, f"after epoch {len(history)}")

    with state.owned(), pause.listening():
        try:
            history = train(model, data, recipe, run.seed, Hooks(resume, progress.step, after_step, on_epoch))
        except UserError as error:
            raise UserError(f"{run.name}: {error}") from None
        finally:
            progress.close()
        hashes = {
            "weights_sha256": write_weights(folder / "model.safetensors", model),
            "history_sha256": files.sha256(folder / "history.csv"),
        }
        times = {
            "started": started,
            "finished": provenance.now(),
            "wall_seconds": round(time.perf_counter() - began, 1),
        }
        facts = times | {"resumed_after_epochs": state.resumed, "provenance": provenance.describe(where, threads)}
        facts |= {"precision": precision.describe(recipe.precision, where)}
        facts |= describe(study, run, model, card, history) | hashes
        RunRecord.model_validate(facts).write(folder / "run.json")
        state.remove()


def made(config: Model, card: dict, seed: int, crop_size: int | None) -> nn.Module:
    """The untrained network; UserError if its attention does not work on the dataset's images or on crops of them."""
    channels, *size = (card["image"][side] for side in ("channels", "height", "width"))
    model = build(config, channels, card["classes"], seed, tuple(size))
    if crop_size:
        key = f"datasets.{card['name']}.augment.crop_size"
        with torch.no_grad(), blamed(f"{key}: the attention does not work on crops of {crop_size} px"):
            model.eval()(torch.zeros(1, channels, crop_size, crop_size))
    return model.train()


def describe(study: Study, run: Run, model: nn.Module, card: dict, history: list[dict]) -> dict:
    """The fields of run.json that depend neither on time nor on the machine."""
    best = max(history, key=lambda row: row["val_accuracy"])
    dataset, recipe = study.datasets[run.dataset].model_dump(mode="json"), study.recipes[run.recipe]
    modules = [(name, uncontrolled(module)) for name, module in attention_modules(model)]
    finite = [row for row in history if row["train_loss"] is not None]
    return {
        "dataset": {"name": run.dataset, "data_key": study.data_key(run.dataset)} | public(dataset),
        "model": {"name": run.model} | study.model_identity(run.model),
        "recipe": {"name": run.recipe} | recipe.identity(),
        "seed": run.seed,
        "key": run.key,
        "version": versions.TRAINING,
        "parameters": parameter_counts(model),
        "weights_epoch": best["epoch"] if recipe.select == "best" else len(finite),
        "data_sha256": {split: card["files"][f"{split}.safetensors"] for split in ("train", recipe.monitor)},
        "leaks": recipe.leaks,
        "ended": ending(history, recipe),
        "last": {name: history[-1][name] for name in LastEpoch.model_fields},
        "gates": {name: m.gate.item() for name, m in modules if is_gate(getattr(m, "gate", None))},
        "images_per_s": round(sum(row["images_per_s"] for row in finite) / len(finite), 1) if finite else None,
        "train_seconds": round(sum(row["seconds"] for row in history), 1),
    }


def ending(history: list[dict], recipe: Recipe) -> Ended:
    if diverged(history):
        return Ended.DIVERGED
    return Ended.ALL_EPOCHS if len(history) == recipe.epochs else Ended.EARLY_STOPPING
