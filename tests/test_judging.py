"""From tables to verdicts: the statistics against scipy and statsmodels, and planted studies whose truth is known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from planting import MODELS, SOUND, accuracies, evidence, filled, holm, planned, sample
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind

from cnntention import files
from cnntention.config import parse_study
from cnntention.config.claims import Sequential
from cnntention.errors import UserError
from cnntention.judging.evidence import Evidence
from cnntention.judging.judge import adjusted, judge, judge_study
from cnntention.judging.measures import timed
from cnntention.judging.questions import Question
from cnntention.judging.sequential import levels
from cnntention.judging.statistics import boschloo as boschloo_p
from cnntention.results import paths
from cnntention.results.rows import frame, read_table
from cnntention.results.tables import ModuleRow
from cnntention.results.words import Reason, State, Test, Verdict

ALPHA, MARGIN = 0.05, 0.003
NUMBER = {"model": "tiny", "against": None, "value": 0.9}
FRONT = {"metric": "front_macs", "expect": "front", "against": None}


def by_claim(study, known) -> dict:
    return {claim.claim: claim for claim in judge(study, known)[1]}


def single(study, known) -> dict:
    """Claim -> its only test."""
    return {test.claim: test for test in judge(study, known)[0]}


# --- the numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_p_and_intervals_are_those_of_scipy_and_statsmodels(seed):
    rng, study = (
        np.random.default_rng(seed),
        planned(12, ("tiny", "looking"), W={}, L={"expect": "not-lower"}, V=NUMBER | {"expect": "equal"}),
    )
    sizes, spreads = rng.integers(3, 13, 2), rng.choice([0.0005, 0.002, 0.01], 2)
    a, b = (rng.normal(0.9, sd, n) for sd, n in zip(spreads, sizes, strict=True))
    values = {"looking": a, "tiny": b}
    found = single(
        study,
        evidence(
            study,
            lambda r: SOUND | {"test_accuracy": values[r.model][r.seed]} if r.seed < len(values[r.model]) else None,
        ),
    )
    welch, one, ours = stats.ttest_ind(a, b, equal_var=False), stats.ttest_1samp(b - 0.9, 0), found["W"]
    assert (ours.p, ours.low, ours.high) == pytest.approx((welch.pvalue, *welch.confidence_interval(0.95)))
    assert ours.p_margin == pytest.approx(ttost_ind(a, b, -MARGIN, MARGIN, usevar="unequal")[0])
    assert found["L"].p_margin == pytest.approx(
        stats.ttest_ind(a + MARGIN, b, equal_var=False, alternative="greater").pvalue
    )
    assert (ours.n, ours.n_other, ours.test) == (*sizes, Test.WELCH)
    assert (ours.mean, ours.sd, ours.mean_other, ours.sd_other) == pytest.approx(
        (a.mean(), a.std(ddof=1), b.mean(), b.std(ddof=1))
    )
    assert (found["V"].p, found["V"].low, found["V"].high) == pytest.approx(
        (one.pvalue, *one.confidence_interval(0.95))
    )
    assert found["V"].effect == pytest.approx(b.mean() - 0.9)


@pytest.mark.parametrize("seed", range(5))
def test_paired_by_seed_it_is_the_t_test_of_the_differences(seed):
    rng, study = np.random.default_rng(seed), planned(6, ("tiny", "looking"), P={}, E={"expect": "equal"})
    study = study.model_copy(update={"statistics": study.statistics.model_copy(update={"paired": True})})
    shared = rng.normal(0.9, 0.01, 6)
    a, b = (shared + rng.normal(0, 0.002, 6) for _ in range(2))
    found = single(study, accuracies(study, looking=a, tiny=b))
    paired, ours = stats.ttest_rel(a, b), found["P"]
    assert (ours.test, ours.p, ours.low, ours.high) == (
        Test.PAIRED,
        *map(pytest.approx, (paired.pvalue, *paired.confidence_interval(0.95))),
    )
    assert ours.p_welch == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    sides = [stats.ttest_1samp(a - b + m, 0, alternative=w).pvalue for m, w in ((0.003, "greater"), (-0.003, "less"))]
    assert found["E"].p_margin == pytest.approx(max(sides))


@pytest.mark.parametrize("expect", ["higher", "lower", "equal", "not-lower"])
def test_no_verdict_of_a_negligible_effect_is_supported_however_many_the_seeds(expect):
    """A true difference of 0.1 points, a margin of 0.3: more seeds find it, and say that it does not matter."""
    for n in (10, 80, 1000):
        study = planned(n, ("tiny", "looking"), C={"expect": expect})
        known = accuracies(study, tiny=sample(0.9, 0.002, n), looking=sample(0.901, 0.002, n, 1))
        wanted = {"equal": "supported", "not-lower": "supported", "lower": "refuted"}
        found = by_claim(study, known)["C"].verdict
        assert found == wanted.get(expect, "refuted" if n == 10 else "supported but negligible"), n


def test_a_look_has_its_share_of_alpha():
    """Six seeds of at most twenty: the second look; with two, there is none yet."""
    study = planned(6, ("tiny", "looking"), A={}, E={"expect": "equal", "family": "e"})
    looked = {"sequential": Sequential(looks=(3, 6, 20))}
    study = study.model_copy(update={"statistics": study.statistics.model_copy(update=looked)})
    known = accuracies(study, tiny=sample(0.9, 0.002, 6), looking=sample(0.903, 0.002, 6, 1))
    found, level = single(study, known), levels((3, 6, 20), ALPHA, "pocock")[1]
    for test, p in (found["A"], found["A"].p), (found["E"], found["E"].p_margin):
        assert (test.level, test.p_adjusted) == (level, pytest.approx(min(1, p * ALPHA / level)))
    assert ALPHA > found["A"].p > level
    assert found["A"].verdict == "undecided"
    early = evidence(study, lambda r: SOUND | {"test_accuracy": 0.9 + r.seed / 9} if r.seed < 2 else None)
    assert single(study, early)["A"].reason is Reason.TOO_FEW_SEEDS


def test_the_false_discovery_rate_is_controlled_by_benjamini_hochberg():
    study = planned(6, A={"family": "f"}, B={"model": "other", "family": "f"}, C={"model": "wide", "family": "f"})
    study = study.model_copy(update={"statistics": study.statistics.model_copy(update={"control": "false-discovery"})})
    known = accuracies(study, **{m: sample(0.9 + 0.002 * i, 0.003, 6, i) for i, m in enumerate(MODELS)})
    found = single(study, known)
    expected = stats.false_discovery_control([found[name].p for name in "ABC"])
    assert [found[name].p_adjusted for name in "ABC"] == pytest.approx(expected)


def test_a_claim_of_several_tests_enters_its_family_once():
    """Three claims, of which one needs two tests: its larger p decides, unless a test contradicts it."""
    study = planned(6, A={"against": ["tiny", "other"]}, B={"model": "wide"}, C={"model": "other", "expect": "lower"})
    for shift, agrees in ((0.006, True), (0.001, False)):
        means = {"tiny": 0.9, "looking": 0.9 + shift, "other": 0.902, "wide": 0.904}
        known = accuracies(study, **{m: sample(mean, 0.002, 6, i) for i, (m, mean) in enumerate(means.items())})
        tests = [test for test in judge(study, known)[0] if test.claim]
        (first, second), (b,), (c,) = ([t for t in tests if t.claim == claim] for claim in "ABC")
        assert {t.tests for t in tests} == {3}
        assert (second.effect > 0) == agrees
        entering = max(first.p, second.p) if agrees else min(1, 2 * second.p)
        assert max(first.p_adjusted, second.p_adjusted) == pytest.approx(holm([entering, b.p, c.p])[0])
        assert first.p_adjusted == pytest.approx(holm([first.p, b.p, c.p])[0])
        assert [b.p_adjusted, c.p_adjusted] == pytest.approx(holm([b.p, c.p, entering])[:2])


def test_a_claim_of_several_tests_is_seldom_wrong():
    """That a model beats two, in 1000 studies each: both are its equals; or one is, and the other much worse, the worst
    case. How often it is supported, and how often refuted by a significant loss."""
    rng, names = np.random.default_rng(0), [f"c{study}" for study in range(1000) for _ in range(2)]
    fixed = {"expect": "higher", "level": ALPHA, "failing": "", "p_margin": None, "error": None, "df": None, "test": ""}
    rates, error = {}, (0.025 * 0.975 / 1000) ** 0.5
    for kind, means in {"equal": (0, 0), "worst": (0, -9)}.items():
        ours, others = rng.standard_normal((1000, 1, 5)), rng.standard_normal((1000, 2, 5)) + np.reshape(means, (2, 1))
        p = stats.ttest_ind(ours, others, axis=2, equal_var=False).pvalue.ravel()
        effect = (ours - others).mean(2).ravel()
        rows = pd.DataFrame({"claim": names, "family": names, "p": p, "effect": effect}).assign(**fixed)
        sure = (adjusted(rows, planned(5).statistics)["p_adjusted"] < ALPHA).to_numpy(bool)
        both, any_loss = (sure & (effect > 0)).reshape(-1, 2).all(1), (sure & (effect < 0)).reshape(-1, 2).any(1)
        rates[kind] = both.mean(), any_loss.mean()
        assert max(rates[kind]) <= ALPHA / 2 + 3 * error
    assert rates["worst"][0] > ALPHA / 4  # nor is alpha wasted: for each other the two are not adjusted


def test_runs_that_do_not_use_their_attention_count_and_are_shown_apart():
    for unused, verdict in ((1, "supported"), (3, "void")):
        study = planned(6, ("tiny", "looking"), C={})
        looking = [0.90] * unused + [0.95, 0.951, 0.952, 0.953, 0.954][: 6 - unused]
        values = {"looking": looking, "tiny": sample(0.9, 0.002, 6)}
        known = evidence(
            study,
            lambda r, values=values, unused=unused: (
                SOUND
                | {
                    "test_accuracy": values[r.model][r.seed],
                    "attention_used": None if r.model == "tiny" else r.seed >= unused,
                }
            ),
        )
        found = single(study, known)["C"]
        assert (found.verdict, found.n, found.n_used) == (verdict, 6, 6 - unused)
        assert found.effect_used == pytest.approx(np.mean(values["looking"][unused:]) - 0.9)
        assert found.effect == pytest.approx(np.mean(values["looking"]) - 0.9)


@pytest.mark.parametrize("seed", range(5))
def test_a_difference_of_differences_is_the_interaction_of_a_regression(seed):
    rng, study = np.random.default_rng(seed), planned(5, ("tiny", "looking"), ("cues", "local"), D={"control": "local"})
    rows = [(r, rng.normal(0.8, 0.002 + 0.01 * (r.model == "looking"))) for r in study.runs()]
    values = {r.folder: value for r, value in rows}
    (ours,) = (
        t for t in judge(study, evidence(study, lambda r: SOUND | {"test_accuracy": values[r.folder]}))[0] if t.claim
    )
    table = pd.DataFrame([{"y": y, "on": int(r.dataset == "cues"), "of": int(r.model == "looking")} for r, y in rows])
    fit = smf.ols("y ~ on * of", table).fit(cov_type="HC2")  # with a dummy a cell: the sum of s^2 / n
    parts = table.groupby(["on", "of"])["y"].var() / 5
    df = parts.sum() ** 2 / (parts**2 / 4).sum()
    effect, error = fit.params["on:of"], fit.bse["on:of"]
    assert (ours.effect, ours.p) == pytest.approx((effect, 2 * stats.t.sf(abs(effect / error), df)))
    assert (ours.low, ours.high) == pytest.approx(stats.t.interval(0.95, df, effect, error))
    assert ours.test is Test.INTERACTION


def boschloo(hits: int, n: int, other: int, m: int) -> float:
    """From its definition: Fisher's p is the statistic, and the chance of a 1 the worst of a grid; twice one side."""
    grid, sides = np.linspace(0, 1, 2001), []
    for side in ("less", "greater"):
        fisher = np.array(
            [[stats.fisher_exact([[i, j], [n - i, m - j]], side)[1] for j in range(m + 1)] for i in range(n + 1)]
        )
        tail = np.argwhere(fisher <= fisher[hits, other] * (1 + 1e-9))
        sides.append(sum(stats.binom.pmf(i, n, grid) * stats.binom.pmf(j, m, grid) for i, j in tail).max())
    return min(1.0, 2 * min(sides))


