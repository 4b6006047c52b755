"""`cnntention.load_run`: a finished run's model, ready to predict, from the run's folder and its dataset's card."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from cnntention import versions
from cnntention.config import ATTENTION_OPTIONS, Model
from cnntention.config.plugins import definitions, identity
from cnntention.data.augment import Batches
from cnntention.data.datasets import read_card
from cnntention.errors import UserError
from cnntention.models.registry import build, load_plugins
from cnntention.models.resnet import ResNet, channels_last
from cnntention.prediction.images import Fitted, fit
from cnntention.results.records import RunRecord
from cnntention.storage import read_weights
from cnntention.training.loop import logits_of


@dataclass(frozen=True)
class LoadedRun:
    """A trained network and all that it needs to predict."""

    model: ResNet
    """In evaluation mode, on the device; (N, C, H, W) normalized images -> (N, classes) logits."""
    image_size: tuple[int, int, int]
    """(C, H, W) of the dataset's images."""
    class_names: tuple[str, ...]
    """By label; the labels themselves where the dataset has no names."""
    mean: tuple[float, ...]
    """Of each channel, for pixels in [0, 1]; subtracted."""
    sd: tuple[float, ...]
    """Divided by."""
    record: RunRecord
    """run.json: dataset, model, recipe, seed, and how it was trained."""
    device: torch.device

    def normalize(self, pixels: np.ndarray) -> Tensor:
        """(N, C, H, W) uint8 -> float32 on the device, as `model` takes them."""
        batches = self.batches(pixels)
        return batches.normalized(batches.plain(slice(None)))

    def predict(self, images: Any) -> np.ndarray:
        """(N, classes) float32 probabilities, the softmax of the logits; one image is N = 1.

        images: one or several paths, PIL images, numpy arrays or tensors, of (H, W), (C, H, W), (H, W, C) or, several
        at once, with an N in front; uint8, or floats in [0, 1]. Each is converted to the dataset's channels, and if its
        size is another one, resized to `image_size` bilinearly with antialiasing, without keeping the ratio of its
        sides. Raises UserError for what is no image.
        """
        return self.probabilities(fit(images, self.image_size))

    def probabilities(self, fitted: list[Fitted]) -> np.ndarray:
        batches = self.batches(np.stack([image.pixels for image in fitted]))
        with torch.no_grad():
            return logits_of(self.model, batches).softmax(1).numpy()

    def explain(self, image: Any, out: str | Path = "explained.png") -> Path:
        """Draw an image, its Grad-CAM for the predicted class and the model's attention maps; returns `out`.

        image: as in `predict`; out: a .png or .svg. Raises UserError for what is no image.
        """
        from cnntention.prediction.picture import draw  # matplotlib is slow to import

        draw(self, image, Path(out))
        return Path(out)

    def batches(self, pixels: np.ndarray) -> Batches:
        """(N, C, H, W) uint8 as a split without labels: predictions then go the examination's way."""
        return Batches(pixels, np.zeros(len(pixels), np.int64), list(self.mean), list(self.sd), self.device)


def load_run(folder: str | Path, device: str | torch.device = "cpu", plugins: Iterable[str | Path] = ()) -> LoadedRun:
    """The trained model of a finished run.

    folder: results/runs/DATASET/MODEL/RECIPE-KEY/seedK, with run.json and model.safetensors. The dataset's card.json,
    which has the names of the classes and the normalization, is read from the project's data/, or from the folder if it
    was copied there. plugins: the files that register the run's attention modules, if these are your own. Raises
    UserError if a file is missing or changed, or is not what the run was made with.
    """
    folder, plugins = Path(folder), [str(path) for path in plugins]
    record = RunRecord.read(folder / "run.json")
    if record.version != versions.TRAINING:
        raise UserError(
            f"{folder}: was trained by another version of the training step ({record.version}, here "
            f"{versions.TRAINING}); use the code of commit {record.provenance.commit}."
        )
    config = model_of(record, folder, plugins)
    card, where = card_of(record, folder), usable(device)
    channels, height, width = (card["image"][name] for name in ("channels", "height", "width"))
    model = build(config, channels, card["classes"], record.seed, image=(height, width))
    read_weights(folder / "model.safetensors", record.weights_sha256, model)
    fixed = record.dataset["normalize"] or card
    return LoadedRun(
        model=channels_last(model.to(where)).eval(),
        image_size=(channels, height, width),
        class_names=tuple(card["class_names"] or map(str, range(card["classes"]))),
        mean=tuple(fixed["mean"]),
        sd=tuple(fixed["sd"]),
        record=record,
        device=where,
    )


def model_of(record: RunRecord, folder: Path, plugins: list[str]) -> Model:
    """The run's model, its attention kinds known; UserError if a plugin is missing or was edited."""
    made = {name: value for name, value in record.model.items() if name not in ("name", "plugins")}
    try:
        config, sources = Model.model_validate(made), definitions(plugins)
    except ValidationError as error:
        wrong = error.errors()[0]["msg"]
        raise UserError(f"{folder}/run.json: its model is none of this version of cnntention ({wrong}).") from None
    except ValueError as error:
        raise UserError(f"{error}.") from None
    own = [kind for kind in config.kinds if kind not in ATTENTION_OPTIONS]
    if own and not plugins:
        raise UserError(
            f"{folder}: its attention {own[0]!r} is a module of your own; name the Python file that registers it "
            "(plugins=[…], or --plugin)."
        )
    if identity(own, sources) != record.model.get("plugins", []):
        raise UserError(f"{folder}: its attention {own[0]!r} was made with another content of {', '.join(plugins)}.")
    load_plugins(plugins if own else ())
    return config


def card_of(record: RunRecord, folder: Path) -> dict:
    """The card of the run's dataset: a copy in the run's folder, else that in the project's data/."""
    key = record.dataset["data_key"]
    place = f"data/{record.dataset['name']}/{key}"
    project = Path(os.path.abspath(folder.joinpath(*[".."] * 6)))  # not resolve: results/ may link to another disk
    found = next((at for at in (folder, project / place) if (at / "card.json").exists()), None)
    if found is None:
        raise UserError(
            f"{folder}: the card of its dataset is missing, which has the classes' names and the normalization; copy "
            f"{place}/card.json of the project into this folder, or make it with `snakemake prepare_all`."
        )
    card = read_card(found)
    if card.get("key") != key:
        raise UserError(f"{found}/card.json: is of other data than the run's; copy there {place}/card.json.")
    return card


def usable(device: str | torch.device) -> torch.device:
    """The device; UserError if PyTorch cannot use it here."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise UserError(f"device: PyTorch cannot use {str(device)!r} here ({reason}); say cpu.") from None
