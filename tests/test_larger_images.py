"""Images larger than 32 px: from an .npz to the report, and what is said where attention does not fit."""

import numpy as np
import pytest
import torch
from test_datasets import images, labels, npz, source
from torch import nn

from cnntention import cli, device, files
from cnntention.config import parse_study
from cnntention.data import datasets
from cnntention.errors import UserError
from cnntention.examination import examine_run
from cnntention.explanation import maps
from cnntention.models.attention import Attention, MultiHead
from cnntention.results import paths
from cnntention.results.records import Explanations
from cnntention.training import capacity
from cnntention.training.command import train_run

SIDE = 96


class Stored(Attention):
    """Single-head attention that keeps its scores."""

    def __init__(self, channels, residual="plain"):
        super().__init__(residual=residual)
        self.key = nn.Conv2d(channels, channels, 1)

    def attend(self, x):
        flat, keys = x.flatten(2), self.key(x).flatten(2)
        return ((flat.mT @ keys).softmax(-1) @ flat.mT).mT.reshape(x.shape)


@pytest.fixture
def larger(tmp_path, monkeypatch, small):
    """The small study on 96 px images, prepared in the current folder."""
    monkeypatch.chdir(tmp_path)
    arrays = {"train_images": images(48, 3, SIDE, SIDE), "train_labels": labels(48, 3)}
    arrays |= {"test_images": images(20, 3, SIDE, SIDE, seed=7), "test_labels": labels(20, 3)}
    config, raw = source(tmp_path / "raw", "npz", {"archive": npz(**arrays)})
    small["datasets"]["cues"] = {"source": config, "validation_images": 16, "augment": {"crop_padding": 4}}
    small["models"]["looking"]["attention"]["stage3"]["gate_init"] = 1
    small["explanation"] = {"images": 3, "scored_images": 6, "road_images": 2}
    small["diagnostics"] = {"images": 12, "map_images": 3}
    files.write_json("study.json", small)
    study = parse_study(small)
    datasets.prepare("cues", study.datasets["cues"], raw, tmp_path / paths.data_folder(study, "cues"))
    return study


def test_96_px_to_the_report(larger, tmp_path):
    for run in larger.runs():
        train_run(larger, run, tmp_path / "state", 1, "cpu")
        examine_run(larger, run, 1, "cpu")
    folder = paths.study_folder(larger)
    for command in (
        f"profile --dataset cues --out {paths.profile_path(larger, 'cues')} --device cpu",
        f"summarise --out {folder}/tables",
        f"judge --tables {folder}/tables --out {folder}/verdicts",
        f"report --tables {folder}/tables --verdicts {folder}/verdicts --out {folder}/report",
    ):
        step, *options = command.split()
        assert cli.main([step, "--config", "study.json", *options]) == 0
    assert (tmp_path / folder / "report/index.html").exists()
    run = next(run for run in larger.runs() if run.model == "looking")
    out = tmp_path / paths.examination_folder(larger, run)
    arrays = files.read_tensors(out / "explanations.safetensors")
    assert arrays["cam"].shape[1:] == (SIDE, SIDE)
    assert arrays["attention.stage3"].shape[3:] == (SIDE // 4, SIDE // 4)
    np.testing.assert_allclose(arrays["attention.stage3"].sum((3, 4), dtype=float), 1, atol=0.02)
    assert Explanations.read(out / "explanations.json").showcase == 0


@pytest.mark.parametrize(
    ("batch", "crop", "free", "words"),
    [
        (None, None, 2**30, None),
        # 48 - 16 images, 576 places, 4 bytes a score; then the maps of one image
        (64, 96, 32 * 576**2 * 4 - 1, "a batch of 32 images for the backward pass, which takes at least 0.0 GiB"),
        (64, 96, 32 * 576**2 * 4, None),
        (8, 48, 8 * 144**2 * 4 - 1, "a batch of 8 images"),
    ],
)
def test_scores_that_do_not_fit(larger, monkeypatch, batch, crop, free, words):
    from cnntention.data.augment import load_batches
    from cnntention.models.registry import build

    run = next(run for run in larger.runs() if run.model == "looking")
    study = larger
    if batch:
        recipe = study.recipes["brief"].model_copy(update={"batch_size": batch})
        study = study.model_copy(update={"recipes": {"brief": recipe}})
    where = torch.device("cpu")
    net = build(study.models["looking"], 3, 3)
    batches = load_batches(paths.data_folder(study, "cues"), study.datasets["cues"], "train", where)
    if crop:
        batches.crop = (crop, crop)
        net.attention["stage3"] = Stored(16)
    monkeypatch.setattr(device, "free_memory", lambda where: free)
    state = torch.get_rng_state()
    if words is None:
        capacity.require(study, run, net, batches, where)
    else:
        with pytest.raises(UserError) as caught:
            capacity.require(study, run, net, batches, where)
        message = str(caught.value)
        assert message.startswith("models.looking.attention.stage3: on cues ")
        assert words in message
        assert message.endswith("fewer heads or smaller images; or lower recipes.brief.batch_size.")
    assert torch.equal(state, torch.get_rng_state())


def test_maps_that_do_not_fit_stop_the_training(larger, tmp_path, monkeypatch):
    run = next(run for run in larger.runs() if run.model == "looking")
    monkeypatch.setattr(device, "free_memory", lambda where: 2 * 576**2 * 4 - 1)
    with pytest.raises(UserError, match="examined by its attention maps, of an image at a time"):
        train_run(larger, run, tmp_path / "state", 1, "cpu")
    assert not (tmp_path / run.folder / "run.json").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_module_keeps_is_what_autograd_saves(larger, precision):
    recipe = larger.recipes["brief"].model_copy(update={"precision": precision})
    size = 4 if precision == "fp32" else 2
    where = torch.device("cpu")
    assert capacity.measured(Stored(8), 8, recipe, where).kept in (size, 4)
    assert capacity.measured(MultiHead(8, heads=2), 8, recipe, where) == capacity.Scores(0, 8)  # fused; fp32 maps
    assert capacity.measured(nn.Linear(3, 3), 8, recipe, where) == capacity.Scores(0, 0)  # it fails


def test_fewer_larger_images_at_a_time():
    """As many weights at a time as of 32 px, and at least an image."""
    assert [maps.batch_of((side, side)) for side in (24, 32, 40, 64, 96)] == [8, 8, 3, 1, 1]


def test_memory_that_is_free():
    assert 2**20 < device.free_memory(torch.device("cpu")) < 2**50
