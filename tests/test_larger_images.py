"""Images larger than 32 px: from an .npz to the report, and what is said where attention does not fit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from test_datasets import images, labels, npz, source

from cnntention import cli, device, files
from cnntention.config import load, parse_study
from cnntention.data import datasets
from cnntention.data.augment import load_batches
from cnntention.errors import UserError
from cnntention.examination import examine_run
from cnntention.explanation import maps
from cnntention.models import registry
from cnntention.models.attention import KINDS
from cnntention.results import paths
from cnntention.results.records import Explanations
from cnntention.training import capacity
from cnntention.training.command import train_run

SIDE = 96


STORED = """
from torch import nn
from cnntention.models.attention import Attention, register


@register("stored")
class Stored(Attention):  # single-head attention that keeps its scores
    def __init__(self, channels, **residual):
        super().__init__(**residual)
        self.key = nn.Conv2d(channels, channels, 1)

    def attend(self, x):
        flat, keys = x.flatten(2), self.key(x).flatten(2)
        return ((flat.mT @ keys).softmax(-1) @ flat.mT).mT.reshape(x.shape)


@register("of-another-size")
class Sized(Stored):
    def attend(self, x):
        assert x.shape[2] != 17
        return super().attend(x)
"""


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
    Path("stored.py").write_text(STORED)
    for kind in ("stored", "of-another-size"):  # of the test before, from its folder
        monkeypatch.delitem(KINDS, kind, raising=False)
    small["plugins"] = ["stored.py"]
    kinds = {"stored": {"kind": "stored"}, "sized": {"kind": "of-another-size"}}
    small["models"] |= {name: {"depth": 8, "width": 4, "attention": {"stage3": kind}} for name, kind in kinds.items()}
    small["models"]["blocks"] = small["models"]["stored"] | {"depth": 14, "placement": "block"}
    files.write_json("study.json", small)
    study = parse_study(small)
    registry.check(study)
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


def required(study, model, batch, crop, free, monkeypatch):
    """Checks a run of another model and batch size."""
    where, [run] = torch.device("cpu"), [run for run in study.runs() if run.model == "looking"]
    recipe = study.recipes["brief"].model_copy(update={"batch_size": batch})
    study = study.model_copy(update={"recipes": {"brief": recipe}})
    batches = load_batches(paths.data_folder(study, "cues"), study.datasets["cues"], "train", where)
    batches.crop = (crop, crop)
    monkeypatch.setattr(device, "free_memory", lambda where: free)
    state = torch.get_rng_state()
    try:
        capacity.require(study, dataclasses.replace(run, model=model), batches, where)
    finally:
        assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("model", "batch", "crop", "needs"),
    [
        ("stored", 64, 96, 32 * 576**2 * 4),  # 48 - 16 images, 576 places, 4 bytes a score
        ("stored", 8, 48, 8 * 144**2 * 4),
        ("blocks", 8, 96, 2 * 8 * 576**2 * 4),
    ],
)
def test_scores_that_do_not_fit(larger, monkeypatch, model, batch, crop, needs):
    required(larger, model, batch, crop, needs, monkeypatch)
    with pytest.raises(UserError) as caught:
        required(larger, model, batch, crop, needs - 1, monkeypatch)
    message = str(caught.value)
    assert message.startswith(f"models.{model}.attention.stage3: on cues ")
    assert f"a batch of {min(batch, 32)} images for the backward pass, which takes at least 0.0 GiB" in message
    assert message.endswith("fewer heads or smaller images; or lower recipes.brief.batch_size.")


def test_no_false_alarm(larger, monkeypatch):
    """Fused kernels keep no scores; what cannot be tried is not refused; nor is anything for small images."""
    required(larger, "looking", 64, 96, 2 * 576**2 * 4, monkeypatch)
    for model in ("sized", "tiny"):
        required(larger, model, 64, 96, 0, monkeypatch)
    monkeypatch.setattr(capacity, "ENOUGH", SIDE**2)
    required(larger, "stored", 64, 96, 0, monkeypatch)


def test_maps_that_do_not_fit_stop_the_training(larger, tmp_path, monkeypatch):
    run = next(run for run in larger.runs() if run.model == "looking")
    monkeypatch.setattr(device, "free_memory", lambda where: 2 * 576**2 * 4 - 1)
    with pytest.raises(UserError, match="examined by its attention maps, of an image at a time"):
        train_run(larger, run, tmp_path / "state", 1, "cpu")
    assert not (tmp_path / run.folder / "run.json").exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_studys_attention_keeps_no_scores(precision):
    study = load([ROOT / "config.yaml"])
    recipe = study.recipes["equal"].model_copy(update={"precision": precision})
    for name, mapped in (("self-attention", 4), ("multi-head", 32), ("cbam", 0)):  # maps are fp32, of each head
        [options] = study.models[name].modules["stage2"]
        assert capacity.measured(options, 32, recipe, torch.device("cpu")) == capacity.Scores(0, mapped)


def test_fewer_larger_images_at_a_time():
    """As many weights at a time as of 32 px, and at least an image."""
    assert [maps.batch_of((side, side)) for side in (24, 32, 40, 64, 96)] == [8, 8, 3, 1, 1]


def test_memory_that_is_free():
    assert 2**20 < device.free_memory(torch.device("cpu")) < 2**50