@pytest.mark.parametrize(("hits", "n", "other"), [(3, 3, 0), (4, 4, 0), (0, 4, 4), (2, 4, 1), (4, 5, 0), (3, 3, 3)])
def test_solved_runs_are_counted_by_boschloos_test(hits, n, other):
    study = planned(n, ("tiny", "looking"), S={"metric": "solved"})
    solved = {"looking": hits, "tiny": other}
    known = evidence(study, lambda r: SOUND | {"solved": int(r.seed < solved[r.model])})
    found, p = single(study, known)["S"], boschloo(hits, n, other, n)
    assert found.p == pytest.approx(p, rel=1e-3)
    assert (found.test, found.low, found.mde) == (Test.BOSCHLOO, None, None)
    verdict = "undecided" if p >= ALPHA else "supported" if hits > other else "refuted"
    assert found.verdict == verdict
    if (hits, n, other) == (3, 3, 0):
        assert found.p == pytest.approx(1 / 32)


@pytest.mark.parametrize("n", range(3, 8))
def test_boschloos_test_keeps_alpha_whatever_the_chance_of_a_one(n):
    """By enumeration of all pairs of counts, at alpha and at a strict look's level."""
    p = np.array(
        [[boschloo_p([1] * i + [0] * (n - i), [1] * j + [0] * (n - j)) for j in range(n + 1)] for i in range(n + 1)]
    )
    chance = stats.binom.pmf(np.arange(n + 1), n, np.linspace(0, 1, 201)[:, None])
    for level in (ALPHA, 0.011):
        size = np.einsum("gi,gj,ij->g", chance, chance, p < level)
        assert size.max() <= level
    assert np.allclose(p, p.T)
    assert np.allclose(p, p[::-1, ::-1])


