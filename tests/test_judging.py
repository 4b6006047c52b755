"""From tables to verdicts: the statistics against scipy and statsmodels, the logic over random studies."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planting import MODELS, SOUND, accuracies, evidence, filled, planned, sample
from scipy import stats
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.weightstats import ttost_ind

from cnntention import files
from cnntention.config import parse_study
from cnntention.judging.evidence import Evidence
from cnntention.judging.judge import judge, judge_study
from cnntention.judging.verdicts import decide
from cnntention.results.rows import frame, read_table
from cnntention.results.tables import ModuleRow
from cnntention.results.words import Reason, State, Test, Verdict

ALPHA, MARGIN = 0.05, 0.003
NUMBER = {"model": "tiny", "against": None, "value": 0.9}
FRONT = {"metric": "front_macs", "expect": "front", "against": None}
WORST_FIRST = ["refuted", "void", "inconclusive", "not run", "supported"]


def by_claim(study, known) -> dict:
    return {claim.claim: claim for claim in judge(study, known)[1]}


def single(study, known) -> dict:
    """Claim -> its only test."""
    return {test.claim: test for test in judge(study, known)[0]}


# --- the numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_p_and_intervals_are_those_of_scipy_and_statsmodels(seed):
    rng, study = np.random.default_rng(seed), planned(12, ("tiny", "looking"), W={}, V=NUMBER | {"expect": "equal"})
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
    assert (ours.margin_low, ours.margin_high) == pytest.approx(tuple(welch.confidence_interval(1 - 2 * ALPHA)))
    tost = ttost_ind(a, b, -MARGIN, MARGIN, usevar="unequal")[0]
    assert (tost < ALPHA) == (ours.margin_low > -MARGIN and ours.margin_high < MARGIN)
    assert (ours.n, ours.n_other, ours.test) == (*sizes, Test.WELCH)
    assert (ours.mean, ours.sd, ours.mean_other, ours.sd_other) == pytest.approx(
        (a.mean(), a.std(ddof=1), b.mean(), b.std(ddof=1))
    )
    assert (found["V"].p, found["V"].low, found["V"].high) == pytest.approx(
        (one.pvalue, *one.confidence_interval(0.95))
    )
    assert found["V"].effect == pytest.approx(b.mean() - 0.9)


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
    verdict = "inconclusive" if p >= ALPHA else "supported" if hits > other else "refuted"
    assert found.verdict == verdict
    if (hits, n, other) == (3, 3, 0):
        assert found.p == pytest.approx(1 / 32)


def test_the_detectable_effect_is_that_of_a_power_analysis():
    study = planned(8, A={}, B={"model": "other"}, C={"model": "wide", "family": "alone"})
    known = accuracies(
        study, **{m: sample(0.9, 0.004, 8, i) for i, m in enumerate(("tiny", "looking", "other", "wide"))}
    )
    found = single(study, known)
    for claim, tests in {"A": 3, "C": 1}.items():
        power = TTestIndPower().solve_power(nobs1=8, alpha=ALPHA / tests, power=0.8)
        assert (found[claim].mde, found[claim].tests) == (pytest.approx(0.004 * power, rel=1e-4), tests)


# --- random studies -----------------------------------------------------------------------------------------------

CLAIMS = {
    "higher": {},
    "lower": {"expect": "lower"},  # the same test
    "all": {"model": ["looking", "other"], "expect": "lower"},
    "equal": {"model": "other", "expect": "equal"},
    "no-loss": {"model": "other", "against": "looking", "expect": "not-lower", "preconditions": ["attention_alive"]},
    "number": NUMBER | {"expect": "equal"},
    "solved": {"metric": "solved"},
    "reach": {"metric": "epochs_to_reach", "expect": "lower", "preconditions": ["maps_sane"]},
    "nll": {"metric": "nll", "family": "one"},
    "one": {"family": "one", "model": "wide"},
    "control": {"control": "local", "datasets": "cues", "preconditions": ["own_attention_alive"]},
    "macs": {"metric": "macs", "expect": "lower", "preconditions": []},
    "no-dearer": {"metric": "training_step_ms", "expect": "not-lower", "margin": 2.0, "preconditions": []},
    "joules": {"metric": "training_step_joules", "expect": "lower", "preconditions": []},
    "front": FRONT,
    "front-time": FRONT | {"metric": "front_time", "model": "other"},
}  # fmt: skip
STUDY = planned(4, datasets=("cues", "local"), **CLAIMS)
VALUE = st.integers(88, 92).map(lambda points: points / 100)


@st.composite
def studies(draw) -> Evidence:
    """Few distinct values, so that spread is missing at times; flags fail and runs are absent at times."""
    size = draw(st.fixed_dictionaries(dict.fromkeys(MODELS, st.integers(0, 4))))
    size |= {draw(st.sampled_from(list(size))): 4}
    flag, empty = st.integers(0, 7).map(bool), st.one_of(st.none(), st.integers(1, 3))
    spans = st.tuples(*3 * [st.integers(1, 9)]).map(sorted)

    def of(run):
        columns = {"test_accuracy": draw(VALUE), "nll": draw(VALUE), "solved": draw(st.integers(0, 1))}
        flags = {"cam_sane": draw(flag), "leaks": not draw(flag), "epochs_to_reach": draw(empty)}
        flags["attention_alive"] = None if run.model == "tiny" else draw(flag)
        return columns | flags if run.seed < size[run.model] else None

    names = ("training_step_ms_q25", "training_step_ms", "training_step_ms_q75")
    costs = {m: {"macs": draw(st.integers(1, 3))} | dict(zip(names, draw(spans), strict=True)) for m in size}
    return evidence(STUDY, of, costs)


def holm(ps: list[float]) -> list[float]:
    """Plainly: the i-th smallest of m times m - i, never less than a smaller one's, at most 1."""
    adjusted, worst = [0.0] * len(ps), 0.0
    for i, at in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        adjusted[at] = worst = min(1.0, max(worst, ps[at] * (len(ps) - i)))
    return adjusted


