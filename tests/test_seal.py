"""Seals: the digest of what decides a claim, the command, and what the verdicts say of claims that were sealed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import small_study
from planting import MODELS, SOUND, TOLD, evidence, planned, sample
from test_keys import changed, leaves, whole

from cnntention import files, seal
from cnntention.cli import main
from cnntention.config import parse_study
from cnntention.errors import UserError
from cnntention.judging.judge import judge_study
from cnntention.partial import reduced
from cnntention.report import declared
from cnntention.results import paths
from cnntention.results.rows import frame, read_table
from cnntention.results.tables import ClaimRow, ModuleRow
from cnntention.results.words import Declared, Reason, Verdict

EARLY, FIRST, LATE, LATER = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3, 4))
DIGEST = re.compile("[0-9a-f]{64}")


# --- digests ------------------------------------------------------------------------------------------------------


def decided_by(config: dict, name: str = "used") -> str:
    study = parse_study(config)
    return seal.decided_by(study, study.claims[name], seal.budget_of(study))


def test_a_digest_is_of_all_that_decides_a_claim_and_of_nothing_else():
    """The claim, the statistics, and where its runs and their examinations lie, which says what is in them."""
    base, counts = whole(), {True: 0, False: 0}

    def places(config: dict) -> set[str]:
        study = parse_study(config)
        return {paths.examination_folder(study, run) for run in study.runs()}

    digest, lie = decided_by(base), places(base)
    assert DIGEST.fullmatch(digest)
    for way in leaves(base):
        try:
            other = changed(base, way)
            decides = way[:2] == ("claims", "used") or way[0] == "statistics" or places(other) != lie
            found = decided_by(other) != digest
        except UserError:
            continue
        assert found == decides, way
        counts[decides] += 1
    assert min(counts.values()) > 20
    more = changed(base, ("experiments", "first", "grid", 0, "seeds", 0))
    more["experiments"]["first"]["grid"][0]["seeds"] = [0, 1]  # an enlarged study is another
    assert decided_by(more) != digest


def backwards(value):
    return {key: backwards(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


def test_the_order_of_keys_and_defaults_that_are_spelt_out_do_not_matter():
    base, short = whole(), whole()
    assert decided_by(backwards(base)) == decided_by(base)
    needed = ("sentence", "experiment", "model", "against")
    short["claims"]["used"] = {key: base["claims"]["used"][key] for key in needed}
    del short["statistics"]
    short["experiments"]["first"]["grid"][0]["seeds"] = 1
    assert decided_by(short) == decided_by(base)


def test_a_budget_may_be_raised_after_the_first_score(tmp_path, monkeypatch):
    """It says how soon to stop, and stopping sooner or later at the planned looks changes no level. Looks do."""
    monkeypatch.chdir(tmp_path)
    looks = {"looks": [3, 6], "budget": 2}

    def study(**more):
        config = planned(6, A={}).model_dump(mode="json")
        return parse_study(config | {"statistics": {"min_seeds": 3, "sequential": looks | more}})

    seal.seal(study())
    (entry,) = seal.read(study())
    claim = study().claims["A"]
    assert entry.budget == 2
    for more in ({}, {"budget": 9}, {"budget": None}):
        assert seal.state(study(**more), claim, [entry], first="2999-01-01T00:00:00Z") == ("declared before", entry)
        assert seal.seal(study(**more)) == ["A: unchanged"]
    for more in ({"looks": [3, 4, 6]}, {"spending": "obrien-fleming"}):
        assert seal.state(study(**more), claim, [entry], first="2999-01-01T00:00:00Z") == ("changed after", None)
    # one that was sealed without a limit gets one
    unlimited = study(budget=None, looks=[3, 5])
    seal.seal(unlimited)
    assert seal.seal(study(looks=[3, 5])) == ["A: unchanged"]


def test_what_a_claim_compares():
    """Both sides, controls, what must be learned, rivals of a front; a cost is decided by how it is measured, too."""
    front = {"metric": "front_macs", "expect": "front", "against": None}
    control = {"control": "local", "datasets": "cues"}
    gate, front = {"learned": "local", "datasets": "cues"}, front | {"datasets": "cues"}
    study = planned(3, datasets=("cues", "local"), plain={}, front=front, control=control, gate=gate)
    told = {name: {cell[:2] for cell in seal.compared(study, claim)} for name, claim in study.claims.items()}
    sides = {(dataset, model) for dataset in ("cues", "local") for model in ("tiny", "looking")}
    assert told == {"plain": sides, "control": sides, "gate": sides, "front": {("cues", model) for model in MODELS}}
    config = study.model_dump(mode="json")
    other = changed(config, ("profiling", "rounds"))
    same = {name: decided_by(other, name) == decided_by(config, name) for name in told}
    assert same == {"plain": True, "control": True, "gate": True, "front": False}


# --- the command --------------------------------------------------------------------------------------------------


def test_a_user_seals_a_study(tmp_path, environment):
    def run(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "cnntention", "seal", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, text=True, capture_output=True)
        return done.returncode, done.stdout, done.stderr

    config, file = small_study(), tmp_path / "seals/small.json"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, error = run()
    assert (code, error) == (
        1,
        "cnntention seal: the study has no claim, so there is nothing to seal; see `claims` in config.yaml.\n",
    )
    config["claims"] = {"A": TOLD, "B": TOLD | {"expect": "lower"}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    assert run()[:2] == (0, "A: sealed\nB: sealed\nCommit seals/small.json before the first run.\n")
    sealed = file.read_bytes()
    first = json.loads(sealed)["entries"]
    assert [(e["claim"], e["sentence"]) for e in first] == [("A", "It helps."), ("B", "It helps.")]
    assert all(DIGEST.fullmatch(entry["digest"]) and entry["commit"] for entry in first)
    assert run()[:2] == (0, "A: unchanged\nB: unchanged\n")
    assert file.read_bytes() == sealed
    (tmp_path / "more.yaml").write_text(
        "claims: {B: {margin: 0.1}, C: {sentence: '?', experiment: first, model: tiny, value: 1}}"
    )
    since = first[1]["sealed"]
    assert run("--config", "more.yaml")[1].splitlines()[:-1] == [
        "A: unchanged",
        f"B: changed since {since}",
        "C: sealed",
    ]
    entries = json.loads(file.read_bytes())["entries"]
    assert entries[:2] == first
    assert [entry["claim"] for entry in entries[2:]] == ["B", "C"]
    for broken in (file.read_bytes().replace(b"It helps", b"It helqs"), b"[]", b"<<<<<<< HEAD", b""):
        file.write_bytes(broken)
        code, out, error = run()
        sentence = "seals/small.json: is damaged, so it proves nothing; restore it: git restore seals/small.json."
        assert (code, out, error) == (1, "", f"cnntention seal: {sentence}\n")
        assert file.read_bytes() == broken


def test_a_seal_that_comes_while_the_workflow_runs_starts_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = planned(6, A={})
    files.write_json("config.yaml", study.model_dump(mode="json"))
    planned_for = f"{paths.study_folder(study)}/tables"
    seal.seal(study)
    assert main(["summarise", "--config", "config.yaml", "--out", planned_for]) == 1
    assert f"the folder is {paths.study_folder(study)} since the study's seal was changed" in capsys.readouterr().err


# --- verdicts -----------------------------------------------------------------------------------------------------


def judged(study, finished: dict[str, str], kept=None):
    """claims.csv of planted tables; finished: when the runs of each model had finished."""
    part = kept or study
    values = {model: sample(0.9, 0.002, 6, i) for i, model in enumerate(MODELS)}
    known = evidence(
        part, lambda r: SOUND | {"test_accuracy": values[r.model][r.seed], "finished": finished.get(r.model, LATER)}
    )
    folder = Path(paths.study_folder(part))
    tables = {"runs": known.runs, "cost": known.cost, "rounds": known.rounds, "modules": frame([], ModuleRow)}
    for name, table in tables.items():
        files.write_csv(folder / f"{name}.csv", table)
    hashes = {path.name: files.sha256(path) for path in folder.glob("*.csv")}
    files.write_record(folder / "card.json", {"key": paths.study_key(part), "sha256": hashes})
    judge_study(part, folder, folder / "verdicts", whole=study)
    return read_table(folder / "verdicts", "claims").set_index("claim")


@pytest.mark.parametrize(
    ("entries", "state", "sealed"),
    [
        ([("now", EARLY)], "declared before", EARLY),
        ([("now", FIRST)], "declared after", FIRST),  # at the same second
        ([("now", LATE)], "declared after", LATE),
        ([("old", LATE), ("now", LATER)], "declared after", LATER),
        ([("old", EARLY)], "changed after", ""),
        ([("old", EARLY), ("now", LATE)], "changed after", LATE),
        ([("now", EARLY), ("old", EARLY)], "changed after", ""),  # what was in force at the first score is another
        ([("old", EARLY), ("now", EARLY)], "declared before", EARLY),
        ([("now", EARLY), ("old", LATE)], "declared before", EARLY),
        ([("old", LATE)], "not sealed", ""),
        ([], "not sealed", ""),
    ],
)
def test_the_verdicts_say_whether_a_claim_was_declared(tmp_path, monkeypatch, entries, state, sealed):
    monkeypatch.chdir(tmp_path)
    study = planned(6, A={}, other={"model": "other"})
    digests = {"now": seal.decided_by(study, study.claims["A"], None), "old": "0" * 64}
    made = [
        seal.Entry(claim="A", sentence="", digest=digests[which], sealed=when, commit=f"of {when}")
        for which, when in entries
    ]
    before = paths.study_key(study)
    seal.Seal(entries=tuple(made)).write(seal.path_of(study))
    assert paths.study_key(study) != before
    finished = {"looking": FIRST, "tiny": LATE, "wide": "2025-01-01T00:00:00Z"}  # A does not compare wide
    found = judged(study, finished)
    assert found.loc["A", ["declared", "sealed", "sealed_commit"]].tolist() == [
        state,
        sealed,
        f"of {sealed}" if sealed else "",
    ]
    assert found.loc["other", ["declared", "sealed", "sealed_commit"]].tolist() == ["not sealed", "", ""]


def test_a_report_of_the_runs_that_are_there_is_of_the_whole_studys_claims(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = planned(6, A={}, none={"model": "wide"})
    seal.seal(study)
    future = dict.fromkeys(MODELS, "2999-01-01T00:00:00Z")
    there = [run for run in study.runs() if run.seed < 4 and run.model != "wide"]
    found = judged(study, future, reduced(study, there))
    assert found["declared"].to_dict() == {"A": "declared before", "none": "declared before"}
    assert found["verdict"]["none"] == "not run"
    more = planned(8, A={}, none={"model": "wide"})  # enlarged, after its first score
    assert judged(more, future, reduced(more, there))["declared"].to_dict() == {
        "A": "changed after",
        "none": "changed after",
    }


def test_the_report_says_so():
    known = {"claim": "A", "experiment": "first", "metric": "nll", "expect": "higher", "sentence": "", "source": ""}
    known |= {"claimed": "", "published": "", "verdict": Verdict.SUPPORTED, "reason": Reason.SIGNIFICANT, "tests": 1}
    sealed = {Declared.BEFORE: EARLY, Declared.AFTER: LATE, Declared.CHANGED: LATE, Declared.NOT: ""}
    rows = [ClaimRow(**known, declared=d, sealed=when, sealed_commit="c0") for d, when in sealed.items()]
    rows.append(ClaimRow(**known, declared=Declared.CHANGED))
    rows.append(ClaimRow(**known | {"tests": 0}, declared=Declared.BEFORE, sealed=FIRST))
    table = frame(rows, ClaimRow)
    assert [declared.of_claim(row) for _, row in table[:5].iterrows()] == [
        "Declared before its first score: sealed 2026-01-01 00:00:00 UTC.",
        "Declared after its first score: sealed 2026-01-03 00:00:00 UTC.",
        "Changed after its first score, sealed again 2026-01-03 00:00:00 UTC.",
        "Not sealed.",
        "Changed after its first score, not sealed again.",
    ]
    head = "1 of 5 tested claims was declared before its first score"
    assert declared.of_study(table) == f"{head} (sealed 2026-01-01, commit c0)."
    assert declared.of_study(table[1:]) == "No tested claim was declared before its first score."