@pytest.mark.parametrize(("n", "value"), [(3, 0.5), (6, 0.5), (7, 0.5), (6, 0.2)])
def test_counted_runs_beside_a_number_have_the_exact_binomial_test(n, value):
    """C8, planted: do most trainings break down? By enumeration of the counts; the interval by its definition."""
    study = planned(n, ("tiny",), C={"metric": "broken", "model": "tiny", "against": None, "value": value})
    chances = stats.binom.pmf(np.arange(n + 1), n, value)
    for k in range(n + 1):
        found = single(study, evidence(study, lambda r, k=k: SOUND | {"broken": int(r.seed < k)}))["C"]
        assert (found.test, found.n, found.mean, found.sd is None) == (Test.BINOMIAL, n, pytest.approx(k / n), False)
        assert found.p == pytest.approx(chances[chances <= chances[k] * (1 + 1e-9)].sum())
        assert found.effect == pytest.approx(k / n - value)
        low, high = found.low + value, found.high + value
        assert (stats.binom.sf(k - 1, n, low) if k else 0.025 * (low == 0)) == pytest.approx(0.025)
        assert (stats.binom.cdf(k, n, high) if k < n else 0.025 * (high == 1)) == pytest.approx(0.025)
        sure = found.p < ALPHA
        assert found.verdict == ("undecided" if not sure else "supported" if k / n > value else "refuted")
        assert not sure or value != 0.5 or n >= 6


