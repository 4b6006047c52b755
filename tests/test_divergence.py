"""Runs that diverge late, or only in evaluation, are kept: finite weights, null in JSON, and a report."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import small_study
from faults import DIVERGENCES

from cnntention import files
from cnntention.cli import main
from cnntention.config import load
from cnntention.models.resnet import ResNet
from cnntention.results import paths
from cnntention.results.records import Metrics
from cnntention.results.rows import read_table
from cnntention.training import loop

CONFIG = ["--config", "config.yaml"]


def break_training(patch, after: int, name: str, value: float) -> None:
    """After this step the named parameter or statistic takes the value; 0: every evaluation is NaN."""
    step, forward, done = loop.train_step, ResNet.forward, []

    def broken(model, *rest):
        found = step(model, *rest)
        done.append(found)
        if len(done) == after:
            model.state_dict()[name].fill_(value)
        return found

    patch.setattr(loop, "train_step", broken)
    if not after:
        patch.setattr(ResNet, "forward", lambda net, *rest: forward(net, *rest) * (1 if net.training else math.nan))


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} in JSON")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:Attempting to set identical:UserWarning")
def test_runs_that_diverge_are_kept_and_reported(tmp_path, monkeypatch):
    """Each divergence is a seed of one study."""
    monkeypatch.chdir(tmp_path)
    config = small_study()
    config["recipes"]["brief"]["divergence"] = "keep"
    grid = config["experiments"]["first"]["grid"]
    config["experiments"]["first"] = {"question": "?", "grid": grid | {"models": "looking", "seeds": len(DIVERGENCES)}}
    files.write_json("config.yaml", config)
    study = load(["config.yaml"])
    assert main(["prepare", *CONFIG, "--dataset", "cues", "--out", paths.data_folder(study, "cues")]) == 0
    assert main(["profile", *CONFIG, "--dataset", "cues", "--out", paths.profile_path(study, "cues")]) == 0
    for run, (name, fault) in zip(study.runs(), DIVERGENCES.items(), strict=True):
        with monkeypatch.context() as patch:
            break_training(patch, *fault)
            assert main(["train", *CONFIG, "--run", run.folder, "--state", "a.pt"]) == 0, name
            assert main(["examine", *CONFIG, "--run", run.folder]) == 0, name
        record = json.loads(Path(run.folder, "run.json").read_text(), parse_constant=no_constant)
        history = pd.read_csv(f"{run.folder}/history.csv")
        if fault[2] != 1e30:  # that one's losses are finite
            assert (record["ended"], record["last"]["train_loss"]) == ("diverged", None), name
            assert history["train_loss"].isna().tolist() == [False, True][-len(history) :], name
            assert record["weights_epoch"] == len(history) - 1
        for values in files.read_tensors(f"{run.folder}/model.safetensors").values():
            assert np.isfinite(values).all(), name
        for path in Path(run.folder).rglob("*.json"):
            json.loads(path.read_text(), parse_constant=no_constant)
        path = f"{paths.examination_folder(study, run)}/metrics.json"
        Metrics.read(path).model_copy(update={"top1": 0.9}).write(path)
    folder = paths.study_folder(study)
    parts = {part: f"{folder}/{part}" for part in paths.STUDY_PARTS}
    assert main(["summarise", *CONFIG, "--out", parts["tables"]]) == 0
    runs = read_table(parts["tables"], "runs")
    assert runs["broken"].tolist() == (runs["ended"] == "diverged").astype(int).tolist()  # however accurate
    assert runs["broken"].sum() >= len(DIVERGENCES) - 1
    assert main(["judge", *CONFIG, "--tables", parts["tables"], "--out", parts["verdicts"]]) == 0
    given = [f"--{part}={parts[part]}" for part in ("tables", "verdicts")]
    assert main(["report", *CONFIG, *given, "--out", parts["report"]]) == 0
    assert "diverged" in Path(parts["report"], "report.md").read_text()
