"""A run's weights on disk, and the network that they belong to."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from cnntention import files
from cnntention.config import Run, Study
from cnntention.errors import UserError
from cnntention.models.registry import build
from cnntention.models.resnet import ResNet


def write_weights(path: Path, model: nn.Module) -> str:
    """Store the state dict, under the parameters' names; returns the file's SHA-256."""
    state = {name: value.detach().cpu().contiguous().numpy() for name, value in model.state_dict().items()}
    files.write_tensors(path, state)
    return files.sha256(path)


def read_run(run: Run) -> dict:
    """The run's run.json."""
    return files.read_json(Path(run.folder) / "run.json")


def read_model(study: Study, run: Run, card: dict, device: torch.device) -> ResNet:
    """The run's trained network in evaluation mode; raises UserError if the file is not the one of run.json."""
    path = Path(run.folder) / "model.safetensors"
    expected = read_run(run)["weights_sha256"]
    if not path.exists() or files.sha256(path) != expected:
        raise UserError(f"{path}: is missing or not the file that run.json describes; delete the folder to retrain.")
    model = build(study.models[run.model], card["image"]["channels"], card["classes"], run.seed)
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: does not fit the model {run.model!r} ({str(error).splitlines()[0]}).") from None
    return model.to(device, memory_format=torch.channels_last).eval()