def test_the_detectable_effect_is_that_of_a_power_analysis():
    study = planned(8, A={}, B={"model": "other"}, D={"model": "other"}, C={"model": "wide", "family": "alone"})
    known = accuracies(
        study, **{m: sample(0.9, 0.004, 8, i) for i, m in enumerate(("tiny", "looking", "other", "wide"))}
    )
    found = single(study, known)
    for claim, tests in {"A": 3, "C": 1}.items():
        power = TTestIndPower().solve_power(nobs1=8, alpha=ALPHA / tests, power=0.8)
        assert (found[claim].mde, found[claim].tests) == (pytest.approx(0.004 * power, rel=1e-4), tests)


# --- planted studies ----------------------------------------------------------------------------------------------


def test_an_effect_of_five_sd_is_found_and_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = planned(6, A={}, B={"model": "other", "expect": "lower"}, Q={"metric": "norm_query", "expect": "higher"})
    known = accuracies(
        study,
        tiny=sample(0.9, 0.002, 6),
        looking=sample(0.91, 0.002, 6, 1),
        other=sample(0.91, 0.002, 6, 2),
        wide=sample(0.9, 0.002, 6, 3),
    )
    heads = known.runs[["dataset", "model", "recipe", "seed"]].to_dict("records")
    norms = {"looking": 5.0, "tiny": 1.0}
    modules = [
        filled(ModuleRow, **h, module=m, state=State.ALIVE, norm_query=norms.get(h["model"], 0) + h["seed"] + add)
        for h in heads
        for m, add in (("stage2", -1), ("stage3", 1))
    ]
    modules.append(modules[0].model_copy(update={"state": State.DIVERGED, "norm_query": 1e9}))
    tables = {"runs": known.runs, "cost": known.cost, "rounds": known.rounds, "modules": frame(modules, ModuleRow)}
    for name, table in tables.items():
        files.write_csv(tmp_path / f"{name}.csv", table)
    hashes = {f"{name}.csv": files.sha256(tmp_path / f"{name}.csv") for name in tables}
    files.write_record(tmp_path / "card.json", {"key": paths.study_key(study), "sha256": hashes})
    judge_study(study, tmp_path, tmp_path / "verdicts")
    claims = read_table(tmp_path / "verdicts", "claims").set_index("claim")["verdict"].to_dict()
    assert claims == {"A": "supported", "B": "refuted", "Q": "supported"}
    tests = read_table(tmp_path / "verdicts", "tests").set_index("claim")
    assert tests.loc["Q", ["mean", "mean_other", "effect"]].tolist() == pytest.approx([7.5, 3.5, 4.0])
    assert files.read_json(tmp_path / "verdicts/card.json")["key"] == paths.study_key(study)
    with pytest.raises(UserError, match=r"is of other tables, of key .*; delete it and run snakemake"):
        judge_study(planned(6, A={}), tmp_path, tmp_path / "verdicts")


