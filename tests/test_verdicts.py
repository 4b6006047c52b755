"""Verdicts: over random studies, and over random rows."""

from types import SimpleNamespace

import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from planting import MODELS, accuracies, evidence, holm, planned
from scipy import stats

from cnntention.judging.evidence import Evidence
from cnntention.judging.judge import judge
from cnntention.judging.verdicts import decide, worst
from cnntention.results.tables import TIMES
from cnntention.results.words import Reason, Test, Verdict

ALPHA = 0.05
NUMBER = {"model": "tiny", "against": None, "value": 0.9}
FRONT = {"metric": "front_macs", "expect": "front", "against": None}
WORST_FIRST = ["refuted", "void", "undecided", "not run", "supported but negligible", "supported"]

# --- random studies -----------------------------------------------------------------------------------------------

CLAIMS = {
    "higher": {},
    "lower": {"expect": "lower"},  # the same test
    "all": {"model": ["looking", "other"], "expect": "lower"},
    "equal": {"model": "other", "expect": "equal"},
    "no-loss": {"model": "other", "against": "looking", "expect": "not-lower", "preconditions": ["attention_used"]},
    "number": NUMBER | {"expect": "equal"},
    "solved": {"metric": "solved"},
    "broken": {"metric": "broken", "against": None, "value": 0.5},
    "sane": {"metric": "nll", "expect": "lower", "preconditions": ["maps_sane"]},
    "learned": {"datasets": "cues", "learned": "local", "against": ["tiny", "other"], "preconditions": []},
    "nll": {"metric": "nll", "family": "one"},
    "one": {"family": "one", "model": "wide"},
    "control": {"control": "local", "datasets": "cues", "preconditions": ["own_attention_used"]},
    "macs": {"metric": "macs", "expect": "lower", "preconditions": []},
    "no-faster": {"metric": "training_step_ms", "expect": "not-lower", "margin": 0.5, "preconditions": []},
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
    flag, empty = st.integers(0, 7).map(bool), st.one_of(*7 * [VALUE], st.none())
    times = st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=2), min_size=3, max_size=3)

    def of(run):
        columns = {"test_accuracy": draw(VALUE), "nll": draw(empty)}
        columns |= {name: draw(st.integers(0, 1)) for name in ("solved", "broken")}
        if run.dataset == "local":
            columns["test_accuracy"] += 0.05
        flags = {"cam_sane": draw(flag), "leaks": not draw(flag)}
        flags["attention_used"] = None if run.model == "tiny" else draw(flag)
        return columns | flags if run.seed < size[run.model] else None

    costs = {m: {"macs": draw(st.integers(1, 3))} | {name: draw(times) for name in TIMES} for m in size}
    return evidence(STUDY, of, costs)


def deciding(t) -> float | None:
    return t.p_margin if t.expect in ("equal", "not-lower", "front") else t.p


def contradicts(t) -> bool:
    return (t.expect in ("higher", "front") and t.effect < 0) or (t.expect == "lower" and t.effect > 0)


def of_family(tests: list) -> list[float]:
    """The adjusted p-values of a family: a claim enters with its largest p, or with the smallest of those that
    contradict it, times its tests; each of its tests is adjusted as if it were the only one."""
    members: dict = {}
    for i, t in enumerate(tests):
        members.setdefault(t.claim or i, []).append(t)
    entered = {name: {id(t): deciding(t) for t in own} for name, own in members.items()}
    for name, own in members.items():
        entered[name] |= {id(t): min(1, deciding(t) * len(own)) for t in own if contradicts(t)}
    whole = {
        name: min((entered[name][id(t)] for t in own if contradicts(t)), default=max(entered[name].values()))
        for name, own in members.items()
    }
    owner = {id(t): name for name, own in members.items() for t in own}
    return [
        holm([entered[owner[id(t)]][id(t)], *(p for name, p in whole.items() if name != owner[id(t)])])[0]
        for t in tests
    ]


@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])  # a study takes long to shrink
@given(studies(), st.randoms(use_true_random=False))
def test_over_random_studies(known, random):
    tests, claims = judge(STUDY, known)
    # each family is adjusted by Holm, over its claims with tests that count
    counting = [t for t in tests if deciding(t) is not None and not t.failing]
    for family in {t.family for t in tests}:
        own = [t for t in counting if t.family == family]
        assert [t.p_adjusted for t in own] == pytest.approx(of_family(own))
        members = len({t.claim or id(t) for t in own})
        assert {t.tests for t in tests if t.family == family} == {members}
    assert all(t.p_adjusted is None for t in tests if t not in counting)
    assert {t.family for t in tests if t.claim} <= {"claims of first", "one"}
    # what the cells and flags allow
    runs = known.runs
    for t in tests:
        cells = [(t.dataset, t.model)] + [(t.dataset, t.other_model)] * bool(t.other_model)
        cells += [(t.control_dataset, m) for m in (t.model, t.other_model)] * bool(t.control_dataset)
        taken = [runs[(runs["dataset"] == d) & (runs["model"] == m)] for d, m in cells]
        asked = STUDY.claims[t.claim].preconditions if t.claim else ()
        columns = {"maps_sane": "cam_sane", "test_untouched": "leaks"}
        broken = any(
            (rows[columns[name]].dropna() == (name == "test_untouched")).any()
            for name in asked
            if name in columns
            for rows in taken
        )
        for name, count in (("attention_used", 2), ("own_attention_used", 1)):
            used = [rows["attention_used"].dropna() for rows in taken[:count] if name in asked]
            broken |= any(len(rows) and rows.sum() <= len(rows) / 2 for rows in used)
        gate = []
        if t.claim == "learned":
            gate = [runs[(runs["dataset"] == "local") & (runs["model"] == m)] for m in ("looking", "tiny", "other")]
            broken |= any(rows["test_accuracy"].mean() < 0.95 for rows in gate)
        if any(rows.empty for rows in (*taken, *gate)):
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
    mixed = known.runs.sample(frac=1, random_state=random.randrange(99))
    assert judge(STUDY, Evidence(mixed, known.cost[::-1], known.rounds[::-1])) == (tests, claims)
    again = judge(other, known)
    for kind, before, after in zip(("tests", "claims"), (tests, claims), again, strict=True):
        assert {row.model_dump_json() for row in after} == {row.model_dump_json() for row in before}, kind


