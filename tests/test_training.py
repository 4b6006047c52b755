"""Training: batches, schedules, weight decay, resuming, and what happens when it diverges."""

import fcntl
import platform
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.transforms import v2

from cnntention.config import Augmentation, Model, Optimizer, Recipe, Schedule
from cnntention.data.augment import Batches
from cnntention.errors import UserError
from cnntention.models.registry import attention_state, build
from cnntention.training.loop import Hooks, clock, train
from cnntention.training.recipe import lr_factor, make_optimizer
from cnntention.training.state import State

CPU = torch.device("cpu")
LOOKING = Model(
    depth=8, width=4, attention={"stage2": {"kind": "cbam", "reduction": 2}, "stage3": {"kind": "multi-head"}}
)


def batches(count=50, channels=3, size=12, augment=None, seed=0):
    draws = np.random.default_rng(seed)
    images = draws.integers(0, 256, (count, channels, size, size), dtype=np.uint8)
    mean, sd = [0.4, 0.5, 0.6][:channels], [0.2, 0.25, 0.3][:channels]
    return Batches(images, draws.integers(0, 10, count), mean, sd, CPU, augment), images


def recipe(**changes):
    settings = {
        "epochs": 4,
        "batch_size": 16,
        "optimizer": {"name": "sgd", "lr": 0.05, "weight_decay": 5e-4},
        "schedule": {"name": "onecycle"},
    }
    return Recipe.model_validate(settings | changes)


# --- batches ----------------------------------------------------------------------------------------------------


def test_without_augmentation_a_batch_is_what_torchvision_makes():
    data, images = batches()
    expected = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.4, 0.5, 0.6], [0.2, 0.25, 0.3])])(
        torch.from_numpy(images)
    )
    found = torch.cat([x for x, _ in data.in_order(16)])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_validation_is_never_augmented():
    plain, _ = batches()
    augmented, _ = batches(augment=Augmentation(flip=True, crop_padding=2))
    for (one, _), (other, _) in zip(plain.in_order(7), augmented.in_order(7), strict=True):
        assert torch.equal(one, other)


def test_each_augmented_image_is_a_padded_crop_of_its_source_flipped_or_not():
    """Every one of the (2 p + 1)^2 x 2 variants of an image occurs, about equally often, and nothing else does."""
    pad, size = 1, 6
    data, images = batches(count=1, size=size, augment=Augmentation(flip=True, crop_padding=pad))
    padded = np.pad(images[0], ((0, 0), (pad, pad), (pad, pad)))
    variants = {}
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            crop = padded[:, top : top + size, left : left + size]
            for flip in (False, True):
                pixels = crop[:, :, ::-1] if flip else crop
                variants[(top, left, flip)] = np.ascontiguousarray(pixels)
    counts = dict.fromkeys(variants, 0)
    draws = 900
    for epoch in range(draws):
        ((image, _),) = data.shuffled(1, seed=0, epoch=epoch)
        undone = (image[0] - data.shift[:, None, None]) / data.scale[:, None, None]
        found = undone.round().to(torch.uint8).numpy()
        (name,) = [name for name, pixels in variants.items() if np.array_equal(pixels, found)]
        counts[name] += 1
    expected = draws / len(variants)
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values()), counts


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own():
    data, _ = batches(count=50)
    data.labels = torch.arange(50)
    first, again, second = (torch.cat([y for _, y in data.shuffled(16, seed=1, epoch=e)]) for e in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, torch.arange(50))


# --- recipes ----------------------------------------------------------------------------------------------------