def test_equal_models_are_seldom_told_apart():
    """300 studies, each a dataset: in at most 5 % is any of three models told from the baseline."""
    names, rng = tuple(f"d{i}" for i in range(300)), np.random.default_rng(0)
    study = planned(5, datasets=names)
    known = evidence(study, lambda run: SOUND | {"test_accuracy": rng.normal(0.9, 0.005)})
    wrong = {t.dataset for t in judge(study, known)[0] if t.reason is Reason.SIGNIFICANT}
    assert 0 < len(wrong) / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.951, "supported"), (0.949, "void")])
def test_who_has_not_learned_to_see_one_place_is_not_asked_about_two(accuracy, verdict):
    """C15, planted: two of three models are trained on the local track, one of them just well enough, or not."""
    claim = {"metric": "solved", "datasets": "cues", "learned": "local", "against": ["tiny", "other"]}
    config = planned(4, ("tiny", "looking", "other"), ("cues", "local"), G=claim).model_dump(mode="json")
    (grid,) = config["experiments"]["first"]["grid"]
    parts = {"cues": ["tiny", "looking", "other"], "local": ["tiny", "looking"]}
    config["experiments"]["first"]["grid"] = [grid | {"datasets": [d], "models": m} for d, m in parts.items()]
    study = parse_study(config)

    def of(run):
        score = (
            {"looking": 0.999, "tiny": accuracy + (run.seed - 1.5) / 1000}[run.model] if run.dataset == "local" else 0.3
        )
        return SOUND | {"test_accuracy": score, "solved": int(run.model == "looking")}

    tests, (claim,) = judge(study, evidence(study, of))
    own = [t for t in tests if t.claim]
    assert (claim.verdict, claim.tests) == (verdict, 2)
    assert {t.verdict for t in own} == {verdict}
    wanted = "" if verdict == "supported" else "tiny on local 94.9 %"
    assert {t.failing for t in own} == {wanted}
    unrun = evidence(study, lambda run: None if (run.dataset, run.model) == ("local", "tiny") else of(run))
    assert by_claim(study, unrun)["G"].verdict == "not run"


