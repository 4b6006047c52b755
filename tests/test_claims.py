"""Claims on planted runs whose truth is known: dead attention, one network under two names, a real gain, and so on."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_study

from cnntention.config import parse_study
from cnntention.config.claims import cases
from cnntention.errors import UserError
from cnntention.evaluation.evidence import Evidence
from cnntention.evaluation.judge import judge

SEEDS = 10
BASE = {"dataset": "cues", "recipe": "brief", "leaks": False, "cam_sane": True}


def values(mean: float, sd: float = 0.002, n: int = SEEDS, seed: int = 0) -> np.ndarray:
    """A sample with exactly this mean and sd."""
    draws = np.random.default_rng(seed).standard_normal(n)
    return mean + sd * (draws - draws.mean()) / draws.std(ddof=1)


def planted(**models) -> Evidence:
    """Runs of these models: name -> (accuracies, attention_alive)."""
    rows = []
    for model, (accuracies, alive) in models.items():
        for seed, accuracy in enumerate(accuracies):
            name = model.replace("_", "-")
            row = {"model": name, "seed": seed, "test_accuracy": accuracy, "attention_alive": alive}
            rows.append(BASE | row | {"folder": f"{name}/{seed}"})
    names = [name.replace("_", "-") for name in models]
    cost = [{"dataset": "cues", "model": name, "macs": 10 * (i + 1), "parameters": 9} for i, name in enumerate(names)]
    for i, row in enumerate(cost):
        row |= {"training_step_ms": 5 + i, "training_step_ms_q25": 4.5 + i, "training_step_ms_q75": 5.75 + i}
        row |= {"training_step_joules": np.nan}
    return Evidence(pd.DataFrame(rows), pd.DataFrame(cost), {})


TOLD = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}


def planned(**claims) -> dict:
    """The small study as a configuration of ten seeds, with these claims."""
    config = small_study()
    config["experiments"]["first"]["grid"]["seeds"] = SEEDS
    told = {name: TOLD | claim for name, claim in claims.items()}
    config["claims"] = {n: {key: value for key, value in c.items() if value is not None} for n, c in told.items()}
    return config


def study(**claim):
    """The small study with one claim: looking beats tiny."""
    return parse_study(planned(C=claim))


def verdicts(config: dict, evidence: Evidence) -> dict[str, dict]:
    return judge(parse_study(config), evidence)[1]


def verdict(evidence: Evidence, **claim) -> dict:
    return verdicts(planned(C=claim), evidence)["C"]


def test_a_gain_of_one_point_is_supported():
    found = verdict(planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True)))
    assert found["verdict"] == "supported"
    (one,) = found["comparisons"]
    assert one["difference"] == pytest.approx(0.01)
    assert one["n"] == (10, 10)
    assert 0 < one["interval"][0] < 0.01 < one["interval"][1]
    assert one["p_holm"] < 1e-6
    assert one["superiority"] == 1.0


def test_a_loss_of_one_point_is_refuted():
    found = verdict(planted(tiny=(values(0.90), None), looking=(values(0.89, seed=1), True)))
    assert (found["verdict"], found["reason"]) == ("refuted", "the difference is significant, the other way")


def test_attention_that_is_off_voids_the_claim_and_says_in_how_many_runs():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), False))
    evidence.runs.loc[evidence.runs["folder"] == "looking/0", "attention_alive"] = True
    found = verdict(evidence)
    assert found["verdict"] == "void"
    assert found["reason"] == "the attention of looking is not alive in 9 of 10 runs"
    assert found["comparisons"][0]["difference"] == pytest.approx(0.01), "the effect is shown all the same"


def test_one_network_under_two_names_is_no_difference_with_its_mde():
    same = values(0.90, sd=0.008)
    found = verdict(planted(tiny=(same, None), looking=(same, True)))
    assert (found["verdict"], found["reason"]) == ("inconclusive", "no significant difference")
    (one,) = found["comparisons"]
    # noncentral t by the table of standard power analysis: two samples of 10, sd 0.8 points, 80 %
    assert one["mde"] == pytest.approx(0.0106, abs=2e-4)
    close = values(0.90, sd=0.001)
    found = verdict(planted(tiny=(close, None), looking=(close, True)))
    assert (found["verdict"], found["reason"]) == ("refuted", "no difference: equivalent within the margin")


def test_too_few_seeds_give_no_p():
    found = verdict(planted(tiny=(values(0.90, n=2), None), looking=(values(0.95, n=2), True)))
    assert (found["verdict"], found["reason"]) == ("inconclusive", "not enough seeds (n = 2, needs 6)")
    assert found["comparisons"][0]["p"] is None


def test_equality_needs_an_equivalence_test():
    evidence = planted(tiny=(values(0.90, 0.001), None), looking=(values(0.9005, 0.001, seed=1), True))
    assert verdict(evidence, expect="equal")["verdict"] == "supported"
    wide = planted(tiny=(values(0.90, 0.01), None), looking=(values(0.901, 0.01, seed=1), True))
    assert verdict(wide, expect="equal")["verdict"] == "inconclusive"
    far = planted(tiny=(values(0.90, 0.001), None), looking=(values(0.92, 0.001, seed=1), True))
    assert verdict(far, expect="equal")["verdict"] == "refuted"


def test_a_number_can_be_claimed():
    evidence = planted(tiny=(values(0.9125, 0.002), None), looking=(values(0.91), True))
    claim = {"model": "tiny", "against": None, "value": 0.9125, "expect": "equal"}
    assert verdict(evidence, **claim)["verdict"] == "supported"
    assert verdict(evidence, **claim | {"value": 0.93})["verdict"] == "refuted"


def test_runs_that_were_stopped_on_the_test_split_void_it():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    evidence.runs["leaks"] = evidence.runs["model"] == "looking"
    assert verdict(evidence)["reason"] == "the test split decided when looking stopped, or which epoch to keep"
    assert verdict(evidence, preconditions=["attention_alive"])["verdict"] == "supported"


def test_maps_that_survive_randomised_parameters_void_a_claim_about_maps():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    evidence.runs.loc[evidence.runs["folder"] == "tiny/3", "cam_sane"] = False
    found = verdict(evidence, preconditions=["maps_sane"])
    assert found["reason"] == "the maps of tiny survive randomised parameters in 1 of 10 runs"


def test_claims_about_experiments_that_are_not_run_are_left_out():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    config = planned(C={"experiment": "second"}, D={})
    config["experiments"]["second"] = config["experiments"]["first"]
    assert list(verdicts(config, evidence)) == ["D"]


@pytest.mark.parametrize(
    ("solved", "floor", "seeds", "expected"),
    [(4, 0, 4, "supported"), (3, 0, 3, "supported"), (0, 4, 4, "refuted"), (2, 1, 4, "inconclusive"), (2, 0, 2, None)],
)
def test_runs_that_solve_a_task_are_counted_and_tested_exactly(solved, floor, seeds, expected):
    """3 of 3 against 0 of 3 has Boschloo's p of 1/32, 4 of 4 against 0 of 4 of 1/128: the whole tail, twice."""
    evidence = planted(tiny=(values(0.3, n=seeds), None), looking=(values(0.9, n=seeds), True))
    evidence.runs["solved"] = [int(i < floor) for i in range(seeds)] + [int(i < solved) for i in range(seeds)]
    config = planned(C={"metric": "solved"}) | {"statistics": {"min_seeds": 3}}
    config["experiments"]["first"]["grid"]["seeds"] = seeds
    found = verdicts(config, evidence)["C"]
    (one,) = found["comparisons"]
    assert found["verdict"] == (expected or "inconclusive")
    exact = {(4, 0, 4): 2**-7, (3, 0, 3): 2**-5, (0, 4, 4): 2**-7, (2, 0, 2): None}
    if (key := (solved, floor, seeds)) in exact:
        assert one["p"] == (exact[key] and pytest.approx(exact[key], rel=1e-3))


