"""Write and read a run's weights; open a finished run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from cnntention import device, files
from cnntention.config import Run, Study
from cnntention.data.augment import Batches, load_batches
from cnntention.data.datasets import read_card
from cnntention.errors import UserError
from cnntention.models.registry import build, has_deterministic_form
from cnntention.models.resnet import ResNet, channels_last
from cnntention.results import paths
from cnntention.results.records import RunRecord


def write_weights(path: Path, model: nn.Module) -> str:
    """Write the state dict as safetensors; returns the file's SHA-256."""
    state = {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
    files.write_tensors(path, state)
    return files.sha256(path)


@dataclass(frozen=True)
class Opened:
    """A finished run, loaded for its examination."""

    record: RunRecord
    out: Path
    """Folder for the results: examination-<key>/ in the run's folder."""
    card: dict
    """Its dataset's card."""
    batches: Batches
    """The test split, on the device."""
    model: ResNet
    """Its trained network, on the device, in evaluation mode."""
    device: torch.device


def open_run(study: Study, run: Run, threads: int, device_name: str) -> Opened:
    """Choose the device, load the run and the test split; UserError if a file is missing or is not the run's."""
    config = study.models[run.model]
    where = device.choose(device_name)
    device.prepare_torch(threads, where, deterministic=has_deterministic_form(config))
    data, out = paths.data_folder(study, run.dataset), Path(paths.examination_folder(study, run))
    record, card = RunRecord.of(run), read_card(data)
    batches = load_batches(data, study.datasets[run.dataset], "test", where)
    channels, *size = (card["image"][side] for side in ("channels", "height", "width"))
    model = build(config, channels, card["classes"], run.seed, tuple(size))
    read_weights(Path(run.folder) / "model.safetensors", record.weights_sha256, model)
    return Opened(record, out, card, batches, channels_last(model.to(where)).eval(), where)


def read_weights(path: Path, expected: str, model: nn.Module) -> None:
    """Load a state dict into the model; UserError if the file's SHA-256 is not `expected`."""
    content = files.read_bytes(path, expected)
    try:
        model.load_state_dict(load(content))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: does not fit the model ({str(error).splitlines()[0]}).") from None