def test_a_family_over_two_experiments_tests_each_on_its_own_seeds():
    """The same cells, of which one experiment has more seeds: two tests."""
    config = planned(6, A={"family": "f"}).model_dump(mode="json")
    first, config["study"]["experiments"] = config["experiments"]["first"], ["first", "second"]
    config["experiments"]["second"] = first | {"grid": [first["grid"][0] | {"seeds": 3}]}
    config["claims"]["B"] = config["claims"]["A"] | {"experiment": "second"}
    study = parse_study(config)
    known = accuracies(study, **{m: sample(0.9 + 0.01 * i, 0.003, 6, i) for i, m in enumerate(MODELS)})
    found, values = single(study, known), known.runs.set_index(["model", "seed"])["test_accuracy"]
    ps = [stats.ttest_ind(values["looking"][:n], values["tiny"][:n], equal_var=False).pvalue for n in (6, 3)]
    assert [found[name].p for name in "AB"] == pytest.approx(ps)
    assert [found[name].p_adjusted for name in "AB"] == pytest.approx(holm(ps))


def test_a_front_is_held_against_every_rival_that_is_not_surely_dearer():
    """tiny is cheapest, looking dearer and worse, other dearest and best; by times looking may be as cheap as tiny."""
    claims = {
        f"{m} {of}": FRONT | {"model": m, "metric": f"front_{of}"}
        for m in ("tiny", "looking", "other")
        for of in ("macs", "time")
    }
    study = planned(6, ("tiny", "looking", "other"), **claims)
    noise = np.array([-0.3, -0.1, 0, 0.1, 0.3])[:, None]
    costs = {
        "tiny": {"macs": 1, "inference_ms": np.exp(0 * noise)},
        "looking": {"macs": 2, "inference_ms": np.exp(0.01 + noise)},
        "other": {"macs": 3, "inference_ms": np.exp(1 + noise / 9)},
    }
    means = {"tiny": 0.90, "looking": 0.89, "other": 0.92}
    known = accuracies(study, costs, **{m: sample(mean, 0.002, 6, i) for i, (m, mean) in enumerate(means.items())})
    assert {name: (c.verdict, c.reason, c.tests) for name, c in by_claim(study, known).items()} == {
        "tiny macs": (Verdict.SUPPORTED, Reason.NO_RIVAL, 1),
        "looking macs": (Verdict.REFUTED, Reason.CHEAPER_AND_BETTER, 1),
        "other macs": (Verdict.SUPPORTED, Reason.WITHIN_LOSS, 2),
        "tiny time": (Verdict.SUPPORTED, Reason.WITHIN_LOSS, 1),
        "looking time": (Verdict.UNDECIDED, Reason.BETTER_PERHAPS_CHEAPER, 1),
        "other time": (Verdict.SUPPORTED, Reason.WITHIN_LOSS, 2),
    }
    # as accurate and as cheap as a rival, or less by less than the margin: it need not be better
    level = accuracies(study, costs, **{m: sample(0.9, 0.001, 6, i) for i, m in enumerate(means)})
    assert {c.verdict for c in by_claim(study, level).values()} == {Verdict.SUPPORTED}


