"""Tables of tests and claims."""

from cnntention.results.rows import Row
from cnntention.results.words import Declared, Reason, Test, Verdict


class TestRow(Row, table="tests"):
    """A row a test: two cells of an experiment, or one and a number, compared on a metric. Tests of no claim compare an
    experiment's models with its baseline. Effects, intervals and margins are in the metric's unit; of times they are
    shares, how much longer the first takes: ratio - 1."""

    __test__ = False  # not for pytest

    experiment: str
    """Name of the experiment."""
    claim: str
    """Name of the claim; empty for a model beside the experiment's baseline."""
    family: str
    """Claims, or tests of no claim, that share a chance of a false alarm."""
    metric: str
    """A column of runs or modules (mean over a run's), a count of cost, or a time of rounds."""
    expect: str
    """higher, lower, equal, not-lower or front."""
    dataset: str
    """Dataset of the cell."""
    model: str
    """Its model."""
    recipe: str
    """Its recipe."""
    other_model: str
    """Model of the cell that it is compared with; empty for a number."""
    other_recipe: str
    """Its recipe."""
    control_dataset: str
    """A control: the same difference on this dataset is subtracted."""
    control_model: str
    """A control: the same difference of this model is subtracted."""
    value: float | None
    """The number that the cell is compared with."""
    test: Test
    """How it was tested."""
    n: int
    """Runs of the cell; of times, processes that measured them."""
    n_other: int | None
    """Runs of the other; of times, the same processes."""
    mean: float | None
    """Mean of the cell."""
    sd: float | None
    """Its sample standard deviation."""
    mean_other: float | None
    """Mean of the other."""
    sd_other: float | None
    """Its sample standard deviation."""
    effect: float | None
    """The first mean less the second, less that of the control; of times the geometric mean over processes of the
    first over the second, over that of the control, less 1."""
    low: float | None
    """Lower end of its interval: 95 %, or where several looks share alpha 1 - level. Of a counted metric only beside a
    number, by Clopper and Pearson."""
    high: float | None
    """Upper end."""
    p: float | None
    """Two-sided p-value of no difference."""
    p_welch: float | None
    """Of a test that is paired by seed: Welch's p-value beside it."""
    p_margin: float | None
    """P-value of a difference within the margin, by two one-sided tests; of expect not-lower and front,
    of no loss beyond it. Of times the margin is a ratio of 1 + margin, or of 1 / (1 + margin)."""
    level: float | None
    """The two-sided level of the test: alpha, or where several looks share that, the part of the look that decided."""
    p_adjusted: float | None
    """The p-value that decides, p_margin of expect equal, not-lower and front and p of others, times alpha / level,
    adjusted over the family, in which each claim counts once. It is held against alpha."""
    tests: int
    """Claims, or tests of no claim, in the family."""
    mde: float | None
    """Smallest true effect that would be found with the power asked, at the level alpha / tests."""
    margin: float | None
    """Differences below it count as equivalent."""
    n_used: int | None
    """Runs of the cell whose attention is used, or that have none."""
    effect_used: float | None
    """The effect over the runs whose attention, if they have any, is used."""
    verdict: Verdict
    """What the test says of what is expected; empty claim: of a difference either way."""
    reason: Reason
    """Why."""
    failing: str
    """The models, and in how many of their runs, for which a precondition fails or a value is missing: cbam 2/3. Of
    reason control dataset not learned: their mean test accuracy."""


class ClaimRow(Row, table="claims"):
    """A row a claim. A claim of several tests needs all of them: the worst verdict is the claim's."""

    claim: str
    """Name of the claim."""
    experiment: str
    """Experiment that tests it."""
    metric: str
    """What is compared."""
    expect: str
    """higher, lower, equal, not-lower or front."""
    sentence: str
    """What is tested."""
    claimed: str
    """What was claimed, if what is tested differs from it."""
    source: str
    """Who claims it."""
    published: str
    """What the original study measured."""
    verdict: Verdict
    """supported, supported but negligible, refuted, undecided, void or not run."""
    reason: Reason
    """Why, from the test that decides."""
    tests: int
    """Its tests."""
    next_hours: float | None = None
    """Where more seeds may decide it: hours of a core or GPU that the next look's training costs."""
    declared: Declared = Declared.NOT
    """Whether it was sealed before the first of its runs had finished: declared before, declared after, changed after
    or not sealed."""
    sealed: str = ""
    """When it was sealed as it is now, UTC; empty if it was not."""
    sealed_commit: str = ""
    """Git commit of the code then."""


class LookRow(Row, table="looks"):
    """A row a look at an experiment: each time that its claims were judged on other runs, in this study or before."""

    made: str
    """When, UTC."""
    key: str
    """Of the study's tables, as in results/studies/<study>/<key>/."""
    tables_sha256: str
    """Of the tables' card.json, which has their hashes."""
    experiment: str
    """Name of the experiment."""
    seeds: int
    """Seeds of the cell that has fewest."""
    most_seeds: int
    """Seeds of the cell that has most."""
    claims: int
    """Claims on the experiment."""
    open: int
    """Those of them that were undecided."""
    alpha_spent: float | None
    """Where several looks share alpha: what all up to this one may spend."""
    planned: bool
    """Whether it is this study's look, or one that `until: decided` took on the way; else the study has changed since,
    and what was seen then may have led to the change."""
    commit: str
    """Git commit of the code that judged."""