def same_test(t) -> tuple:
    sides = t.dataset, t.model, t.recipe, t.other_model, t.other_recipe, t.value, t.control_dataset, t.control_model
    return t.family, t.metric, sides


@settings(max_examples=25, deadline=None)
@given(studies(), st.randoms(use_true_random=False))
def test_over_random_studies(known, random):
    tests, claims = judge(STUDY, known)
    # each family is adjusted by Holm, over its distinct tests that count
    families: dict[str, dict] = {}
    for t in tests:
        if t.p is not None and not t.failing:
            families.setdefault(t.family, {})[same_test(t)] = t.p
    for t in tests:
        counted = families.get(t.family, {})
        expected = dict(zip(counted, holm(list(counted.values())), strict=True))
        counts = t.p is not None and not t.failing
        assert t.p_holm == (pytest.approx(expected[same_test(t)]) if counts else None)
        assert t.tests == len(counted)
        if t.claim == "higher":  # asked by the experiment's table too
            assert any(not u.claim and same_test(u) == same_test(t) for u in tests)
    # what the cells and flags allow
    runs = known.runs
    for t in tests:
        cells = [(t.dataset, t.model)] + [(t.dataset, t.other_model)] * bool(t.other_model)
        cells += [(t.control_dataset, m) for m in (t.model, t.other_model)] * bool(t.control_dataset)
        taken = [runs[(runs["dataset"] == d) & (runs["model"] == m)] for d, m in cells]
        asked = STUDY.claims[t.claim].preconditions if t.claim else ()
        own = {
            "attention_alive": taken[:2],
            "own_attention_alive": taken[:1],
            "maps_sane": taken,
            "test_untouched": taken,
        }
        columns = {"maps_sane": "cam_sane", "test_untouched": "leaks"}
        broken = any(
            (rows[columns.get(name, "attention_alive")].dropna() == (name == "test_untouched")).any()
            for name in asked
            for rows in own.get(name, [])
        )
        if any(rows.empty for rows in taken):
            assert (t.verdict, t.reason) == (Verdict.NOT_RUN, Reason.NO_RUNS)
        else:
            assert (t.verdict is Verdict.VOID) == broken
        if any(rows[t.metric].isna().any() for rows in taken if t.metric in rows):
            assert t.p is None
    # a claim is as good as the worst of its tests
    for claim in claims:
        own = [t for t in tests if t.claim == claim.claim]
        assert claim.tests == len(own)
        assert claim.verdict == min((t.verdict for t in own), key=WORST_FIRST.index, default=Verdict.NOT_RUN)
        assert not own or (claim.verdict, claim.reason) in {(t.verdict, t.reason) for t in own}
    # and no order matters
    order = random.sample(list(STUDY.claims), len(STUDY.claims))
    other = STUDY.model_copy(update={"claims": {name: STUDY.claims[name] for name in order}})
    shuffled = replace(known, runs=known.runs.sample(frac=1, random_state=random.randrange(99)), cost=known.cost[::-1])
    again = judge(other, shuffled)
    for kind, before, after in zip(("tests", "claims"), (tests, claims), again, strict=True):
        assert {row.model_dump_json() for row in after} == {row.model_dump_json() for row in before}, kind