def test_without_a_profile_costs_are_not_measured():
    times = {"T": {"metric": "latency_ms"}, "FT": FRONT | {"metric": "front_time"}}
    study = planned(6, ("tiny", "looking"), F=FRONT, M={"metric": "macs"}, A={}, **times)
    known = accuracies(study, tiny=sample(0.9, 0.002, 6), looking=sample(0.95, 0.002, 6, 1))
    found = by_claim(study, replace(known, cost=known.cost[:0]))
    assert {n: c.verdict for n, c in found.items()} == dict.fromkeys(["F", "M", "T", "FT"], "not run") | {
        "A": "supported"
    }


# --- cost -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ({}, "supported"),
        ({"expect": "lower"}, "refuted"),
        ({"model": "other"}, "refuted"),  # a tie is not more
        ({"model": "other", "expect": "lower"}, "refuted"),
        ({"expect": "equal", "margin": 5}, "refuted"),
        ({"expect": "equal", "margin": 5.1}, "supported"),
        ({"model": "tiny", "against": "looking", "expect": "not-lower", "margin": 5}, "refuted"),
        ({"expect": "not-lower", "margin": 1}, "supported"),
        ({"against": None, "value": 25, "expect": "lower"}, "supported"),
    ],
)
@pytest.mark.parametrize("metric", ["macs", "parameters"])
def test_what_is_counted_decides_without_a_test(metric, claim, verdict):
    study = planned(3, ("tiny", "looking", "other"), C=claim | {"metric": metric})
    counts = {"tiny": 15, "looking": 20, "other": 15}
    found = judge(study, evidence(study, lambda r: SOUND, {m: {metric: n} for m, n in counts.items()}))
    (test,) = [test for test in found[0] if test.claim]
    assert (test.verdict, test.reason, test.test, test.p, test.low) == (
        verdict, Reason.COUNTED, Test.COUNTED, None, None)  # fmt: skip
    assert test.effect == counts[test.model] - counts.get(test.other_model, test.value)
    assert found[1][0].verdict == verdict