def test_a_comparison_without_runs_is_named_and_supports_nothing():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True))
    config = planned(C={"against": ["tiny", "other"]})
    config["models"]["other"] = {"depth": 8, "width": 5}
    found = verdicts(config, evidence)["C"]
    assert [c["verdict"] for c in found["comparisons"]] == ["supported", "not run"]
    assert (found["verdict"], found["reason"]) == ("not run", "no runs of other on cues")


def test_costs_are_counted_or_timed_in_turn():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    assert verdict(evidence, metric="macs", expect="higher")["verdict"] == "supported"
    assert verdict(evidence, metric="macs", expect="lower")["verdict"] == "refuted"
    assert verdict(evidence, metric="parameters", expect="equal", margin=1)["verdict"] == "supported"
    assert verdict(evidence, metric="macs", expect="lower", against=None, value=25)["verdict"] == "supported"
    timed = verdict(evidence, metric="training_step_ms", expect="higher")
    assert (timed["verdict"], timed["reason"]) == ("inconclusive", "the quartiles overlap")
    assert timed["comparisons"][0]["quartiles"] == ((5.5, 6.75), (4.5, 5.75))


@pytest.mark.parametrize("expect", ["lower", "equal"])
def test_what_was_not_measured_has_no_verdict(expect):
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    assert verdict(evidence, metric="training_step_joules", expect=expect, margin=1)["reason"] == "it was not measured"


