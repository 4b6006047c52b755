"""A path is the identity: each part of the configuration changes the paths of exactly what it determines."""

import copy
from pathlib import Path

import pytest
from conftest import small_study

from cnntention import versions
from cnntention.config import Study, parse_study
from cnntention.errors import UserError
from cnntention.files import write_json
from cnntention.results import paths

STEPS = ("data", "runs", "examinations", "profile", "study")


def keys(study: Study) -> dict[str, object]:
    """The paths of all that a study leaves, by step; of an examination without that of its run."""
    return {
        "data": [paths.data_folder(study, name) for name in study.datasets_used()],
        "runs": [run.folder for run in study.runs()],
        "examinations": [study.examination_key(name) for name in study.datasets_used()],
        "profile": [paths.profile_path(study, name) for name in study.datasets_used()],
        "study": paths.study_folder(study),
    }


def changed(config: dict, place: str, value: object) -> dict:
    """The configuration with another value at a place, its keys divided by slashes."""
    config = copy.deepcopy(config)
    *way, last = place.split("/")
    at = config
    for key in way:
        at = at.setdefault(key, {})
    at[last] = value
    return config


@pytest.fixture(scope="module")
def config() -> dict:
    study = small_study()
    study["datasets"]["others"] = copy.deepcopy(study["datasets"]["cues"])
    study["models"]["unused"] = {"depth": 14}
    claim = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}
    return study | {"claims": {"mine": claim}}


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("datasets/cues/train_images", 128, {"data", "runs", "profile", "study"}),
        ("datasets/others/train_images", 128, set()),
        ("models/looking/attention/stage3/gate_init", 0.1, {"runs", "profile", "study"}),
        ("models/unused/depth", 20, set()),
        ("recipes/brief/epochs", 3, {"runs", "study"}),
        ("experiments/first/grid/seeds", 2, {"runs", "study"}),
        ("experiments/first/question", "Why?", {"study"}),
        ("study/question", "Why?", {"study"}),
        ("study/name", "other", {"profile", "study"}),
        ("evaluation/calibration_bins", 10, {"examinations", "study"}),
        ("diagnostics/alive/entropy", 0.9, {"examinations", "study"}),
        ("explanation/road_images", 4, {"examinations", "study"}),
        ("explanation/foreground/cues", 9, {"examinations", "study"}),
        ("explanation/foreground/others", 9, set()),
        ("explanation/showcase/cues", [5], {"examinations", "study"}),
        ("explanation/showcase/others", [5], set()),
        ("profiling/rounds", 7, {"profile", "study"}),
        ("statistics/alpha", 0.01, {"study"}),
        ("claims/mine/sentence", "Looking costs.", {"study"}),
    ],
)
def test_one_key_changed_moves_what_it_determines_and_nothing_else(config, place, value, expected):
    before, after = keys(parse_study(config)), keys(parse_study(changed(config, place, value)))
    assert {step for step in STEPS if before[step] != after[step]} == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("EVALUATION", {"examinations", "study"}),
        ("DIAGNOSIS", {"examinations", "study"}),
        ("EXPLANATION", {"examinations", "study"}),
        ("PREPARATION", {"data", "runs", "profile", "study"}),
        ("TRAINING", {"runs", "study"}),
        ("PROFILING", {"profile", "study"}),
        *[(step, {"study"}) for step in ("SUMMARY", "JUDGEMENT", "REPORT")],
    ],
)
def test_so_does_a_steps_version(config, monkeypatch, step, expected):
    before = keys(parse_study(config))
    monkeypatch.setattr(versions, step, 99)
    after = keys(parse_study(config))
    assert {step for step in STEPS if before[step] != after[step]} == expected


def test_order_changes_no_path(config):
    reverse = lambda mapping: dict(reversed(mapping.items()))  # noqa: E731
    other = reverse(config) | {"models": reverse(config["models"]), "recipes": reverse(config["recipes"])}
    assert keys(parse_study(other)) == keys(parse_study(config))


def test_a_run_is_known_by_its_folder(config):
    study = parse_study(config)
    for run in study.runs():
        assert paths.find_run(study, run.folder) == run
    with pytest.raises(UserError, match="with this configuration the run's folder is"):
        paths.find_run(parse_study(changed(config, "recipes/brief/epochs", 3)), study.runs()[0].folder)


def test_the_links_point_to_what_is_whole(tmp_path):
    folder, place = tmp_path / "results/studies/mine", tmp_path / "results/mine"
    for key in ("old", "new"):
        for part in paths.STUDY_PARTS:
            write_json(folder / key / part / "card.json", key)
    (folder / "new/report/card.json").unlink()
    for key, expected in (("new", None), ("old", "old"), ("new", "old")):
        paths.point(folder / key)
        links = [place / part for part in paths.STUDY_PARTS]
        assert [link.is_symlink() and link.resolve().parent.name for link in links] == [expected or False] * 3
    write_json(folder / "new/report/card.json", "new")
    paths.point(folder / "new")
    assert [(place / part / "card.json").read_text() for part in paths.STUDY_PARTS] == ['"new"\n'] * 3
    assert {path.name for path in place.iterdir()} == {*paths.STUDY_PARTS}


def test_a_folder_where_a_link_belongs_is_left_alone(tmp_path):
    for part in paths.STUDY_PARTS:
        write_json(tmp_path / "results/studies/mine/key" / part / "card.json", "key")
    write_json(tmp_path / "results/mine/tables/mine.json", "mine")
    with pytest.raises(UserError, match="tables: is a folder of an earlier version"):
        paths.point(tmp_path / "results/studies/mine/key")
    assert Path(tmp_path, "results/mine/tables/mine.json").exists()
