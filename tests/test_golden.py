"""What each step computed when its version was last raised. A failure means: the step's numbers have changed.

On purpose? Then raise the step's constant in cnntention/versions.py, so that what was made before is made again, and
write the new numbers here. Trained numbers differ in their last digits from machine to machine, hence the tolerance.
"""

import numpy as np
import pytest
import torch
from conftest import small_study

from cnntention import files, versions
from cnntention.config import Diagnostics, parse_study
from cnntention.data.augment import load_batches
from cnntention.data.datasets import prepare
from cnntention.evaluation.diagnose import diagnose, sample
from cnntention.evaluation.metrics import evaluate
from cnntention.explanation import cam
from cnntention.models.registry import build
from cnntention.training.loop import logits_of, train

GOLDEN = {
    "preparation": (2, "53a12e70582c9f86c67e9a05c487280a5799a5efa5410dfe389766626d974632"),
    "training": (4, {"train_loss": 2.5718, "val_loss": 2.4515}),
    "evaluation": (3, {"nll": 2.83745, "brier": 1.01830, "ece": 0.257921}),
    "diagnosis": (2, {"relative_change": 0.0647507, "entropy": 0.635856, "distance": 0.410006}),
    "explanation": (4, {"stage3": 28.7104}),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small study's model with attention, trained; its data; its history."""
    folder = tmp_path_factory.mktemp("golden")
    study = parse_study(small_study())
    dataset = study.datasets["cues"]
    prepare("cues", dataset, {}, folder)
    data = {split: load_batches(folder, dataset, split, torch.device("cpu")) for split in ("train", "val", "test")}
    net = build(study.models["looking"], 3, 10, seed=0)
    history = train(net, data, study.recipes["brief"], seed=0)
    return folder, net.eval(), data["test"], history[-1]


def check(step: str, version: int, found: dict) -> None:
    golden, numbers = GOLDEN[step]
    assert version == golden, f"versions.{step.upper()} was raised: write the step's new numbers into GOLDEN"
    assert found == pytest.approx(numbers, rel=2e-3), f"raise versions.{step.upper()}, or undo the change"


def test_preparation(made):
    version, sha256 = GOLDEN["preparation"]
    assert version == versions.PREPARATION
    assert files.sha256(made[0] / "test.safetensors") == sha256, "raise versions.PREPARATION, or undo the change"


def test_training(made):
    check("training", versions.TRAINING, {name: made[3][name] for name in ("train_loss", "val_loss")})


def test_evaluation():
    draws = np.random.Generator(np.random.Philox(0))
    scores = evaluate(draws.standard_normal((200, 10)), np.arange(200) % 10, 15)
    check("evaluation", versions.EVALUATION, {name: scores[name] for name in ("nll", "brier", "ece")})


def test_diagnosis(made):
    settings = Diagnostics(images=50, map_images=20)
    (module,) = diagnose(made[1], sample(made[2], settings), settings)["modules"]
    found = {name: getattr(module, name) for name in ("relative_change", "entropy", "distance")}
    check("diagnosis", versions.DIAGNOSIS, found)


def test_explanation(made):
    _, net, test, _ = made
    chosen = cam.sample(net, test, [0, 1, 2, 3])
    maps = cam.stored(chosen, cam.grad_cam(net, chosen.images, chosen.labels))["cam"]
    found = {"stage3": float(maps.mean())}
    check("explanation", versions.EXPLANATION, found)
    assert logits_of(net, test).shape == (96, 10)