def torch_factors(schedule, steps, per_epoch):
    """The same schedule by torch's own scheduler, as shares of the peak."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    if schedule.name == "onecycle":
        make = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=steps, pct_start=schedule.peak)
    elif schedule.name == "cosine":
        make = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    else:
        milestones = [m * per_epoch for m in schedule.milestones]
        make = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, schedule.gamma)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        make.step()
    return factors


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(name="onecycle"),
        Schedule(name="onecycle", peak=0.5),
        Schedule(name="cosine"),
        Schedule(name="multistep", milestones=(3, 5), gamma=0.2),
    ],
    ids=lambda schedule: schedule.name,
)
def test_schedules_are_torchs(schedule):
    steps, per_epoch = 56, 8
    ours = [lr_factor(schedule, step, steps, per_epoch) for step in range(steps)]
    assert ours == pytest.approx(torch_factors(schedule, steps, per_epoch), abs=1e-9)


def test_warm_up_and_constant():
    warm = Schedule(name="constant", warmup_epochs=2)
    assert [lr_factor(warm, step, 40, 4) for step in (0, 3, 7, 8, 39)] == [1 / 8, 4 / 8, 1, 1, 1]


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", ["onecycle", "cosine", "constant"])
def test_schedules_of_very_short_runs(name, steps):
    factors = [lr_factor(Schedule(name=name), step, steps, 1) for step in range(steps)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0


@pytest.mark.parametrize(
    ("exempt", "spared"),
    [
        ((), set()),
        (("gates",), {"attention.stage3.gate"}),
        (("norms",), {"bn1.weight", "layer1.0.bn1.weight"}),
        (("biases",), {"bn1.bias", "fc.bias", "attention.stage3.query.bias"}),
        (("attention",), {"attention.stage3.gate", "attention.stage3.query.weight", "attention.stage2.mlp.0.weight"}),
    ],
)
def test_what_weight_decay_leaves_alone(exempt, spared):
    net = build(LOOKING, 3, 10)
    groups = make_optimizer(net, Optimizer(name="adamw", lr=0.1, weight_decay=0.3, decay_exempt=exempt)).param_groups
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    found = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert set(found) == set(names.values())
    assert spared <= {name for name, decay in found.items() if decay == 0}
    assert found["conv1.weight"] == 0.3
    assert found["attention.stage3.key.weight"] == (0 if "attention" in exempt else 0.3)


# --- the loop ---------------------------------------------------------------------------------------------------


def trained(hooks=None, **changes):
    net = build(LOOKING, 3, 10, seed=5)
    net.fc = nn.Sequential(nn.Dropout(0.2), net.fc)  # as in a foreign module: it draws from the global generator
    data = {"train": batches(augment=Augmentation(flip=True, crop_padding=1))[0], "val": batches(seed=1)[0]}
    history = train(net, data, recipe(**changes), seed=5, hooks=hooks)
    return net, history


def comparable(history):
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in history]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_run_gives_the_same_bytes(precision):
    (one, history), (other, again) = trained(precision=precision), trained(precision=precision)
    assert comparable(history) == comparable(again)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def test_tf32_on_a_cpu_is_plain_fp32():
    (one, history), (other, again) = trained(precision="tf32"), trained(precision="fp32")
    assert comparable(history) == comparable(again)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


@pytest.mark.parametrize("divergence", ["stop", "keep"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_run_that_is_killed_at_any_step_goes_on_to_the_same_bytes(tmp_path, optimizer, divergence):
    class KilledError(Exception):
        pass

    changes = {"optimizer": {"name": optimizer, "lr": 0.01, "weight_decay": 5e-4}, "divergence": divergence}
    whole, history = trained(**changes)
    state, calls = State(tmp_path / "a/state.pt", "run"), []

    def save_then_die(rows, parts):  # at the third step or epoch of each process, so that some sessions span two epochs
        calls.append(0)
        state.save(len(rows), rows, parts)
        if len(calls) % 3 == 0:
            raise KilledError

    resume = lambda parts: state.load(parts, CPU)  # noqa: E731
    for _ in range(20):
        try:
            resumed, rows = trained(Hooks(resume=resume, after_step=save_then_die, on_epoch=save_then_die), **changes)
            break
        except KilledError:
            pass
    assert len(state.resumed) > 3
    assert comparable(rows) == comparable(history)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_another_runs_state_is_not_resumed(tmp_path):
    net = build(LOOKING, 3, 10)
    State(tmp_path / "s.pt", "one").save(3, [{"epoch": 3}], {"model": net})
    assert State(tmp_path / "s.pt", "other").load({"model": net}, CPU) == (0, [])


def test_a_finished_run_leaves_no_state_nor_half_a_one(tmp_path):
    state = State(tmp_path / "s.pt", "one")
    half, other = (tmp_path / f".tmp-8bddbb40-{name}.pt" for name in "st")
    state.save(1, [], {})
    for path in (half, other):
        path.write_bytes(b"killed while it was written")
    state.remove()
    assert list(tmp_path.iterdir()) == [other]  # another run's may be under way


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "s.pt").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(UserError, match=r"s\.pt: this training state is damaged"):
        State(tmp_path / "s.pt", "one").load({"model": build(LOOKING, 3, 10)}, CPU)


def test_two_processes_do_not_train_the_same_run(tmp_path):
    state = State(tmp_path / "s.pt", "one")
    with state.owned(), pytest.raises(UserError, match="another process is training this run"), state.owned():
        pass
    with state.owned():
        pass


def test_a_look_at_the_lock_does_not_stop_a_run(tmp_path):
    """`cnntention status` asks whether a lock is held by taking a shared one, for some microseconds."""
    (tmp_path / "s.lock").touch()
    with (tmp_path / "s.lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        timer = threading.Timer(0.05, fcntl.flock, (look, fcntl.LOCK_UN))
        timer.start()
        with State(tmp_path / "s.pt", "one").owned():
            assert (tmp_path / "s.lock").read_text() == platform.node()
        timer.join()


def test_it_learns():
    """Ten images, one a class: the network must be able to memorise them."""
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 12, 12), dtype=np.uint8)
    data = Batches(images, np.arange(10), [0.5] * 3, [0.3] * 3, CPU)
    net = build(Model(depth=8, width=8), 3, 10)
    short = recipe(epochs=40, batch_size=10, optimizer={"name": "adamw", "lr": 0.01}, schedule={"name": "constant"})
    history = train(net, {"train": data, "val": data}, short, seed=0)
    assert history[-1]["train_accuracy"] == 1.0
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_a_loss_that_is_not_finite_stops_the_run_with_a_sentence():
    with pytest.raises(UserError, match=r"training loss is (nan|inf) at epoch \d+, step \d+: .* lower optimizer\.lr"):
        trained(optimizer={"name": "sgd", "lr": 1e8}, schedule={"name": "constant"})


def test_history_has_what_its_docstring_says():
    _, history = trained()
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    for row in history:
        assert set(row) == {
            "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds", "images_per_s",
            *attention_state(build(LOOKING, 3, 10)),
        }  # fmt: skip
        assert 0 <= row["val_accuracy"] <= 1


def test_random_streams_do_not_touch_each_other():
    """A model with more parameters sees the same images in the same order."""
    orders = []
    for model in (LOOKING, Model(depth=8, width=4)):
        build(model, 3, 10, seed=5)
        data, _ = batches(augment=Augmentation(flip=True, crop_padding=1))
        orders.append(torch.cat([x for x, _ in data.shuffled(16, seed=5, epoch=1)]))
    assert torch.equal(*orders)


def test_waiting_costs_no_core_hours():
    before = clock(torch.device("cpu"))
    time.sleep(0.3)
    assert clock(torch.device("cpu")) - before < 0.1
