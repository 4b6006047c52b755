"""What the steps leave: written and read back, gathered (each number recomputed from its source), kept and cleaned."""

import json
from collections.abc import Iterator
from contextlib import chdir, suppress
from pathlib import Path
from types import NoneType
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from conftest import small_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import special, stats
from statsmodels.api import Logit, add_constant

from cnntention import files
from cnntention.cli import main
from cnntention.config import parse_study
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.profiles import Profile
from cnntention.results.records import Diagnosis, Explanations, Metrics, RunRecord
from cnntention.results.rows import TABLES, Record, frame, read_table

# --- tables -------------------------------------------------------------------------------------------------------

TEXTS = ["nan", "None", "NA", "", "0123456", "1e5", "true", "a,b", 'a "q"', " x ", "two\nlines", "ü"]
VALUES = {
    str: lambda random: random.choice(TEXTS),
    int: lambda random: random.choice([0, -1, 2**53 - 1, random.randrange(10**9)]),
    float: lambda random: random.choice([0.0, -0.5, 1e-300, 1e300, random.random(), random.random() * 1e5]),
    bool: lambda random: random.random() < 0.5,
    NoneType: lambda random: None,
}


def any_row(kind, random):
    row = {}
    for name, field in kind.model_fields.items():
        of = random.choice(get_args(field.annotation) or (field.annotation,))
        row[name] = random.choice(list(of)) if hasattr(of, "__members__") else VALUES[of](random)
    return kind(**row)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_table_is_read_as_it_was_written_and_other_columns_are_refused(tmp_path, data):
    name, random = data.draw(st.sampled_from(list(TABLES))), data.draw(st.randoms(use_true_random=False))
    rows, path = [any_row(TABLES[name], random) for _ in range(random.randrange(4))], tmp_path / f"{name}.csv"
    table = frame(rows, TABLES[name])
    write(path, table)
    pd.testing.assert_frame_equal(read_table(tmp_path, name), table, check_exact=True)
    for row, found in zip(rows, read_table(tmp_path, name).to_dict("records"), strict=True):
        assert {n: None if pd.isna(value) else value for n, value in found.items()} == row.model_dump()
    columns = list(table)
    column, other = data.draw(st.sampled_from(columns)), data.draw(st.integers(1, len(columns) - 1))
    foreign = data.draw(
        st.sampled_from(
            [table.drop(columns=column), table.rename(columns={column: "x"}), table[columns[other:] + columns[:other]]]
        )
    )
    write(path, foreign)
    with pytest.raises(
        UserError, match=rf"{name}\.csv: has other columns than this version writes \(.+\); run"
    ) as error:
        read_table(tmp_path, name)
    assert "\n" not in str(error.value)


def write(path: Path, table: pd.DataFrame) -> None:
    files.write_csv(path, table)
    files.write_record(path.with_name("card.json"), {"sha256": {path.name: files.sha256(path)}})


# --- a small study, run -------------------------------------------------------------------------------------------


def config() -> dict:
    study = small_study()
    study["datasets"]["cues"]["source"] = {"format": "cuematch", "track": "relation-colour", "candidates": 2}
    study["experiments"]["first"]["grid"]["seeds"] = 3
    study["explanation"]["showcase"] = {"cues": [5]}
    study["published"] = [{"dataset": "cues", "model": "tiny", "test_error": 40, "epochs": 9, "note": "theirs"}]
    return study


