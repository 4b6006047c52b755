"""Seeds until the claims are decided: many studies whose truth is known, and what a look leads to."""

import os
from collections import Counter

import numpy as np
import pytest
from conftest import small_study
from planting import SOUND, evidence

from cnntention.config import Run, Study, parse_study
from cnntention.errors import UserError
from cnntention.judging.judge import judge
from cnntention.judging.looks import DECIDED, identity, next_look, record
from cnntention.partial import reduced
from cnntention.results import paths
from cnntention.results.words import Settled, Verdict

SD, LOOKS = 0.01, [3, 6, 10, 15, 20]
EFFECTS = {"none": 0.0, "small": 0.1, "some": 0.3, "large": 1.0}  # of the sd of a difference between paired runs
STUDIES = int(os.environ.get("SIMULATED_STUDIES", 100))


def adaptive(claims: dict, models: list[str], at_most: int | None = None, **sequential) -> Study:
    config = small_study()
    config["models"] = dict.fromkeys(models, config["models"]["tiny"])
    config["experiments"]["first"]["grid"] |= {"models": models, "seeds": {"until": "decided", "at_most": at_most}}
    del config["experiments"]["first"]["baseline"]
    told = {"sentence": "It is so.", "experiment": "first", "against": "tiny"}
    config["claims"] = {name: told | claim for name, claim in claims.items()}
    config["statistics"] = {"sequential": {"looks": LOOKS, **sequential}, "paired": True, "min_seeds": 3}
    return parse_study(config)


def settle(study: Study, of) -> tuple[Study, list, list, list]:
    """Look by look, as the workflow does: the study at its end, its tests and claims, and all looks."""
    decided, taken = {}, []
    while True:
        known = evidence(study, of)
        tests, claims = judge(study, known, decided)
        taken.append(next_look(study, tests, claims, known.runs, len(taken) + 1))
        if not taken[-1].reached:
            return study, tests, claims, taken
        decided = {identity(test): test for test in tests if test.verdict in DECIDED}
        study = study.model_copy(update={"reached": taken[-1].reached})


