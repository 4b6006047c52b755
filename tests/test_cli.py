"""The steps as commands: a mistake is one line on stderr and exit code 1."""

import pytest
import yaml
from conftest import ROOT

from cnntention.cli import main


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
        (["summarise", "--out", "results/small/tables"], "run.json: is missing; run the step that writes it."),
        (["diagnose", "--run", "results/runs/cues/tiny"], "results/runs/cues/tiny: is not a run of this study"),
        (["judge", "--tables", "nowhere", "--out", "c"], "nowhere"),
        (["report", "--tables", "nowhere", "--claims", "c", "--out", "r"], "nowhere"),
        (["profile", "--dataset", "cues", "--out", "p.json"], "card.json: is missing"),
        (["publish", "--readme", "README.md"], "results/small/tables/card.json: is missing"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_a_sentence(config, capsys, words, message):
    assert main([words[0], *config, *words[1:]]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cnntention {words[0]}: ")
    assert message in error
    assert error.count("\n") == 1


def test_a_step_works_by_itself(config, capsys, tmp_path, small):
    from cnntention.config import parse_study
    from cnntention.plan import data_folder

    study = parse_study(small)
    (run, _) = study.runs()
    step = [*config, "--run", run.folder]
    assert main(["prepare", *config, "--dataset", "cues", "--out", data_folder(study, "cues")]) == 0
    assert main(["evaluate", *step]) == 1
    assert "run.json: is missing" in capsys.readouterr().err
    assert main(["train", *step, "--state", "state/a.pt"]) == 0
    assert "epoch 2/2" in capsys.readouterr().out
    assert main(["evaluate", *step]) == 0
    assert main(["examine", *step]) == 0
    metrics, attention = (tmp_path / run.folder / name for name in ("metrics.json", "attention.json"))
    scored, looked = metrics.read_bytes(), attention.stat().st_mtime_ns
    metrics.write_bytes(scored.replace(b'"key": "', b'"key": "0'))  # as of other weights or settings
    assert main(["examine", *step]) == 0
    assert metrics.read_bytes() == scored
    assert attention.stat().st_mtime_ns == looked  # what is right is left alone
    weights = tmp_path / run.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert main(["evaluate", *step]) == 1
    assert "is missing or not the file that run.json describes" in capsys.readouterr().err


def test_the_environment_for_conda_has_the_same_pins():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert environment[-1]["pip"] == project["dependencies"] + project["optional-dependencies"]["dev"]