WORDS = ["--config", "config.yaml"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Iterator:
    """Runs every step to the tables, here in its folder."""
    read = parse_study(config())
    with chdir(tmp_path_factory.mktemp("results")):
        files.write_json("config.yaml", config())  # JSON is YAML
        steps = [["prepare", "--dataset", "cues", "--out", paths.data_folder(read, "cues")]]
        for run in read.runs():
            steps.append(["train", "--run", run.folder, "--state", "state/a.pt"])
            steps.append(["examine", "--run", run.folder])
        steps.append(["profile", "--dataset", "cues", "--out", paths.profile_path(read, "cues")])
        steps.append(["summarise", "--out", "tables"])
        for step in steps:
            assert main([step[0], *WORDS, *step[1:]]) == 0
        yield read


def calibration_error(p: np.ndarray, hits: np.ndarray, bins: int = 15) -> float:
    gaps = 0.0
    for i in range(bins):
        inside = (p > i / bins) & (p <= (i + 1) / bins)
        gaps += abs(hits[inside].mean() - p[inside].mean()) * inside.mean() if inside.any() else 0.0
    return gaps


def recomputed(study, run) -> dict:
    """Its row of runs.csv from what lies in its folder."""
    folder, examination = Path(run.folder), Path(paths.examination_folder(study, run))
    predictions = files.read_tensors(examination / "predictions.safetensors")
    logits, labels = predictions["logits"].astype(np.float64), predictions["labels"]
    test = files.read_tensors(Path(paths.data_folder(study, run.dataset), "test.safetensors"))
    p, log_p, hits = special.softmax(logits, 1), special.log_softmax(logits, 1), logits.argmax(1) == labels
    own = log_p[np.arange(len(labels)), labels]
    bins, px = (test[f"factors.{name}"] for name in ("distance_bin", "distance"))
    history = pd.read_csv(folder / "history.csv")
    made, attention, maps = (
        json.loads((where / f"{name}.json").read_text())
        for where, name in ((folder, "run"), (examination, "attention"), (examination, "explanations"))
    )
    weights = files.read_tensors(folder / "model.safetensors")
    modules, without = attention["modules"], attention["without_all"]
    states = [module["state"] for module in modules]
    cam = [m for m in maps["localisation"] if m["method"] == "gradcam"]
    (cam,) = [m for m in cam if m["region"] == maps["region"]]
    looked = pd.DataFrame(maps["lookup"], columns=["module", "head", "direction", "score"])
    looked = looked[looked["direction"] == "match_to_cue"].groupby("module")["score"].mean()
    return {
        **{"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed, "folder": run.folder},
        "key": run.folder.split("-")[-1].split("/")[0],
        "test_accuracy": hits.mean(),
        "test_images": len(labels),
        "top2": np.mean([label in order[-2:] for label, order in zip(labels, logits.argsort(1), strict=True)]),
        "nll": -own.mean(),
        "brier": ((p - np.eye(p.shape[1])[labels]) ** 2).sum(1).mean(),
        "ece": calibration_error(p.max(1), hits),
        "solved": int(hits.mean() >= 0.75),
        "broken": int(hits.mean() < 0.5),
        **{f"accuracy_{name}": hits[bins == i].mean() for i, name in enumerate(("near", "mid", "far"))},
        "distance_slope": Logit(hits, add_constant(px / 10)).fit(disp=0).params[1],
        "val_accuracy": history["val_accuracy"].iloc[-1],
        "train_accuracy": history["train_accuracy"].iloc[-1],
        "learning_area": history["val_accuracy"].mean(),
        **{"epochs": len(history), "ended": "all epochs", "leaks": False, "resumed": 0, "precision": "fp32"},
        "modules": len(modules),
        "modules_alive": states.count("alive") if modules else None,
        "attention_alive": "alive" in states if modules else None,
        "attention_used": without["drop"] > 2 * without["drop_se"] if modules else None,
        "accuracy_without_attention": without["accuracy"] if modules else None,
        "cam_sane": maps["sanity"]["sane"],
        "cam_correlation": maps["sanity"]["correlation"],
        **{"cam_mass": cam["mass"], "cam_auc": cam["auc"]},
        "road": next(m["road"] for m in maps["road"] if m["method"] == "gradcam"),
        "lookup": looked.max() if len(looked) else None,
        "parameters": sum(w.size for name, w in weights.items() if "running" not in name and "num_batches" not in name),
        "train_seconds": round(history["seconds"].sum(), 1),
        "hours": round(history["seconds"].sum(), 1) / 3600,
        "images_per_s": round(history["images_per_s"].mean(), 1),
        "hardware": f"{made['provenance']['cpu']}, 1 thread",
        **{"threads": 1, "device": "cpu", "torch": made["provenance"]["libraries"]["torch"]},
        **{"commit": made["provenance"]["commit"], "finished": made["finished"], "version": made["version"]},
    }


def same(found: dict, expected: dict) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        ours = None if pd.isna(found[name]) else found[name]
        tolerance = {"distance_slope": 1e-2, "images_per_s": 1e-3}.get(name, 1e-6)  # BFGS and rounding: three digits
        assert ours == (pytest.approx(value, rel=tolerance) if isinstance(value, float) else value), name


def test_every_number_of_a_run_is_in_its_files(study):
    runs = read_table("tables", "runs").to_dict("records")
    assert [run.folder for run in study.runs()] == [row["folder"] for row in runs]
    for row, run in zip(runs, study.runs(), strict=True):
        same(row, recomputed(study, run))


def test_cells_and_published_are_those_of_their_runs(study):
    rows = [recomputed(study, run) for run in study.runs()]
    cells = read_table("tables", "cells").to_dict("records")
    assert [cell["model"] for cell in cells] == ["tiny", "looking"]
    for cell in cells:
        own = [row for row in rows if row["model"] == cell["model"]]
        scores = np.array([row["test_accuracy"] for row in own])
        expected = {name: own[0][name] for name in ("dataset", "model", "recipe")}
        expected |= {"experiment": "first", "n": 3, "mean": scores.mean(), "sd": scores.std(ddof=1), "diverged": 0}
        expected |= {"low": None, "high": None, "min": scores.min(), "max": scores.max()}  # its runs are counted
        k = sum(row["solved"] for row in own)  # Clopper and Pearson's interval, by quantiles of beta distributions
        expected |= {"solved": k, "solved_low": stats.beta.ppf(0.025, k, 4 - k) if k else 0.0, "seeds": "0 1 2"}
        expected["solved_high"] = stats.beta.ppf(0.975, k + 1, 3 - k) if k < 3 else 1.0
        for ours, column in (("alive", "attention_alive"), ("used", "attention_used")):
            expected[ours] = sum(row[column] for row in own) if cell["model"] == "looking" else None
        same(cell, expected)
    errors = 100 - 100 * np.array([row["test_accuracy"] for row in rows[:3]])
    (published,) = read_table("tables", "published").to_dict("records")
    theirs = {
        "dataset": "cues",
        "model": "tiny",
        "test_error": 40.0,
        "epochs": 9,
        "note": "theirs",
        "our_recipe": "brief",
    }
    same(published, theirs | {"our_error": errors.mean(), "our_sd": errors.std(ddof=1), "n": 3})


def test_epochs_modules_and_costs_are_those_of_their_files(study):
    epochs, modules = read_table("tables", "epochs"), read_table("tables", "modules")
    for run in study.runs():
        history = pd.read_csv(f"{run.folder}/history.csv")
        own = epochs[(epochs["model"] == run.model) & (epochs["seed"] == run.seed)]
        for column in ("lr", "train_loss", "val_accuracy"):
            assert own[column].tolist() == pytest.approx(history[column].tolist())
        told = files.read_json(f"{paths.examination_folder(study, run)}/attention.json")["modules"]
        own = modules[(modules["model"] == run.model) & (modules["seed"] == run.seed)]
        assert own["drop_identity"].tolist() == [module["drop_identity"] for module in told]
    costs, profile = read_table("tables", "cost").set_index("model"), files.read_json(paths.profile_path(study, "cues"))
    steps = {name: np.array(model["training_step_ms"]) for name, model in profile["models"].items()}
    ratio = np.median(steps["looking"] / steps["tiny"])
    assert costs.loc["looking", "training_step_ratio"] == pytest.approx(ratio)
    assert costs.loc["tiny", "training_step_ms"] == pytest.approx(np.median(steps["tiny"]))
    rounds = read_table("tables", "rounds").query("model == 'tiny'")
    assert rounds["training_step_ms"].tolist() == pytest.approx(steps["tiny"].ravel().tolist())
    card = files.read_json("tables/card.json")
    assert card["key"] == paths.study_key(study)
    assert card["sha256"] == {name: files.sha256(f"tables/{name}") for name in card["sha256"]}


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "history.csv",
        "run.json",
        "predictions.safetensors",
        "explanations.safetensors",
        "metrics.json",
    ],
)
def test_what_run_json_does_not_describe_is_refused(study, capsys, name):
    run = study.runs()[0]
    path = next(
        p for p in map(Path, [*paths.files_of_run(run), *paths.files_of_examination(study, run)]) if p.name == name
    )
    whole = path.read_bytes()
    try:
        gone = [None] if str(path) in paths.study_inputs(study) else []  # the others may be elsewhere
        for other in (whole.replace(b'"weights_sha256": "', b'"weights_sha256": "0'), whole[: len(whole) // 2], *gone):
            path.unlink() if other is None else path.write_bytes(other)
            if other != whole:
                assert main(["summarise", *WORDS, "--out", "refused"]) == 1
                error = capsys.readouterr().err
                assert (error.count("\n"), run.folder in error) == (1, True)
        assert not Path("refused").exists()
    finally:
        path.write_bytes(whole)


def places(record: Record, above: tuple = ()) -> Iterator[tuple]:
    """Of each field, also of records inside, the way to it and its annotation."""
    for name, field in type(record).model_fields.items():
        if field.is_required():
            yield (*above, name), field.annotation
        value = getattr(record, name)
        inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
        for key, part in [*inside, (None, value)]:
            if isinstance(part, Record):
                yield from places(part, (*above, name) if key is None else (*above, name, key))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_damaged_record_is_named_with_its_key(study, data):
    run = study.runs()[-1]
    found = {"run": RunRecord, "metrics": Metrics, "attention": Diagnosis, "explanations": Explanations}
    name = data.draw(st.sampled_from([*found, "profile"]))
    kind, folder = found.get(name, Profile), run.folder if name == "run" else paths.examination_folder(study, run)
    path = paths.profile_path(study, "cues") if name == "profile" else f"{folder}/{name}.json"
    text, broken = Path(path).read_bytes(), Path("broken.json")
    way, of = data.draw(st.sampled_from(list(places(kind.read(path)))))
    value = files.read_record(path)
    inner = value
    for key in way[:-1]:
        inner = inner[key]
    damage = data.draw(st.sampled_from(["removed", "replaced", "added", "cut", "flipped"]))
    if damage == "removed":
        del inner[way[-1]]
    elif damage == "replaced":
        inner[way[-1]] = (
            5 if "dict" in str(of) or issubclass(of if isinstance(of, type) else NoneType, Record) else {"x": {}}
        )
    elif damage == "added":
        way = (*way[:-1], "unknown")
        inner["unknown"] = 1
    files.write_record(broken, value)
    if damage == "cut":
        broken.write_bytes(text[: data.draw(st.integers(0, len(text) - 3))])
    elif damage == "flipped":
        at = data.draw(st.integers(0, len(text) - 1))
        broken.write_bytes(text[:at] + bytes([text[at] ^ data.draw(st.sampled_from([1, 2, 4, 128]))]) + text[at + 1 :])
        with suppress(UserError):
            assert kind.read(broken) == kind.read(path)
        return
    with pytest.raises(UserError, match=r"broken\.json") as error:
        kind.read(broken)
    assert "\n" not in str(error.value)
    assert damage == "cut" or f"broken.json: {'.'.join(map(str, way))}" in str(error.value)