@pytest.mark.parametrize("seed", range(10))
def test_times_are_compared_by_the_log_ratios_of_processes(seed):
    rng, margin = np.random.default_rng(seed), 0.1
    asked = {"metric": "training_step_ms", "margin": margin}
    claims = {expect: asked | {"expect": expect, "family": expect} for expect in ("higher", "equal", "not-lower")}
    study = planned(3, ("tiny", "looking"), **claims, N=asked | {"against": None, "value": 2.0, "family": "n"})
    looked = {"sequential": Sequential(looks=(3, 6))}  # of seeds; times are looked at once
    study = study.model_copy(update={"statistics": study.statistics.model_copy(update=looked)})
    slow = np.exp(rng.normal(0, 1, (5, 3)))  # of a whole round
    times = {
        m: slow * np.exp(rng.normal(shift, 0.05, (5, 1)) + rng.normal(0, 0.02, (5, 3)))
        for m, shift in (("tiny", 0), ("looking", rng.choice([-0.3, 0, 0.05, 0.3])))
    }
    found = single(study, evidence(study, lambda r: SOUND, {m: {"training_step_ms": t} for m, t in times.items()}))
    logs = np.log(times["looking"] / times["tiny"]).mean(axis=1)
    t, higher = stats.ttest_1samp(logs, 0), found["higher"]
    interval = np.expm1(t.confidence_interval(0.95))
    assert (higher.p, higher.low, higher.high) == pytest.approx((t.pvalue, *interval))
    assert higher.effect == pytest.approx(np.expm1(logs.mean()))
    assert (higher.test, higher.n, higher.mean) == (Test.RATIO, 5, pytest.approx(times["looking"].mean()))
    ends = [
        stats.ttest_1samp(logs, s * np.log1p(margin), alternative=w).pvalue for s, w in ((-1, "greater"), (1, "less"))
    ]
    assert (found["equal"].p_margin, found["not-lower"].p_margin) == pytest.approx((max(ends), ends[0]))
    assert found["equal"].p_adjusted == pytest.approx(max(ends))
    assert found["N"].p == pytest.approx(stats.ttest_1samp(np.log(times["looking"] / 2).mean(axis=1), 0).pvalue)
    # the margin is as far on either side: the other way round is the same
    swapped = {"tiny": times["looking"], "looking": times["tiny"]}
    back = single(study, evidence(study, lambda r: SOUND, {m: {"training_step_ms": t} for m, t in swapped.items()}))
    assert back["equal"].verdict == found["equal"].verdict


def test_models_that_cost_the_same_are_seldom_told_apart():
    """2,000 profiles without a difference, each a dataset; processes and rounds shift each model's times."""
    rng, count = np.random.default_rng(0), 2000
    shape, study = (count, 5, 3), planned(3, ("tiny", "looking"))
    index = pd.MultiIndex.from_product([range(count), range(5), range(3)], names=["dataset", "process", "round"])
    slow = rng.normal(0, 1, (count, 5, 1)) + rng.normal(0, 0.3, shape)
    tables = []
    for model in ("tiny", "looking"):
        times = np.exp(slow + rng.normal(0, 0.05, (count, 5, 1)) + rng.normal(0, 0.05, shape)).ravel()
        tables.append(pd.DataFrame({"model": model, "latency_ms": times}, index=index).reset_index())
    known = Evidence(pd.DataFrame(), pd.DataFrame(), pd.concat(tables))
    asked = Question("first", "", "", "latency_ms", "higher", (0, "looking", ""), (0, "tiny", ""))
    found = np.array([
        timed(replace(asked, a=(i, "looking", ""), b=(i, "tiny", "")), known, study.statistics).p for i in range(count)
    ])  # fmt: skip
    assert 0.03 < (found < ALPHA).mean() <= ALPHA + 3 * (ALPHA * (1 - ALPHA) / count) ** 0.5
    assert stats.kstest(found, "uniform").pvalue > 1e-3


def test_counts_use_every_seed_also_in_a_paired_study():
    """4 of 4 against 0 of 3: with the chance q of a 1, these or the opposite come with q^4 (1-q)^3 + q^3 (1-q)^4."""
    study = planned(4, ("tiny", "looking"), S={"metric": "solved", "preconditions": []})
    study = study.model_copy(update={"statistics": study.statistics.model_copy(update={"paired": True})})
    solved = {"looking": [1, 1, 1, 1], "tiny": [0, 0, 0, None]}
    runs = {(r.model, r.seed): solved[r.model][r.seed] for r in study.runs()}
    known = evidence(
        study, lambda r: None if runs[r.model, r.seed] is None else SOUND | {"solved": runs[r.model, r.seed]}
    )
    test, q = single(study, known)["S"], np.linspace(0, 1, 1001)
    assert (test.n, test.n_other) == (4, 3)
    assert test.p == pytest.approx(max(q**4 * (1 - q) ** 3 + q**3 * (1 - q) ** 4), rel=0.1)
