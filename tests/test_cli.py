"""The steps as commands: a mistake is one line on stderr and exit code 1."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from cnntention import files
from cnntention.cli import main
from cnntention.config import parse_study
from cnntention.files import write_text
from cnntention.results import paths


@pytest.fixture
def config(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small))
    return ["--config", "config.yaml"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prepare", "--dataset", "cue", "--out", "data/x"], "--dataset: unknown dataset 'cue'; did you mean 'cues'?"),
        (["fetch", "--dataset", "cues", "--out", "data/raw/cues/x"], "is no source file of cues; it has none."),
        (["train", "--run", "results/runs/a", "--state", "s.pt"], "results/runs/a: is not a run of this study"),
        (
            ["train", "--run", "results/runs/cues/tiny/brief-0123456789/seed0", "--state", "s.pt"],
            "with this configuration the run's folder is results/runs/cues/tiny/brief-",
        ),
        (["summarise", "--out", "results/studies/small/tables"], "run.json: is missing; run the step that writes it."),
        (["examine", "--run", "results/runs/cues/tiny"], "results/runs/cues/tiny: is not a run of this study"),
        (["judge", "--tables", "nowhere", "--out", "c"], "nowhere"),
        (["report", "--tables", "nowhere", "--verdicts", "c", "--out", "r"], "nowhere"),
        (["profile", "--dataset", "cues", "--out", "p.json"], "card.json: is missing"),
        (["publish", "--readme", "README.md"], "tables/card.json: is missing"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence(config, capsys, words, message):
    assert main([words[0], *config, *words[1:]]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cnntention {words[0]}: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("threads", ["0", "-1", "1.5", "many", "9999", "1" * 5000])
def test_a_word_of_the_command_line_that_is_wrong_is_a_sentence(capsys, threads):
    for words in (["train", "--config", "c", "--run", "r", "--state", "s", "--threads", threads], ["trian"], []):
        with pytest.raises(SystemExit) as end:
            main(words)
        error = capsys.readouterr().err
        assert end.value.code == 1
        assert error.count("\n") == 1, error
        assert "--threads" in error or "STEP" in error


def test_a_step_works_by_itself_and_sees_what_is_not_its_runs(config, capsys, small):
    study = parse_study(small)
    run, _ = study.runs()
    step = [*config, "--run", run.folder]
    examined = Path(paths.examination_folder(study, run))
    assert main(["prepare", *config, "--dataset", "cues", "--out", paths.data_folder(study, "cues")]) == 0
    assert main(["examine", *step]) == 1
    assert "run.json: is missing" in capsys.readouterr().err
    assert main(["train", *step, "--state", "state/a.pt"]) == 0
    assert "epoch 2/2" in capsys.readouterr().out
    assert main(["examine", *step]) == 0
    assert {path.name for path in examined.iterdir()} == set(paths.EXAMINATION_FILES)
    moved = study.run(run.dataset, run.model, run.recipe, seed=1)
    Path(run.folder).rename(moved.folder)
    write_text("more.yaml", "experiments: {first: {grid: {seeds: [1]}}}")
    for command in (["examine", "--run", moved.folder], ["summarise", "--out", "tables"]):
        assert main([command[0], *config, "more.yaml", *command[1:]]) == 1
        assert f"{moved.folder}: holds the run of key {run.key} and seed 0" in capsys.readouterr().err
    Path(moved.folder).rename(run.folder)
    weights = Path(run.folder, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert main(["examine", *step]) == 1
    assert "its SHA-256 is not the recorded one" in capsys.readouterr().err
    assert main(["summarise", *config, "--out", "tables"]) == 1
    assert "model.safetensors: cannot be read (its SHA-256 is not the recorded one)" in capsys.readouterr().err
    other = files.read_record(examined / "metrics.json") | {"weights_sha256": "0"}
    files.write_record(examined / "metrics.json", other)
    assert main(["summarise", *config, "--out", "tables"]) == 1
    assert "metrics.json: is of other weights than run.json's" in capsys.readouterr().err


def test_clean_lists_and_removes_what_no_study_refers_to(config, capsys, small):
    study = parse_study(small)
    run = study.runs()[0]
    kept = [*paths.study_inputs(study), f"{paths.study_folder(study)}/report/card.json", "results/published/a/b.csv"]
    seed = f"{run.folder[:-1]}1"  # of an overlay
    other = [f"{run.folder}/examination-0123456789/metrics.json", "data/cues/0123456789/card.json"]
    other += [
        "results/runs/cues/tiny/old-0123456789/seed0/run.json",
        "results/studies/small/0123456789/report/card.json",
    ]
    other += ["results/profiles/small/cues/0123456789.json"]
    for path in (*kept, *other, f"{seed}/run.json"):
        write_text(path, "1234")
    Path("results/small").mkdir()
    Path("results/small/report").symlink_to("../studies/small/0123456789/report")
    write_text("more.yaml", "experiments: {first: {grid: {seeds: 2}}}")
    places = ["/".join(path.split("/")[:-1]) for path in other[:-2]] + ["results/studies/small/0123456789", other[-1]]

    assert main(["clean", "--study", "more.yaml"]) == 0
    told = capsys.readouterr().out
    assert f"in {len(places)} places not referred to by any study; remove them with --delete" in told
    assert all(place in told for place in places)
    assert seed not in told
    assert main(["clean", "--delete"]) == 0
    assert f"in {len(places) + 1} places removed" in capsys.readouterr().out
    assert not any(Path(place).exists() for place in (*places, seed))
    assert all(Path(path).exists() for path in kept)


def test_the_environment_for_conda_has_the_same_pins():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert environment[-1]["pip"] == project["dependencies"] + project["optional-dependencies"]["dev"]
