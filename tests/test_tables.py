"""The tables' columns from what the steps wrote of a run, and what the report says of runs that did not last."""

import numpy as np
import pandas as pd
import pytest
from test_report import make_study

from cnntention import files
from cnntention.config import Run
from cnntention.report import captions, learning_plots, published_views, tables, text
from cnntention.report.attention_table import attention_table, liveness
from cnntention.report.explanation_tables import run_columns
from cnntention.report.records import Record
from cnntention.report.sources import Tables

RUN = Run("cues", "multi-head", "short", 0, "0")
DROP = {"accuracy": 0.8, "drop": 0.021, "drop_se": 0.01}
HEADS = {"entropy": 0.7, "distance": 0.3, "uniform_distance": 0.4, "head_diversity": 0.2, "effective_heads": 1.7}
MODULE = {"kind": "multi-head", "gate": 0.5, "relative_change": 0.3, "state": "alive", "without": DROP}
MODULE |= {"mean_effect": DROP, "gates": None, "norms": {}}
ATTENTION = {"attention_alive": True, "modules_alive": 2, "without_all": DROP}
ATTENTION["modules"] = {
    "att2": MODULE | {"attention": HEADS | {"heads": [{"drop": drop} for drop in (0.01, 0.04, -0.02)]}},
    "att3": MODULE | {"attention": HEADS | {"head_diversity": None, "effective_heads": None, "heads": [{}]}},
}


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Makes the record of a run that ended so and whose attention.json says so."""
    monkeypatch.chdir(tmp_path)

    def made(ended: str = "all epochs", **attention) -> Record:
        files.write_json(f"{RUN.folder}/run.json", {"ended": ended})
        files.write_json(f"{RUN.folder}/attention.json", ATTENTION | attention)
        return Record(RUN)

    return made


@pytest.mark.parametrize(("drop", "used"), [(0.021, True), (0.02, False), (-0.5, False)])
def test_attention_is_used_where_leaving_it_out_costs_two_standard_errors(record, drop, used):
    row = liveness(record(without_all=DROP | {"drop": drop}))
    assert row == {
        **{"modules": 2, "modules_alive": 2, "attention_alive": True},
        **{"attention_used": used, "accuracy_without_attention": 0.8},
    }


def test_a_run_that_diverged_is_neither_alive_nor_off(record):
    row = liveness(record("diverged"))
    assert row.pop("modules") == 2
    assert set(row.values()) == {None}
    assert attention_table([record("diverged")])["state"].tolist() == ["diverged"] * 2
    none = liveness(record(modules={}, attention_alive=None, modules_alive=0, without_all=None))
    assert (none["attention_alive"], none["attention_used"], none["modules"]) == (None, None, 0)


def test_heads_reach_the_table(record):
    table = attention_table([record()])
    assert table["state"].tolist() == ["alive"] * 2
    assert table.loc[0, ["effective_heads", "accuracy_drop_head"]].tolist() == [1.7, 0.04]
    assert table.loc[1, ["effective_heads", "accuracy_drop_head"]].isna().all()
    assert text.unit("accuracy_drop_head").named(0.04) == "+4.00 points"


def test_the_look_up_of_a_run_is_no_maximum_over_heads(record):
    def heads(*scores: float) -> dict:
        return {"match_to_cue": [{"score": score} for score in scores], "cue_to_match": [{"score": 99.0}]}

    modules = {"att2": heads(1.0, 1.0, 7.0), "att3": heads(3.5)}
    scores = {"localisation": {"stage3": {"predicted": {}}}, "region": None}
    scores |= {"road": {"methods": {"gradcam": {"road": 0.1}}}}
    explained = {"scores": scores, "sanity": {"sane": {"stage3": True}}, "lookup": {"images": 9, "modules": modules}}
    made = record()
    files.write_json(f"{RUN.folder}/explanations.json", explained)
    assert run_columns(made)["lookup"] == 3.5


# --- runs that did not last ---------------------------------------------------------------------------------------


def curves(*runs: list[float]) -> pd.DataFrame:
    rows = [(s, e, value) for s, run in enumerate(runs) for e, value in enumerate(run, start=1)]
    return pd.DataFrame(rows, columns=["seed", "epoch", "train_loss"]).assign(model="m")


def test_a_mean_goes_no_further_than_all_runs():
    rows = curves([4, 3, 2, 1], [2, 1])
    assert learning_plots.shared_mean(rows, "train_loss").to_dict() == {1: 3, 2: 2}
    assert captions.last_means(rows, "train_loss", str) == "m 2.0 (epoch 2)"
    assert learning_plots.shared_mean(curves([4, 3], [2, np.nan]), "train_loss").to_dict() == {1: 3}
    assert captions.last_means(curves([4, 3], [2, 1]), "train_loss", str) == "m 2.0"
    assert captions.last_means(curves([4, 3], [np.nan]), "train_loss", str) == "m none"


def test_the_caption_counts_the_runs_that_did_not_last():
    ended = ["all epochs", "early stopping", "diverged", "early stopping"]
    assert captions.cut_short(pd.DataFrame({"ended": ended})) == " Of 4 runs 2 stopped early and 1 diverged."
    assert captions.cut_short(pd.DataFrame({"ended": ended[:1]})) == ""


# --- beside the published numbers ----------------------------------------------------------------------------------


def published(epochs: dict[str, tuple[str, list[int]]], recipes: dict | None = None) -> tuple[str, list[dict]]:
    """The remark and the rows of models that were trained by a recipe for so many epochs, a number a seed."""
    study = make_study()
    head = {"dataset": "cifar10-jpeg", "test_accuracy": 0.9, "modules": 0, "ended": "", "attention_alive": None}
    head |= {"attention_used": None}
    runs = pd.DataFrame(
        [
            head | {"model": model, "recipe": recipe, "seed": seed, "epochs": count}
            for model, (recipe, counts) in epochs.items()
            for seed, count in enumerate(counts)
        ]
    )
    data = {"dataset": "cifar10-jpeg", "format": "npz", "train": 45000, "test": 10000, "source_sha256": "0"}
    frames = {"runs": runs, "published": tables.published(study, runs), "datasets": pd.DataFrame([data])}
    found = Tables(study, {}, frames, {}, {})
    made = published_views.table(found, "cifar10-jpeg")
    return published_views.remarks(found)["cifar10-jpeg"], [dict(zip(made.head, row, strict=True)) for row in made.rows]


def test_epochs_are_those_of_all_seeds_and_recipes_those_of_each_model():
    remark, rows = published({"resnet20": ("short", [90, 120]), "self-attention": ("equal", [182])})
    assert "for 90 to 182 epochs (published: 182), not every model by the same recipe (see the table);" in remark
    assert [row["Our epochs"] for row in rows] == ["105 (90–120)", "182"]
    assert [row["Our recipe"] for row in rows] == ["short", "equal"]
    remark, rows = published({"resnet20": ("short", [182]), "self-attention": ("short", [182, 182])})
    assert "for 182 epochs (as published), every model by recipe short;" in remark
    assert [row["Attention"] for row in rows] == ["–", "–"]