def test_a_front_is_a_comparison_with_every_rival_that_is_as_cheap():
    """Three models, each 10 MACs dearer: the second is beaten by the first, the third is the best."""
    evidence = planted(
        tiny=(values(0.90), None), looking=(values(0.89, seed=1), True), other=(values(0.92, seed=2), None)
    )
    config = planned()
    config["models"]["other"] = {"depth": 8, "width": 5}
    config["experiments"]["first"]["grid"]["models"] = ["tiny", "looking", "other"]
    front = {"metric": "front_macs", "expect": "front", "against": None}
    config["claims"] = {m: TOLD | front | {"model": m} for m in ("tiny", "looking", "other")}
    for claim in config["claims"].values():
        del claim["against"]
    found = verdicts(config, evidence)
    assert {name: each["verdict"] for name, each in found.items()} == {
        "tiny": "supported",
        "looking": "refuted",
        "other": "supported",
    }
    assert found["tiny"]["reason"] == "no other model is as cheap"
    assert found["looking"]["reason"] == "as cheap, and more accurate"
    assert [c["b"]["model"] for c in found["other"]["comparisons"]] == ["tiny", "looking"]
    assert found["other"]["comparisons"][0]["difference"] == pytest.approx(0.02)
    timed = {name: claim | {"metric": "front_time"} for name, claim in config["claims"].items()}
    assert verdicts(config | {"claims": timed}, evidence)["looking"]["reason"] == "more accurate, and perhaps as cheap"


def test_no_worse_is_one_sided():
    much_better = planted(tiny=(values(0.90), None), looking=(values(0.92, seed=1), True))
    assert verdict(much_better, expect="not-lower")["verdict"] == "supported"
    assert verdict(much_better, expect="equal")["verdict"] == "refuted"
    a_little_worse = planted(tiny=(values(0.90, 0.001), None), looking=(values(0.899, 0.001, seed=1), True))
    assert verdict(a_little_worse, expect="not-lower")["verdict"] == "supported"
    worse = planted(tiny=(values(0.90), None), looking=(values(0.89, seed=1), True))
    assert verdict(worse, expect="not-lower")["reason"] == "the loss exceeds the margin"
    unsure = planted(tiny=(values(0.90, 0.01), None), looking=(values(0.898, 0.01, seed=1), True))
    assert verdict(unsure, expect="not-lower")["verdict"] == "inconclusive"


def test_a_metric_that_some_runs_lack_is_not_averaged_over_the_rest():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    evidence.runs["epochs_to_reach"] = [None, *range(19)]
    assert verdict(evidence, metric="epochs_to_reach")["reason"] == "1 of 20 runs have no epochs_to_reach"


def test_a_family_shares_its_false_alarms():
    """Two tests in one declared family: Holm doubles the smaller p. The same test asked for twice is one test."""
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.902, seed=1), True))
    evidence.runs["nll"] = evidence.runs["test_accuracy"] + np.tile(values(0, 0.001, seed=5), 2)
    alone = verdict(evidence)["comparisons"][0]
    assert (alone["p_holm"], alone["family"], alone["tests"]) == (alone["p"], "first, cues, brief", 1)
    twice = verdicts(planned(C={}, D={"expect": "lower"}), evidence)
    assert twice["C"]["comparisons"][0]["p_holm"] == twice["D"]["comparisons"][0]["p_holm"] == alone["p"]
    both = verdicts(planned(C={"family": "one"}, D={"family": "one", "metric": "nll"}), evidence)
    tests = [both[name]["comparisons"][0] for name in "CD"]
    smaller, larger = sorted(tests, key=lambda c: c["p"])
    assert smaller["p_holm"] == pytest.approx(2 * smaller["p"])
    assert larger["p_holm"] == pytest.approx(max(larger["p"], 2 * smaller["p"]))
    assert both["C"]["comparisons"][0]["mde"] > alone["mde"]