def test_no_spread_is_no_verdict():
    study = planned(4, A={}, E={"expect": "equal"}, N=NUMBER)
    for looking in (0.9, 0.95):
        known = accuracies(study, tiny=[0.9] * 4, looking=[looking] * 4, other=[0.8] * 4, wide=[0.9] * 4)
        for test in judge(study, known)[0]:
            assert (test.verdict, test.reason, test.low) == (Verdict.INCONCLUSIVE, Reason.NO_SPREAD, None)
            assert test.p == (1.0 if test.effect == pytest.approx(0) else None)


# --- verdicts of rows ---------------------------------------------------------------------------------------------


@st.composite
def rows(draw):
    """A row as judging makes it: interval and p of one t; or of costs, what their quartiles leave open."""
    effect, error = draw(st.floats(-0.02, 0.02)), draw(st.floats(1e-5, 0.01))
    t = stats.t(draw(st.integers(2, 30)), effect, error)
    p = 2 * stats.t.sf(abs(effect / error), t.args[0])
    bounds = dict(zip(("low", "high", "margin_low", "margin_high"), [*t.interval(0.95), *t.interval(0.9)], strict=True))
    test = draw(st.sampled_from([Test.WELCH, Test.QUARTILES]))
    if test is Test.QUARTILES:
        bounds |= {"margin_low": bounds["low"], "margin_high": bounds["high"]}
    hindrance = draw(st.sampled_from([None] * 4 + [Reason.NOT_ALIVE, Reason.TEST_SPLIT_USED, Reason.NO_SPREAD]))
    row = bounds | {"p_holm": min(1.0, p * draw(st.integers(1, 5))), "margin": draw(st.floats(1e-4, 0.01))}
    return row | {"test": test, "effect": effect, "hindrance": hindrance, "cheaper": draw(st.booleans())}


def mirrored(row: dict) -> dict:
    ends = {"low": "high", "high": "low", "margin_low": "margin_high", "margin_high": "margin_low"}
    return row | {name: -row[of] for name, of in ends.items()} | {"effect": -row["effect"]}


@settings(max_examples=250, deadline=None)
@given(rows())
def test_verdicts_agree_with_each_other_and_with_their_intervals(row):
    assume(row["effect"] != 0)

    def said(expect: str, of: dict = row) -> str:
        return decide(SimpleNamespace(**of | {"expect": expect}), ALPHA)[0]

    other, expects = mirrored(row), ("higher", "lower", "equal", "not-lower")
    if row["hindrance"]:
        verdict = Verdict.INCONCLUSIVE if row["hindrance"] is Reason.NO_SPREAD else Verdict.VOID
        assert {said(expect) for expect in (*expects, "", "front")} == {verdict}
        return
    assert said("higher") == said("lower", other)
    assert said("equal") == said("equal", other)
    if said("higher") == "supported":
        assert (row["effect"] > 0, said("lower"), said("higher", other)) == (True, "refuted", "refuted")
    if said("equal") == "supported":
        assert said("not-lower") == said("not-lower", other) == "supported"
    if said("not-lower") == "refuted":
        assert (said("equal"), said("not-lower", other)) == ("refuted", "supported")
        assert row["high"] < -row["margin"]
    assert (said("not-lower") == "supported") == (row["margin_low"] > -row["margin"])
    assert (said("equal") == "supported") == (max(-row["margin_low"], row["margin_high"]) < row["margin"])
    assert (said("equal") == "refuted") == (row["low"] > row["margin"] or row["high"] < -row["margin"])
    if row["test"] is Test.WELCH and row["p_holm"] >= ALPHA:
        assert said("front") == "inconclusive"
    elif row["test"] is Test.WELCH:
        assert said("front") == ("supported" if row["effect"] > 0 else "refuted" if row["cheaper"] else "inconclusive")


# --- planted studies ----------------------------------------------------------------------------------------------


def test_an_effect_of_five_sd_is_found_and_read_back(tmp_path):
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
    tables = {"runs": known.runs, "cost": known.cost, "modules": frame(modules, ModuleRow)}
    for name, table in tables.items():
        files.write_csv(tmp_path / f"{name}.csv", table)
    files.write_json(tmp_path / "card.json", {"key": "0123456789"})
    judge_study(study, tmp_path, tmp_path / "verdicts")
    claims = read_table(tmp_path / "verdicts", "claims").set_index("claim")["verdict"].to_dict()
    assert claims == {"A": "supported", "B": "refuted", "Q": "supported"}
    tests = read_table(tmp_path / "verdicts", "tests").set_index("claim")
    assert tests.loc["Q", ["mean", "mean_other", "effect"]].tolist() == pytest.approx([7.5, 3.5, 4.0])
    assert files.read_json(tmp_path / "verdicts/card.json")["key"] == "0123456789"