def planted(study: Study, effects: dict[str, float], seed: int, **more):
    """Runs of one hour; of each model accuracies that differ from tiny's by so many sd."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0.8, 0.03, 20)
    noise = {name: rng.normal(0, SD, 20) for name in effects}

    def of(run: Run) -> dict:
        gain = effects[run.model] * SD + noise[run.model][run.seed] if run.model in effects else 0
        return SOUND | more | {"test_accuracy": shared[run.seed] + gain, "hours": 1.0}

    return of


# --- simulated studies ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settled() -> tuple[Counter, dict[str, list[int]]]:
    """How studies of one claim end, and the seeds that each took; a hundred at once, as families of their own."""
    names = {f"{name}-{i}": effect for name, effect in EFFECTS.items() for i in range(25)}
    claims = {name: {"model": name, "margin": 0.5 * SD, "family": name} for name in names}
    study = adaptive(claims, ["tiny", *names])
    ends, seeds = Counter(), {name: [] for name in EFFECTS}
    for seed in range(STUDIES // 100):
        _, tests, found, _ = settle(study, planted(study, names, seed))
        own = {test.claim: test for test in tests if test.claim}
        for claim in found:
            kind = claim.claim.split("-")[0]
            ends[kind, claim.verdict, own[claim.claim].reason] += 1
            seeds[kind].append(own[claim.claim].n)
    return ends, seeds


def share(ends: Counter, kind: str, *verdicts: Verdict, without: str = "") -> float:
    own = {key: count for key, count in ends.items() if key[0] == kind}
    hits = sum(count for key, count in own.items() if key[1] in verdicts and key[2] != without)
    return hits / sum(own.values())


def test_false_verdicts_are_as_rare_as_alpha(settled):
    ends, _ = settled
    some = 3 * (0.05 * 0.95 / (STUDIES / 4)) ** 0.5
    found = (Verdict.SUPPORTED, Verdict.NEGLIGIBLE)
    # none: a difference that is not there, either way; that it is equivalent is true
    wrong = share(ends, "none", *found) + share(ends, "none", Verdict.REFUTED, without="equivalent")
    assert wrong <= 0.05 + some
    assert share(ends, "large", Verdict.REFUTED, Verdict.NEGLIGIBLE) <= 0.05 + some


def test_large_effects_are_found_with_few_seeds(settled):
    ends, seeds = settled
    # simulated for the design: .78
    assert share(ends, "large", Verdict.SUPPORTED) > 0.78 - 3 * (0.78 * 0.22 / (STUDIES / 4)) ** 0.5
    assert np.mean(seeds["large"]) < 14 < np.mean(seeds["small"])
    assert {n for counts in seeds.values() for n in counts} <= set(LOOKS)


# --- what a look leads to -------------------------------------------------------------------------------------------

CLAIMS = {"Sure": {"model": "sure"}, "Hard": {"model": "hard"}, "Dear": {"model": "dear"}}
EFFECT = {"sure": 9.0, "hard": 0.0, "dear": 0.0}


def of_three(study: Study):
    """Runs of three models, of which one is much better, and one takes ten hours a run."""
    known = planted(study, EFFECT, 1)
    return lambda run: known(run) | {"hours": 10.0 if run.model == "dear" else 1.0}


def reached(look, model: str) -> int | None:
    return look.reached.get(f"cues/{model}/brief")


def test_only_the_models_of_open_claims_get_more_seeds():
    study = adaptive(CLAIMS, ["tiny", *EFFECT])
    end, tests, _, taken = settle(study, of_three(study))
    assert [look.ended for look in taken] == [None] * 4 + [Settled.AT_MOST]
    for look, wanted in zip(taken, LOOKS[1:], strict=False):
        assert (reached(look, "sure"), reached(look, "hard"), reached(look, "tiny")) == (None, wanted, wanted)
    sure, hard, dear = (next(test for test in tests if test.claim == name) for name in CLAIMS)
    assert (sure.n, sure.verdict, hard.n, dear.n) == (3, Verdict.SUPPORTED, 20, 20)
    assert sum(run.model == "sure" for run in end.runs()) == 3
    # price of the second look: three more runs of tiny and hard at an hour, of dear at ten
    assert (taken[0].price, taken[0].spent) == pytest.approx((36, 39))
    assert taken[0].claims == pytest.approx({"Hard": 6, "Dear": 33})


def test_a_test_that_is_decided_stays_as_it_was():
    """Although its models get more seeds, which another claim needs."""
    claims = {"Sure": {"model": "sure"}, "Other": {"model": "hard", "against": "sure"}}
    study = adaptive(claims, ["tiny", "sure", "hard"])
    of = planted(study, {"sure": 9.0, "hard": 9.0}, 3)
    first, (end, tests, *_) = judge(study, evidence(study, of)), settle(study, of)
    assert sum(run.model == "sure" for run in end.runs()) == 20
    then, now = (next(test for test in found if test.claim == "Sure") for found in (first[0], tests))
    assert (now.n, now.p, now.low) == (3, then.p, then.low)


def test_the_budget_goes_to_the_cheapest_claims_first():
    study = adaptive(CLAIMS, ["tiny", *EFFECT], budget=60)
    *_, taken = settle(study, of_three(study))
    assert [look.ended for look in taken] == [None] * (len(taken) - 1) + [Settled.BUDGET]
    assert (reached(taken[0], "dear"), reached(taken[0], "hard")) == (None, 6)
    assert taken[-1].spent <= 60 < taken[-1].spent + min(taken[-1].claims.values())
    assert set(taken[-1].claims) == {"Hard", "Dear"}


def test_without_an_open_claim_it_ends():
    study = adaptive({"Sure": {"model": "sure"}}, ["tiny", "sure"], at_most=6)
    assert [look.ended for look in settle(study, planted(study, EFFECT, 1))[3]] == [Settled.DECIDED]


@pytest.mark.parametrize(("at_most", "sequential", "said"), [
    (7, {}, "grid.seeds.at_most: give one of statistics.sequential.looks, 3, 6, 10, 15, 20 (it is 7)"),
    (None, None, "`until: decided` needs statistics.sequential"),
])  # fmt: skip
def test_looks_that_cannot_be_are_refused(at_most, sequential, said):
    config = adaptive({}, ["tiny"]).model_dump(mode="json")
    config["experiments"]["first"]["grid"][0]["seeds"]["at_most"] = at_most
    if sequential is None:
        config["statistics"]["sequential"] = None
    with pytest.raises(UserError, match=said.replace("(", r"\(").replace(")", r"\)")):
        parse_study(config)


def test_an_enlarged_study_tells_its_earlier_looks(tmp_path, monkeypatch):
    """Judged at three seeds, then again at three by another claim, then at six."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    config, seen = adaptive({"Hard": {"model": "hard"}}, ["tiny", "hard"]).model_dump(mode="json"), []
    for seeds, sentence in ((3, "A."), (3, "B."), (3, "B."), (6, "B.")):
        config["experiments"]["first"]["grid"][0]["seeds"] = seeds
        config["claims"]["Hard"]["sentence"] = sentence
        study = parse_study(config)
        known = evidence(study, planted(study, EFFECT, 1))
        seen.append(record(study, tmp_path, judge(study, known)[1], known.runs))
        assert seen[-1]["planned"].tolist() == [False] * (len(seen[-1]) - 1) + [True]
        assert seen[-1]["key"].iloc[-1] == paths.study_key(study)
    assert [len(looks) for looks in seen] == [1, 2, 2, 3]
    assert seen[-1]["most_seeds"].tolist() == [3, 3, 6]