def test_a_voided_comparison_costs_the_others_nothing():
    evidence = planted(
        tiny=(values(0.90), None), looking=(values(0.902, seed=1), True), other=(values(0.9, seed=2), False)
    )
    config = planned(C={"family": "one"}, D={"family": "one", "model": "other"})
    config["models"]["other"] = {"depth": 8, "width": 5}
    config["experiments"]["first"]["grid"]["models"] = ["tiny", "looking", "other"]
    found = verdicts(config, evidence)
    assert found["D"]["verdict"] == "void"
    assert found["D"]["comparisons"][0]["difference"] == pytest.approx(0)
    assert found["C"]["comparisons"][0]["tests"] == 1


def test_an_experiment_is_tested_on_its_own_seeds():
    """Another experiment has trained more seeds of the same cells; they are not this one's."""
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True))
    config = planned(C={"experiment": "second"})
    config["experiments"]["second"] = {"question": "?", "baseline": "tiny"}
    config["experiments"]["second"]["grid"] = config["experiments"]["first"]["grid"] | {"seeds": 6}
    config["study"]["experiments"] = ["first", "second"]
    table, found = judge(parse_study(config), evidence)
    assert table.set_index("experiment")["n"].to_dict() == {"first": 10, "second": 6}
    first_six = evidence.runs[evidence.runs["seed"] < 6].groupby("model")["test_accuracy"].mean()
    (one,) = found["C"]["comparisons"]
    assert (one["n"], one["family"]) == ((6, 6), "second, cues, brief")
    assert one["difference"] == pytest.approx(first_six["looking"] - first_six["tiny"])


def controlled() -> tuple[Evidence, dict]:
    """Ten points of gain on cues, none on local; and the configuration of both."""
    evidence = planted(tiny=(values(0.50, seed=2), None), looking=(values(0.60, seed=1), True))
    control = evidence.runs.assign(dataset="local", test_accuracy=values(0.99, n=20, seed=3))
    control["folder"] = "local/" + control["folder"]
    config = planned(C={"control": "local"})
    config["datasets"]["local"] = config["datasets"]["cues"]
    config["experiments"]["first"]["grid"]["datasets"] = ["cues", "local"]
    return Evidence(pd.concat([evidence.runs, control]), evidence.cost, {}), config


def test_a_gain_over_the_control_is_a_difference_in_differences():
    evidence, config = controlled()
    found = verdicts(config, evidence)["C"]
    local = evidence.runs[evidence.runs["dataset"] == "local"].groupby("model")["test_accuracy"].mean()
    assert found["verdict"] == "supported"
    (one,) = found["comparisons"]
    assert one["difference"] == pytest.approx(0.10 - (local["looking"] - local["tiny"]))
    assert one["n"] == (10, 10, 10, 10)


def test_a_control_may_switch_its_attention_off():
    evidence, config = controlled()
    evidence.runs.loc[evidence.runs["dataset"] == "local", "attention_alive"] = False
    assert verdicts(config, evidence)["C"]["verdict"] == "supported"


def test_a_gain_that_the_control_model_shares_is_no_gain():
    """Both models gain two points from the other recipe."""
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.90, seed=1), True))
    better = evidence.runs.assign(recipe="better", test_accuracy=evidence.runs["test_accuracy"] + 0.02)
    claim = {"recipe": "better", "against_recipe": "brief", "against": None, "preconditions": []}
    config = planned(C=claim, D=claim | {"control_model": "tiny"})
    config["recipes"]["better"] = config["recipes"]["brief"]
    config["experiments"]["first"]["grid"]["recipes"] = ["brief", "better"]
    found = verdicts(config, Evidence(pd.concat([evidence.runs, better]), evidence.cost, {}))
    assert (found["C"]["verdict"], found["D"]["verdict"]) == ("supported", "inconclusive")
    assert found["C"]["comparisons"][0]["difference"] == pytest.approx(0.02)
    assert found["D"]["comparisons"][0]["difference"] == pytest.approx(0)