def test_no_spread_is_no_verdict():
    study = planned(4, A={}, E={"expect": "equal"}, N=NUMBER)
    for looking in (0.9, 0.95):
        known = accuracies(study, tiny=[0.9] * 4, looking=[looking] * 4, other=[0.8] * 4, wide=[0.9] * 4)
        for test in judge(study, known)[0]:
            assert (test.verdict, test.reason, test.low) == (Verdict.UNDECIDED, Reason.NO_SPREAD, None)
            assert test.p == (1.0 if test.effect == pytest.approx(0) else None)


# --- verdicts of rows ---------------------------------------------------------------------------------------------


@st.composite
def rows(draw):
    """A row as judging makes it: interval and p of one t."""
    effect, error = draw(st.floats(-0.02, 0.02)), draw(st.floats(1e-5, 0.01))
    t = stats.t(draw(st.integers(2, 30)), effect, error)
    p = 2 * stats.t.sf(abs(effect / error), t.args[0])
    bounds = dict(zip(("low", "high"), t.interval(0.95), strict=True))
    hindrance = draw(st.sampled_from([None] * 4 + [Reason.NOT_USED, Reason.TEST_SPLIT_USED, Reason.NO_SPREAD]))
    row = bounds | {"p": p, "times": draw(st.integers(1, 5)), "margin": draw(st.floats(1e-4, 0.01)), "t": t}
    row |= {"level": ALPHA}
    return row | {"test": Test.WELCH, "effect": effect, "hindrance": hindrance, "cheaper": draw(st.booleans())}


def mirrored(row: dict) -> dict:
    t = row["t"]
    other = {"low": -row["high"], "high": -row["low"], "effect": -row["effect"]}
    return row | other | {"t": stats.t(t.args[0], -t.args[1], t.args[2])}


def as_asked(row: dict, expect: str) -> SimpleNamespace:
    """With the p-values of what is expected: by the t distribution around the effect."""
    t, margin = row["t"], row["margin"]
    above, under = float(t.cdf(-margin)), float(t.sf(margin))
    p_margin = above if expect in ("not-lower", "front") else max(above, under)
    decides = p_margin if expect in ("equal", "not-lower", "front") else row["p"]
    return SimpleNamespace(**row, expect=expect, p_margin=p_margin, p_adjusted=min(1.0, decides * row["times"]))


@settings(max_examples=250, deadline=None)
@given(rows())
def test_verdicts_agree_with_each_other_and_with_their_p_values(row):
    assume(row["effect"] != 0)

    def said(expect: str, of: dict = row) -> str:
        return decide(as_asked(of, expect), ALPHA)[0]

    other, expects = mirrored(row), ("higher", "lower", "equal", "not-lower")
    if row["hindrance"]:
        verdict = Verdict.UNDECIDED if row["hindrance"] is Reason.NO_SPREAD else Verdict.VOID
        assert {said(expect) for expect in (*expects, "", "front")} == {verdict}
        return
    holds = ("supported", "supported but negligible")
    assert said("higher") == said("lower", other)
    assert said("equal") == said("equal", other)
    if said("higher") in holds:
        assert (row["effect"] > 0, said("lower"), said("higher", other)) == (True, "refuted", "refuted")
    if said("equal") == "supported":
        assert said("not-lower") == said("not-lower", other) == "supported"
        assert said("higher") != "supported"
    if said("not-lower") == "refuted":
        assert said("equal") == "refuted"
        assert row["high"] < -row["margin"]
    for expect in ("not-lower", "equal"):
        assert (said(expect) == "supported") == (as_asked(row, expect).p_adjusted < ALPHA)
    assert (said("") in holds) == (row["p"] * row["times"] < ALPHA)
    # a front is that its model loses nothing, and only what is surely as cheap refutes it
    assert said("front") == (said("not-lower") if row["cheaper"] or said("not-lower") == "supported" else "undecided")


@given(st.lists(st.tuples(st.sampled_from(Verdict), st.sampled_from(Reason)), min_size=1))
def test_a_claim_needs_all_of_its_tests(decisions):
    verdict, reason = worst(decisions)
    assert verdict == next(name for name in WORST_FIRST if name in {v.value for v, _ in decisions})
    assert (verdict, reason) in decisions
