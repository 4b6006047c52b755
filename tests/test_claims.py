"""Claims on planted runs whose truth is known: dead attention, one network under two names, a real gain, and so on."""

import numpy as np
import pandas as pd
import pytest
from conftest import small_study

from cnntention.config import parse_study
from cnntention.config.claims import cases
from cnntention.errors import UserError
from cnntention.evaluation import claims
from cnntention.evaluation.claims import Evidence
from cnntention.evaluation.judge import compare_experiments

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
    cost = pd.DataFrame(
        [
            {"dataset": "cues", "model": "tiny", "macs": 10, "training_step_ms": 5.0, "training_step_iqr_ms": 1.0},
            {"dataset": "cues", "model": "looking", "macs": 20, "training_step_ms": 5.5, "training_step_iqr_ms": 1.0},
        ]
    )
    pareto = pd.DataFrame(
        [BASE | {"model": "tiny", "front_macs": "yes"}, BASE | {"model": "looking", "front_macs": "no"}]
    )
    return Evidence(pd.DataFrame(rows), cost, pareto, {})


def study(**claim):
    """The small study with one claim: looking beats tiny."""
    config = small_study()
    config["experiments"]["first"]["grid"]["seeds"] = SEEDS
    told = {"sentence": "Looking helps.", "experiment": "first", "model": "looking", "against": "tiny"}
    config["claims"] = {"C": {name: value for name, value in (told | claim).items() if value is not None}}
    return parse_study(config)


def verdict(evidence: Evidence, **claim) -> dict:
    return claims.judge(study(**claim), evidence)["C"]


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
    assert found["reason"] == "the attention of looking is off in 9 of 10 runs"
    assert found["comparisons"][0]["difference"] == pytest.approx(0.01), "the effect is shown all the same"


def test_one_network_under_two_names_is_no_difference_with_its_mde():
    same = values(0.90, sd=0.008)
    found = verdict(planted(tiny=(same, None), looking=(same, True)))
    assert (found["verdict"], found["reason"]) == ("inconclusive", "no difference seen")
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
    assert verdict(evidence)["reason"] == "the test split decided when looking stopped"
    assert verdict(evidence, preconditions=["attention_alive"])["verdict"] == "supported"


def test_maps_that_survive_randomised_parameters_void_a_claim_about_maps():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    evidence.runs.loc[evidence.runs["folder"] == "tiny/3", "cam_sane"] = False
    found = verdict(evidence, preconditions=["maps_sane"])
    assert found["reason"] == "the maps of tiny survive randomised parameters in 1 of 10 runs"


def test_claims_without_runs_say_so():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    config = small_study() | {"claims": {}}
    config["experiments"]["second"] = config["experiments"]["first"]
    config["claims"]["C"] = {"sentence": "s", "experiment": "second", "model": "looking", "against": "tiny"}
    found = claims.judge(parse_study(config), evidence)["C"]
    assert (found["verdict"], found["comparisons"]) == ("not run", [])
    assert "second" in found["reason"]


def test_costs_are_counted_or_timed_once():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    assert verdict(evidence, metric="macs", expect="higher")["verdict"] == "supported"
    assert verdict(evidence, metric="macs", expect="lower")["verdict"] == "refuted"
    assert verdict(evidence, metric="training_step_ms", expect="higher")["verdict"] == "inconclusive"
    front = {"metric": "front_macs", "expect": "front", "against": None}
    assert verdict(evidence, **front)["verdict"] == "refuted"
    assert verdict(evidence, **front | {"model": "tiny"})["verdict"] == "supported"


def test_a_metric_that_some_runs_lack_is_not_averaged_over_the_rest():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91), True))
    evidence.runs["epochs_to_reach"] = [None, *range(19)]
    assert verdict(evidence, metric="epochs_to_reach")["reason"] == "1 of 20 runs have no epochs_to_reach"


def test_a_family_shares_its_false_alarms():
    """Two claims of p = p and one family: Holm doubles the smaller one."""
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.902, seed=1), True))
    alone = verdict(evidence)["comparisons"][0]
    config = small_study()
    told = {"sentence": "s", "experiment": "first", "model": "looking", "against": "tiny"}
    config["claims"] = {"C": told, "D": told | {"expect": "lower"}}
    both = claims.judge(parse_study(config), evidence)
    assert alone["p_holm"] == alone["p"]
    assert both["C"]["comparisons"][0]["p_holm"] == pytest.approx(2 * alone["p"])
    assert both["C"]["comparisons"][0]["mde"] > alone["mde"]