def test_several_models_to_beat_must_all_be_beaten():
    evidence = planted(
        tiny=(values(0.90), None), looking=(values(0.91, seed=1), True), other=(values(0.92, seed=2), False)
    )
    config = planned(C={"against": ["tiny", "other"], "preconditions": ["own_attention_alive"]})
    config["models"]["other"] = {"depth": 8, "width": 5}
    config["experiments"]["first"]["grid"]["models"] = ["tiny", "looking", "other"]
    found = verdicts(config, evidence)["C"]
    assert [c["verdict"] for c in found["comparisons"]] == ["supported", "refuted"]
    assert found["verdict"] == "refuted"
    del config["claims"]["C"]["preconditions"]
    found = verdicts(config, evidence)["C"]
    assert [c["verdict"] for c in found["comparisons"]] == ["supported", "void"]
    assert found["verdict"] == "void"


def test_several_models_must_all_do_it():
    evidence = planted(
        tiny=(values(0.90), None), looking=(values(0.91, seed=1), True), other=(values(0.90, seed=2), True)
    )
    config = planned(C={"model": ["looking", "other"]})
    config["models"]["other"] = {"depth": 8, "width": 5}
    config["experiments"]["first"]["grid"]["models"] = ["tiny", "looking", "other"]
    found = verdicts(config, evidence)["C"]
    assert [c["a"]["model"] for c in found["comparisons"]] == ["looking", "other"]
    assert found["comparisons"][0]["verdict"] == "supported"
    assert found["verdict"] == found["comparisons"][1]["verdict"] != "supported"


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"model": "lokking"}, "claims.C: unknown model 'lokking'; did you mean 'looking'"),
        ({"experiment": "frist"}, "claims.C.experiment: unknown experiment 'frist'; did you mean 'first'"),
        ({"against": None}, "claims.C: give either `against` or `against_recipe`, runs to compare with, or `value`"),
        ({"expect": "front"}, "claims.C: expect front: needs the metric front_macs or front_time"),
        ({"metric": "front_time"}, "claims.C: expect front: needs the metric front_macs or front_time"),
        ({"metric": "nll", "expect": "equal"}, "claims.C: expect equal: needs a `margin` in the unit of nll"),
        ({"control": "cues", "expect": "equal"}, "claims.C: control: needs models or recipes to compare with"),
        ({"control_model": "tiny"}, "claims.C: control_model: compares recipes, so give `against_recipe`"),
        ({"expects": "higher"}, "claims.C: unknown key 'expects'; did you mean 'expect'"),
    ],
)
def test_mistakes_in_a_claim_are_named(claim, sentence):
    with pytest.raises(UserError) as error:
        study(**claim)
    assert sentence in str(error.value)


def test_an_ambiguous_recipe_is_refused():
    cells = [("d", "a", "x"), ("d", "a", "y"), ("d", "b", "x")]
    claim = study(model="looking").claims["C"].model_copy(update={"model": ("a",), "against": ("b",)})
    with pytest.raises(ValueError, match="a has the recipes x, y there; name one under `recipe`"):
        cases(claim, cells)
    (case,) = cases(claim.model_copy(update={"recipe": "x"}), cells)
    assert (case.a, case.b) == (("d", "a", "x"), ("d", "b", "x"))


def test_experiments_are_compared_with_their_baselines():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True))
    rng = np.random.default_rng(0)
    hits = {f: rng.random(2000) < a for f, a in evidence.runs[["folder", "test_accuracy"]].itertuples(index=False)}
    evidence.hits.update(hits)
    (row,) = judge(study(), evidence)[0].to_dict("records")
    assert (row["experiment"], row["baseline"], row["model"], row["n"]) == ("first", "tiny", "looking", 10)
    assert row["difference"] == pytest.approx(0.01)
    assert row["t_low"] < row["bca_low"] < 0.01 < row["bca_high"] < row["t_high"]
    assert row["sign_flip_p"] == pytest.approx(2 / 1024)
    assert row["two_level_low"] < row["two_level_high"]
    assert row["p_holm"] == row["p"]


def test_nothing_compared_is_a_table_with_its_columns():
    config = planned()
    config["experiments"]["first"]["baseline"] = None
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True))
    table = judge(parse_study(config), evidence)[0]
    assert len(table) == 0
    assert list(table) == list(judge(study(), evidence)[0])