@pytest.mark.parametrize(("there", "shown"), [
    (range(3), [0, 1, 2]), (range(5), [0, 1, 2]), ([0, 1, 2, 4, 5], [0, 1, 2]), (range(6), list(range(6))),
    ([0, 1], [0, 1]), ([1, 2, 4, 5], [1, 2]),
])  # fmt: skip
def test_a_report_between_two_looks_is_of_the_last(tmp_path, monkeypatch, there, shown):
    """Whoever stops a study sees no look that its levels do not allow for, and none is recorded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "card.json").write_text("{}")
    study = adaptive({"Hard": {"model": "hard"}}, ["tiny", "hard"])
    study = study.model_copy(update={"reached": {f"cues/{model}/brief": 6 for model in ("tiny", "hard")}})
    part = reduced(study, [run for run in study.runs() if run.seed in there])
    assert {run.seed for run in part.runs()} == set(shown)
    known = evidence(part, planted(part, EFFECT, 1))
    assert record(part, tmp_path, judge(part, known)[1], known.runs, whole=study).empty
    assert not (tmp_path / paths.looks_path(study)).exists()


def test_no_seeds_are_trained_for_a_time():
    study = adaptive({"T": {"model": "b", "metric": "latency_ms"}}, ["tiny", "b"])
    times = {"tiny": np.ones((5, 3)), "b": np.exp(np.random.default_rng(0).normal(0, 1, (5, 3)))}
    known = evidence(study, planted(study, {"b": 0}, 0), {model: {"latency_ms": ms} for model, ms in times.items()})
    tests, claims = judge(study, known)
    assert claims[0].verdict is Verdict.UNDECIDED
    look = next_look(study, tests, claims, known.runs, 1)
    assert (look.reached, look.ended) == ({}, Settled.AT_MOST)


# --- tuning ---------------------------------------------------------------------------------------------------------


def test_every_model_gets_the_same_trials_and_its_best_is_compared():
    """Validation prefers trial 1 for tiny and trial 2 for hard; test accuracy is of the trial as well."""
    config = adaptive({"Hard": {"model": "hard"}}, ["tiny", "hard"]).model_dump(mode="json")
    config["experiments"]["first"]["tuning"] = {"trials": 3, "lr": [0.1, 0.01, 0.001], "weight_decay": [0, 1e-4]}
    study = parse_study(config)
    assert parse_study(study.model_dump(mode="json")) == study
    assert [len({run.recipe for run in study.runs() if run.model == model}) for model in ("tiny", "hard")] == [3, 3]
    assert len(study.runs()) == 6
    optimizers = [study.recipes[f"brief-trial{i}"].optimizer for i in range(3)]
    assert len({(of.lr, of.weight_decay) for of in optimizers}) == 3
    of, best = planted(study, {"hard": 9.0}, 1), {"tiny": "brief-trial1", "hard": "brief-trial2"}
    known = lambda run: of(run) | {"val_accuracy": 0.9 if run.recipe == best[run.model] else 0.5}  # noqa: E731
    end, tests, (claim,), taken = settle(study, known)
    assert claim.verdict is Verdict.SUPPORTED
    (test,) = tests
    assert (test.recipe, test.other_recipe, test.n) == ("brief-tuned", "brief-tuned", 3)
    assert taken[0].reached == {f"cues/{model}/{recipe}": 3 for model, recipe in best.items()}
    assert len(end.runs()) == 6 + 2 * 2


def test_more_trials_than_the_grid_has_are_refused():
    config = adaptive({}, ["tiny"]).model_dump(mode="json")
    config["experiments"]["first"]["tuning"] = {"trials": 3, "lr": [0.1, 0.01], "weight_decay": 0}
    with pytest.raises(UserError, match=r"first.tuning: trials: the grid has 2 combinations \(it is 3\)"):
        parse_study(config)
