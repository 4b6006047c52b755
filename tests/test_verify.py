"""`cnntention verify` finds what was changed, repeats runs to the same bytes, and touches nothing of the study."""

import dataclasses
import hashlib
import json
import re
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, small_study
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnntention import files
from cnntention.cli import main
from cnntention.config import load, parse_study
from cnntention.results import paths
from cnntention.results.verification import Outcome, Verification
from cnntention.verification.hashes import check_files

pytestmark = pytest.mark.slow  # they wait for the small study

STUDY = parse_study(small_study())
FOLDER = Path(paths.study_folder(STUDY))


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory):
    """A copy of the finished small study."""
    folder = tmp_path_factory.mktemp("verify") / "study"
    shutil.copytree(finished, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake", "logs"))
    return folder


@pytest.fixture
def study(copied, monkeypatch):
    monkeypatch.chdir(copied)
    return copied


def contents(folder: Path) -> dict[str, bytes]:
    every = [path for path in folder.rglob("*") if path.is_file() and path.name != "verify.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in every}


def recorded(folder: Path) -> list[str]:
    """All files of the study that a hash is recorded of, or that hold a checksum."""
    made = [path for part in ("data", "results") for path in sorted((folder / part).rglob("*.*")) if path.is_file()]
    real = [path for path in made if path == path.resolve() and path.suffix != ".log"]
    return [str(path.relative_to(folder)) for path in real if path.name != "verify.json"]


def same_value(one: bytes, other: bytes) -> bool:
    """Whether both are the same JSON: `1E-05` is `1e-05`, and a float's last digit may not matter."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_a_sample_is_repeated_to_the_same_bytes_and_nothing_is_touched(study, capsys):
    before = contents(study)
    assert main(["verify", "--runs", "1"]) == 0
    told = capsys.readouterr().out
    assert "1 of 2 runs trained again: 1 identical" in told
    assert "0 files absent, 0 wrong" in told
    assert contents(study) == before
    found = Verification.read(FOLDER / "verify.json")
    (repeat,) = found.repeats
    assert (repeat.outcome, repeat.same_weights, repeat.promised, repeat.machine) == ("identical", True, True, {})
    other = next(run for run in STUDY.runs() if run.name != repeat.run)
    assert main(["verify", "--run", other.folder]) == 0
    assert f"identical: {other.name}" in capsys.readouterr().out
    assert contents(study) == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_bit_is_found_by_its_path_and_what_is_absent_is_not_wrong(copied, data):
    path = data.draw(st.sampled_from(recorded(copied)))
    with chdir(copied):
        content = Path(path).read_bytes()
        bit = data.draw(st.integers(0, 8 * len(content) - 1))
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            Path(path).write_bytes(changed)
            found = check_files(STUDY)
            assert path in found.wrong or same_value(content, bytes(changed)), bit
            Path(path).unlink()
            found = check_files(STUDY)
            assert (list(found.absent), found.wrong) == ([path], {})
        finally:
            Path(path).write_bytes(content)


def test_what_is_wrong_is_named_and_not_trained_again(study, capsys):
    run = STUDY.runs()[0]
    weights = Path(run.folder, "model.safetensors")
    content = weights.read_bytes()
    history = Path(run.folder, "history.csv")
    text = history.read_text()
    try:
        weights.unlink()
        history.write_text(text.replace("0.", "1.", 1))
        assert main(["verify", "--runs", "0"]) == 1
        told = capsys.readouterr()
        assert f"wrong   {history}: its SHA256 is not the recorded one" in told.out
        assert f"absent  {weights}" in told.out
        assert told.err == "cnntention verify: something is not as recorded; see above.\n"
        assert not Verification.read(FOLDER / "verify.json").holds
        assert main(["verify", "--run", run.folder]) == 1
        assert f"--run: of {run.folder}, or of its data, files are absent or wrong" in capsys.readouterr().err
    finally:
        weights.write_bytes(content)
        history.write_text(text)


def test_another_machine_may_differ_within_the_tolerance_the_same_one_may_not(study):
    from cnntention.verification.repeat import compare, told_by_files

    run = STUDY.runs()[0]
    then = told_by_files(STUDY, run)
    assert compare(run, then, then).outcome is Outcome.IDENTICAL
    history = then.history.copy()
    history.loc[1, "val_loss"] += 0.25
    now = dataclasses.replace(then, history=history, weights_sha256="0" * 64)
    found = compare(run, then, now)
    assert (found.outcome, found.first_epoch, found.same_weights) == (Outcome.DIFFERENT, 2, False)
    assert found.loss_difference == pytest.approx(0.25)
    elsewhere = dataclasses.replace(now, machine=dict(then.machine, isa="other"))
    found = compare(run, then, elsewhere)
    assert (found.outcome, found.machine) == (Outcome.CLOSE, {"isa": (then.machine["isa"], "other")})
    far = dataclasses.replace(elsewhere, scores=dict(then.scores, top1=1.0))
    assert compare(run, then, far).outcome is Outcome.DIFFERENT
    older = dataclasses.replace(now, machine=dict(then.machine, commit="0123456789ab"))
    assert compare(run, then, older).outcome is Outcome.DIFFERENT  # another commit is no excuse


def test_a_report_made_again_tells_it_and_only_of_its_own_tables(study):
    parts = ["--tables", str(FOLDER / "tables"), "--verdicts", str(FOLDER / "verdicts")]
    assert "Verified" not in Path(FOLDER, "report/report.md").read_text()
    assert main(["verify", "--runs", "0"]) == 0
    assert main(["report", "--config", "config.yaml", *parts, "--out", "again"]) == 0
    told = r"Verified: \d{4}-\d\d-\d\d: \d+ recorded hashes hold, 0 files absent, 0 wrong\n"
    assert re.search(told, Path("again/report.md").read_text())
    found = files.read_record(FOLDER / "verify.json")
    files.write_record(FOLDER / "verify.json", found | {"tables_sha256": "0" * 64})
    assert Verification.of(FOLDER) is None


def test_files_are_held_against_dvcs_lock_by_path(study):
    folder = Path(STUDY.runs()[0].folder)
    hashes = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in paths.RUN_FILES}
    text = json.dumps([{"md5": md5, "relpath": name} for name, md5 in (hashes | {"train.log": "0" * 32}).items()])
    md5 = hashlib.md5(text.encode()).hexdigest()
    outs = [{"path": str(folder), "md5": f"{md5}.dir"}, {"path": "config.yaml", "md5": "0" * 32}]
    files.write_text("dvc.yaml", yaml.safe_dump({"stages": {"runs": {"cmd": "x", "outs": [str(folder)]}}}))
    files.write_text("dvc.lock", yaml.safe_dump({"stages": {"runs": {"cmd": "x", "outs": outs}}}))
    listing = Path(".dvc/cache/files/md5", md5[:2], f"{md5[2:]}.dir")
    why = "differs from dvc.lock; `dvc checkout` brings back what that names, `dvc repro` records what is here"
    wrong = {"config.yaml": why}
    try:
        found = check_files(STUDY)
        assert (list(found.absent), found.wrong) == ([], wrong)
        files.write_text(listing, text)
        found = check_files(STUDY)
        assert (list(found.absent), found.wrong) == ([], wrong | {f"{folder}/train.log": why})
    finally:
        Path("dvc.lock").unlink()
        Path("dvc.yaml").unlink()


def test_a_published_run_is_repeated(tmp_path, monkeypatch, capsys):
    """What CI repeats: the demo's shortest run, against the tables under results/published."""
    config = ["--config", str(ROOT / "config.yaml"), str(ROOT / "workflow/studies/demo.yaml")]
    study = load(config[1:])
    run = study.run("demo-local", "resnet8", "short", 30)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "results/published/demo", "demo")
    assert main(["prepare", *config, "--dataset", run.dataset, "--out", paths.data_folder(study, run.dataset)]) == 0
    assert main(["verify", *config, "--tables", "demo/tables", "--run", run.folder]) == 0
    told = capsys.readouterr().out
    assert re.search(r"1 of \d+ runs trained again: 1 (identical|within the tolerance)", told)
    assert not Path("results").exists()
