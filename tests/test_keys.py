"""Keys: of what a study uses and of nothing else; and what no study refers to is all that `clean` removes."""

import copy
import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest
from conftest import ROOT, small_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnntention.config import load, parse_study
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.clean import clean_results, unreferred

UNUSED = {
    "datasets": {"mute": {"source": {"format": "cuematch", "track": "local"}, "train_images": 9, "test_images": 9}},
    "models": {"mute": {"depth": 14, "attention": {"stage2": {"kind": "cbam"}}}},
    "recipes": {"mute": small_study()["recipes"]["brief"]},
    "experiments": {
        "mute": {"question": "?", "grid": {"datasets": "mute", "models": "mute", "recipes": "mute", "seeds": 2}}
    },
    "claims": {"mute": {"sentence": "?", "experiment": "mute", "model": "mute", "value": 0.5}},
}


def whole() -> dict:
    """The small study with a claim, and beside it what it does not use."""
    made = small_study()
    made["claims"] = {"used": {"sentence": "?", "experiment": "first", "model": "looking", "against": "tiny"}}
    for section, entries in UNUSED.items():
        made[section] = {**made[section], **entries}
    made["explanation"] |= {"showcase": {"cues": [5], "mute": [1]}, "foreground": {"mute": 3}}
    theirs = {"model": "tiny", "test_error": 40, "epochs": 9, "note": "theirs"}
    made["published"] = [theirs | {"dataset": name} for name in ("cues", "mute")]
    return parse_study(made).model_dump(mode="json")


def leaves(value, way: tuple = ()) -> Iterator[tuple]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield way
        return
    for key, part in parts:
        yield from leaves(part, (*way, key))


def changed(value: dict, way: tuple) -> dict:
    value = copy.deepcopy(value)
    inner = value
    for key in way[:-1]:
        inner = inner[key]
    old = inner[way[-1]]
    inner[way[-1]] = (
        not old if isinstance(old, bool) else f"{old}x" if isinstance(old, str) else 7 if old is None else old + 1
    )
    if isinstance(old, float):
        inner[way[-1]] = old * 0.9 or 0.1
    return value


def test_a_studys_key_is_of_what_it_uses_and_of_nothing_else():
    base, counts = whole(), {True: 0, False: 0}
    study = parse_study(base)
    for way in leaves(base):
        try:
            other = parse_study(changed(base, way))
        except UserError:
            continue
        unused = "mute" in way or way[:2] == ("published", 1)
        counts[unused] += 1
        assert (paths.study_key(other) == paths.study_key(study)) == unused, way
    assert min(counts.values()) > 20
    backwards = parse_study(
        {s: dict(reversed(v.items())) if isinstance(v, dict) else v for s, v in reversed(base.items())}
    )
    assert paths.study_key(backwards) == paths.study_key(study)


@pytest.mark.parametrize("overlay", [None, *sorted(p.name for p in (ROOT / "workflow/studies").glob("*.yaml"))])
def test_a_part_of_a_study_is_a_study_of_the_same_key(overlay):
    study = load([ROOT / "config.yaml", *([ROOT / "workflow/studies" / overlay] if overlay else [])])
    part = parse_study(json.loads(json.dumps(study.part().model_dump(mode="json"))))
    assert paths.study_key(part) == paths.study_key(study)
    assert part.part() == part
    assert part.runs() == study.runs()


def lay(study) -> set[str]:
    """Makes all that a study leaves; what of it is named by a key."""
    folder = paths.study_folder(study)
    for path in [*paths.study_inputs(study), *(f"{folder}/{part}/card.json" for part in paths.STUDY_PARTS)]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    paths.point(folder)
    named = {folder, paths.data_folder(study, "cues"), paths.profile_path(study, "cues")}
    return named | {run.folder for run in study.runs()} | {paths.examination_folder(study, run) for run in study.runs()}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_clean_lists_what_no_study_refers_to_and_removes_nothing_else(tmp_path_factory, data):
    base = whole()
    ways = [way for way in leaves(base) if way[0] not in ("study", "published", "claims") and "mute" not in way]

    def variant():
        try:
            return parse_study(changed(base, data.draw(st.sampled_from(ways))))
        except UserError:
            return parse_study(base)

    kept, gone = [variant() for _ in range(2)], [variant() for _ in range(2)]
    with chdir(tmp_path_factory.mktemp("clean")):
        others = [
            "data/raw/0123456789/a.gz",
            "results/runs/0123456789/m/r/x",
            "results/published/0123456789/a",
            "data/x/notes",
        ]
        for path in [*others, "results/runs/cues/tiny/brief-0123456789/notes", f"{kept[0].runs()[0].folder}.dvc"]:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()
        known, old = set().union(*map(lay, kept)), set().union(*map(lay, gone))
        expected = {path for path in old - known if not set(map(str, Path(path).parents)) & (old - known)}
        assert {str(path) for path in unreferred(kept)} == expected
        before = {path for path in Path().rglob("*") if path.is_file()}
        clean_results(kept, delete=False)
        assert {path for path in Path().rglob("*") if path.is_file()} == before
        clean_results(kept, delete=True)
        left = {path for path in Path().rglob("*") if path.is_file()}
        assert left == {path for path in before if not {str(path), *map(str, path.parents)} & expected}
        assert unreferred(kept) == []