def test_equal_models_are_seldom_told_apart():
    """300 studies, each a dataset: in at most 5 % is any of three models told from the baseline."""
    names, rng = tuple(f"d{i}" for i in range(300)), np.random.default_rng(0)
    study = planned(5, datasets=names)
    known = evidence(study, lambda run: SOUND | {"test_accuracy": rng.normal(0.9, 0.005)})
    wrong = {t.dataset for t in judge(study, known)[0] if t.reason is Reason.SIGNIFICANT}
    assert 0 < len(wrong) / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


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
    assert [found[name].p_holm for name in "AB"] == pytest.approx(holm(ps))


def test_a_front_is_held_against_every_rival_that_is_as_cheap():
    """tiny is cheapest, looking dearer and worse, other dearest and best; by times tiny is only perhaps as cheap."""
    claims = {
        f"{m} {of}": FRONT | {"model": m, "metric": f"front_{of}"}
        for m in ("tiny", "looking", "other")
        for of in ("macs", "time")
    }
    study = planned(6, ("tiny", "looking", "other"), **claims)
    costs = {
        m: {"macs": i, "training_step_ms": i, "training_step_ms_q25": i - 0.6, "training_step_ms_q75": i + 0.6}
        for i, m in enumerate(("tiny", "looking", "other"), 1)
    }
    means = {"tiny": 0.90, "looking": 0.89, "other": 0.92}
    known = accuracies(study, costs, **{m: sample(mean, 0.002, 6, i) for i, (m, mean) in enumerate(means.items())})
    assert {name: (c.verdict, c.reason, c.tests) for name, c in by_claim(study, known).items()} == {
        "tiny macs": (Verdict.SUPPORTED, Reason.NO_RIVAL, 1),
        "looking macs": (Verdict.REFUTED, Reason.CHEAPER_AND_BETTER, 1),
        "other macs": (Verdict.SUPPORTED, Reason.SIGNIFICANT, 2),
        "tiny time": (Verdict.SUPPORTED, Reason.SIGNIFICANT, 1),
        "looking time": (Verdict.INCONCLUSIVE, Reason.BETTER_PERHAPS_CHEAPER, 2),
        "other time": (Verdict.SUPPORTED, Reason.SIGNIFICANT, 2),
    }


@pytest.mark.parametrize(
    ("claim", "verdict", "reason"),
    [
        ({"metric": "macs"}, "supported", Reason.APART),
        ({"metric": "macs", "expect": "lower"}, "refuted", Reason.OTHER_WAY),
        ({"metric": "macs", "expect": "equal", "margin": 1}, "refuted", Reason.OUTSIDE_MARGIN),
        ({"metric": "macs", "expect": "equal", "margin": 9}, "supported", Reason.EQUIVALENT),
        ({"metric": "macs", "expect": "not-lower", "margin": 1}, "supported", Reason.WITHIN_LOSS),
        ({"metric": "macs", "against": None, "value": 25}, "refuted", Reason.OTHER_WAY),
        ({"metric": "parameters"}, "supported", Reason.APART),
        ({"metric": "training_step_ms"}, "inconclusive", Reason.OVERLAP),
        ({"metric": "training_step_ms", "expect": "equal", "margin": 1}, "inconclusive", Reason.MARGIN_UNDECIDED),
        ({"metric": "training_step_joules"}, "not run", Reason.NOT_MEASURED),
    ],
)
def test_costs_differ_where_their_quartiles_do_not_overlap(claim, verdict, reason):
    study = planned(3, ("tiny", "looking"), C=claim)
    costs = {
        m: {
            "macs": c,
            "parameters": c,
            "training_step_ms": t,
            "training_step_ms_q25": t - 1,
            "training_step_ms_q75": t + 1,
        }
        for m, c, t in (("tiny", 15, 5.0), ("looking", 20, 6.5))
    }
    known = evidence(study, lambda r: SOUND | {"parameters": costs[r.model]["parameters"]}, costs)
    found = by_claim(study, known)["C"]
    assert (found.verdict, found.reason, found.tests) == (verdict, reason, 1)
