"""The RO-Crate of a study: what RO-Crate 1.1, Workflow RO-Crate 1.0 and Workflow Run Crate 0.5 say MUST be.

Written by hand after these documents, since roc-validator is no dependency: it fetches its contexts from the network.
"""

import json
import shutil
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import parse_study
from cnntention.crate import Crate
from cnntention.results import paths

pytestmark = pytest.mark.slow  # it waits for the small study

OUTSIDE = {"https://w3id.org/ro/crate/1.1", "http://schema.org/CompletedActionStatus"}  # ids that need no entity


def listed(value) -> list:
    return value if isinstance(value, list) else [value]


def ids(value) -> list[str]:
    return [one["@id"] for one in listed(value)]


def references(value):
    """All {"@id": ...} inside of an entity."""
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            yield value["@id"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def check_crate(folder: Path) -> dict[str, dict]:
    """Check the MUSTs; the entities by id."""
    crate = json.loads((folder / "ro-crate-metadata.json").read_text())
    assert crate["@context"][0] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in crate["@graph"]}
    assert len(entities) == len(crate["@graph"])
    assert all(listed(entity["@type"]) for entity in entities.values())
    assert {one for entity in entities.values() for one in references(entity)} <= {*entities, *OUTSIDE}

    descriptor, root = entities["ro-crate-metadata.json"], entities["./"]
    assert (descriptor["@type"], ids(descriptor["about"])) == ("CreativeWork", ["./"])
    assert "https://w3id.org/ro/crate/1.1" in ids(descriptor["conformsTo"])
    assert root["@type"] == "Dataset"
    assert root["name"]
    assert root["description"]
    assert datetime.fromisoformat(root["datePublished"])
    assert ids(root["license"])
    for profile in ("process/0.5", "workflow/0.5"):
        assert f"https://w3id.org/ro/wfrun/{profile}" in ids(root["conformsTo"])
    assert all(entities[one]["@type"] == "CreativeWork" for one in ids(root["conformsTo"]))

    data = [key for key, entity in entities.items() if "File" in listed(entity["@type"])]
    assert sorted(ids(root["hasPart"])) == sorted(data)
    for key in data:
        assert not key.startswith(("/", "#", "../"))
        if "://" not in key:
            assert files.sha256(folder / unquote(key)) == entities[key]["sha256"]
            assert str((folder / unquote(key)).stat().st_size) == entities[key]["contentSize"]

    (main_entity,) = ids(root["mainEntity"])
    workflow = entities[main_entity]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} <= set(workflow["@type"])
    assert [entities[one]["@type"] for one in ids(workflow["programmingLanguage"])] == ["ComputerLanguage"]

    actions = [key for key, entity in entities.items() if entity["@type"] == "CreateAction"]
    assert sorted(ids(root["mentions"])) == sorted(actions)
    assert main_entity in [one for key in actions for one in ids(entities[key]["instrument"])]
    for key in actions:
        (tool,) = ids(entities[key]["instrument"])
        assert {"SoftwareApplication", "ComputationalWorkflow"} & set(listed(entities[tool]["@type"]))
        assert datetime.fromisoformat(entities[key]["startTime"]) <= datetime.fromisoformat(entities[key]["endTime"])
        assert set(ids(entities[key]["result"])) <= set(data)
    return entities


def test_a_finished_study_becomes_a_crate(finished, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "study"
    shutil.copytree(finished, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake", "logs"))
    monkeypatch.chdir(folder)
    assert main(["rocrate", "--config", "config.yaml"]) == 0
    study = parse_study(small_study())
    entities = check_crate(Path(paths.study_folder(study)))
    for run in study.runs():
        action = entities[f"#training/{run.name}"]
        made = files.read_record(f"{run.folder}/run.json")
        assert (action["startTime"], action["endTime"]) == (made["started"], made["finished"])
        assert made["provenance"]["commit"] in entities[action["instrument"]["@id"]]["softwareVersion"]
        assert entities[action["result"]["@id"]]["sha256"] == files.sha256(f"{run.folder}/run.json")
    shutil.move(paths.study_folder(study), tmp_path / "alone")
    assert check_crate(tmp_path / "alone") == entities
    assert main(["rocrate", "--config", "config.yaml"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_archives_are_told_with_their_hashes_and_without_secrets(tmp_path):
    urls = ["/home/me/images.npz", "https://me:secret@example.org:8000/a%20b/images.npz?token=secret#secret"]
    changed = small_study()
    changed["datasets"]["cues"] = {
        "source": {"format": "npz", "archive": {"urls": urls, "sha256": "a" * 64}},
        "validation_images": 5,
    }
    crate = Crate(tmp_path)
    crate.dataset(parse_study(changed), "cues", "2026-01-01T00:00:00Z")
    archive = crate.entities["https://example.org:8000/a%20b/images.npz"]
    assert archive["sha256"] == "a" * 64
    assert crate.entities["#data/cues"]["isBasedOn"] == [{"@id": archive["@id"]}]
    assert "secret" not in str(crate.entities)
    assert "/home/me" not in str(crate.entities)
