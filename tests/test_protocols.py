"""Early stopping, selection, divergence and the monitored split: the protocols that an audit must be able to repeat."""

import math

import numpy as np
import pytest
import torch
from test_training import LOOKING, batches, recipe

from cnntention.config import Augmentation, Stop, load
from cnntention.errors import UserError
from cnntention.models.registry import build
from cnntention.training import loop
from cnntention.training.loop import Hooks, finished, stalled, train


def history(*errors: float) -> list[dict]:
    return [{"epoch": i, "train_loss": 1.0, "val_accuracy": 1 - e} for i, e in enumerate(errors, 1)]


class Reference:
    """skorch 1.0's EarlyStopping(lower_is_better, threshold_mode="rel"), rewritten from its documentation."""

    def __init__(self, patience, threshold):
        self.patience, self.threshold = patience, threshold
        self.misses, self.dynamic = 0, np.inf

    def stops(self, score) -> bool:
        if score < self.dynamic:
            self.misses, self.dynamic = 0, score - self.threshold * score
        else:
            self.misses += 1
        return self.misses == self.patience


@pytest.mark.parametrize("seed", range(20))
def test_early_stopping_counts_as_skorch_does(seed):
    draws = np.random.default_rng(seed)
    errors = np.round(0.3 * np.exp(-np.arange(200) / 15) + 0.1 + 0.02 * draws.random(200), 3)
    stop, reference = Stop(patience=5, threshold=0.01), Reference(5, 0.01)
    expected = next((i for i, e in enumerate(errors, 1) if reference.stops(e)), None)
    found = next((i for i in range(1, 201) if stalled(history(*errors[:i]), stop)), None)
    assert found == expected
    assert found is not None


def test_the_study_stopped_twenty_epochs_after_its_best():
    """Run 3 of its logs: best test error at epoch 128, the last epoch 148; run 20: 42 and 52 with patience 10."""
    for best, last, patience in ((128, 148, 20), (42, 52, 10)):
        errors = [*np.linspace(0.5, 0.1, best), *[0.101] * 100]
        stop = Stop(patience=patience)
        assert next(i for i in range(1, 230) if stalled(history(*errors[:i]), stop)) == last


def runner(monkeypatch, accuracies, **changes):
    """A training whose validation accuracies are these."""
    told = iter(accuracies)
    monkeypatch.setattr(loop, "score", lambda *_: (1.0, next(told)))
    data, _ = batches()
    net, weights = build(LOOKING, 3, 10, seed=1), []
    hooks = Hooks(on_epoch=lambda rows, parts: weights.append(loop.copy_of(parts["model"])))
    rows = train(net, {"train": data, "val": data}, recipe(schedule={"name": "constant"}, **changes), 1, hooks)
    return net, rows, weights


def test_training_stops_early(monkeypatch):
    _, rows, _ = runner(monkeypatch, [0.1, 0.3, 0.2, 0.25, 0.4, 0.5], epochs=6, stop={"patience": 2})
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize(("select", "epoch"), [("last", 4), ("best", 2)])
def test_the_result_is_the_last_or_the_best_epoch(monkeypatch, select, epoch):
    net, _, weights = runner(monkeypatch, [0.1, 0.3, 0.2, 0.3], epochs=4, select=select)
    for name, value in net.state_dict().items():
        assert torch.equal(value, weights[epoch - 1][name]), name


def test_a_run_that_diverges_can_be_kept_with_its_last_sound_weights():
    data, _ = batches()
    net = build(LOOKING, 3, 10, seed=1)
    wild = recipe(optimizer={"name": "sgd", "lr": 1e8}, schedule={"name": "constant"}, divergence="keep")
    before = loop.copy_of(net)
    rows = train(net, {"train": data, "val": data}, wild, 1)
    assert (len(rows), rows[-1]["train_loss"]) == (1, None)
    assert finished(rows, wild)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("rule", ["keep", "stop"])
def test_a_validation_loss_that_is_not_finite_is_a_divergence(monkeypatch, rule):
    data, _ = batches()
    net, sound = build(LOOKING, 3, 10, seed=1), []

    def broken(model, split, precision):
        """NaN after the second epoch; finite again for the weights of the first."""
        sound.append(loop.copy_of(model))
        return (math.nan, 0.1) if len(sound) == 2 else (1.0, 0.5)

    monkeypatch.setattr(loop, "score", broken)
    asked = recipe(epochs=4, divergence=rule)
    if rule == "stop":
        with pytest.raises(
            UserError, match=r"the val loss is nan after epoch 2: the run diverged; lower optimizer\.lr"
        ):
            train(net, {"train": data, "val": data}, asked, 1)
        return
    rows = train(net, {"train": data, "val": data}, asked, 1)
    assert [row["train_loss"] is None for row in rows] == [False, True]
    assert (rows[-1]["val_loss"], finished(rows, asked)) == (1.0, True)
    for name, value in net.state_dict().items():
        assert torch.equal(value, sound[0][name]), name


def test_training_images_may_be_larger_than_the_test_images():
    """The study's MNIST: 28 px, padded by 4, cropped to 32, tested at 28."""
    data, images = batches(size=28, channels=1, augment=Augmentation(crop_padding=4, crop_size=32, flip=True))
    x, _ = next(data.shuffled(50, seed=0, epoch=1))
    assert x.shape == (50, 1, 32, 32)
    assert next(data.in_order(50))[0].shape == (50, 1, 28, 28)
    # offsets reach both ends: 28 + 2 * 4 - 32 + 1 = 5 of them
    padded = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))
    assert padded.shape[-1] - 32 + 1 == 5


def test_a_crop_larger_than_the_padded_image_is_refused(tmp_path, small):
    from cnntention.config import parse_study
    from cnntention.data.augment import load_batches
    from cnntention.data.datasets import prepare

    small["datasets"]["cues"]["augment"] = {"crop_size": 40, "crop_padding": 2}
    dataset = parse_study(small).datasets["cues"]
    prepare("cues", dataset, {}, tmp_path)
    with pytest.raises(UserError, match="crop of 40 px does not fit images of 32 px padded by 2"):
        load_batches(tmp_path, dataset, "train", torch.device("cpu"))


def test_the_published_recipes_are_those_of_the_logs():
    """Optimizer, rate, decay, drops, patience of the study's final runs 1, 3, 6 and 20."""
    study = load(["config.yaml"])
    found = {
        name: (r.optimizer.name, r.optimizer.lr, r.optimizer.weight_decay, r.schedule.milestones,
               r.stop.patience if r.stop else None, r.monitor)
        for name, r in study.recipes.items() if name.startswith("published")
    }  # fmt: skip
    assert found == {
        "published-resnet20": ("sgd", 0.1, 1e-4, (91, 136), None, "test"),
        "published-resnet20-mnist": ("sgd", 0.1, 1e-4, (91, 136), 10, "test"),
        "published-attention": ("adam", 5e-4, 1e-3, (91, 115), 20, "test"),
        "published-cbam": ("adam", 5e-3, 1e-4, (45, 91, 136), 20, "test"),
    }