def test_a_gain_over_the_control_is_a_difference_in_differences():
    evidence = planted(tiny=(values(0.50, seed=2), None), looking=(values(0.60, seed=1), True))
    control = evidence.runs.assign(dataset="local", test_accuracy=values(0.99, n=20, seed=3))
    control["folder"] = "local/" + control["folder"]
    both = Evidence(pd.concat([evidence.runs, control]), evidence.cost, evidence.pareto, {})
    config = small_study()
    config["datasets"]["local"] = config["datasets"]["cues"]
    config["experiments"]["first"]["grid"]["datasets"] = ["cues", "local"]
    told = {"sentence": "s", "experiment": "first", "model": "looking", "against": "tiny", "control": "local"}
    config["claims"] = {"C": told}
    found = claims.judge(parse_study(config), both)["C"]
    local = control.groupby("model")["test_accuracy"].mean()
    assert found["verdict"] == "supported"
    (one,) = found["comparisons"]
    assert one["difference"] == pytest.approx(0.10 - (local["looking"] - local["tiny"]))
    assert one["n"] == (10, 10, 10, 10)


def test_several_models_to_beat_must_all_be_beaten():
    evidence = planted(
        tiny=(values(0.90), None), looking=(values(0.91, seed=1), True), other=(values(0.92, seed=2), None)
    )
    config = small_study()
    config["models"]["other"] = {"depth": 8, "width": 5}
    config["experiments"]["first"]["grid"]["models"] = ["tiny", "looking", "other"]
    told = {"sentence": "s", "experiment": "first", "model": "looking", "against": ["tiny", "other"]}
    config["claims"] = {"C": told}
    found = claims.judge(parse_study(config), evidence)["C"]
    assert [c["verdict"] for c in found["comparisons"]] == ["supported", "refuted"]
    assert found["verdict"] == "refuted"


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        ({"model": "lokking"}, "claims.C: unknown model 'lokking'; did you mean 'looking'"),
        ({"experiment": "frist"}, "claims.C.experiment: unknown experiment 'frist'; did you mean 'first'"),
        ({"against": None}, "claims.C: give either `against` or `against_recipe`, runs to compare with, or `value`"),
        ({"expect": "front"}, "claims.C: expect front: needs a metric of pareto.csv"),
        ({"expects": "higher"}, "claims.C: unknown key 'expects'; did you mean 'expect'"),
    ],
)
def test_mistakes_in_a_claim_are_named(claim, sentence):
    with pytest.raises(UserError) as error:
        study(**claim)
    assert sentence in str(error.value)


def test_an_ambiguous_recipe_is_refused():
    cells = [("d", "a", "x"), ("d", "a", "y"), ("d", "b", "x")]
    claim = study(model="looking").claims["C"].model_copy(update={"model": "a", "against": ("b",)})
    with pytest.raises(ValueError, match="a has the recipes x, y there; name one under `recipe`"):
        cases(claim, cells)
    (case,) = cases(claim.model_copy(update={"recipe": "x"}), cells)
    assert (case.a, case.b) == (("d", "a", "x"), ("d", "b", "x"))


def test_experiments_are_compared_with_their_baselines():
    evidence = planted(tiny=(values(0.90), None), looking=(values(0.91, seed=1), True))
    rng = np.random.default_rng(0)
    hits = {f: rng.random(2000) < a for f, a in evidence.runs[["folder", "test_accuracy"]].itertuples(index=False)}
    evidence.hits.update(hits)
    (row,) = compare_experiments(study(), evidence).to_dict("records")
    assert (row["experiment"], row["baseline"], row["model"], row["n"]) == ("first", "tiny", "looking", 10)
    assert row["difference"] == pytest.approx(0.01)
    assert row["t_low"] < row["bca_low"] < 0.01 < row["bca_high"] < row["t_high"]
    assert row["sign_flip_p"] == pytest.approx(2 / 1024)
    assert row["two_level_low"] < row["two_level_high"]
    assert row["p_holm"] == row["p"]
