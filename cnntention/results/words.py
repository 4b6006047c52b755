"""What a result can be: states, verdicts and the reasons for them. `report.wording` says them in English."""

from enum import StrEnum


class Ended(StrEnum):
    """How a training ended."""

    ALL_EPOCHS = "all epochs"
    EARLY_STOPPING = "early stopping"
    DIVERGED = "diverged"


class Settled(StrEnum):
    """Why there is no further look at a study."""

    FIXED = "the seeds are fixed"
    DECIDED = "all claims are decided"
    AT_MOST = "no claim that is open may have more seeds"
    BUDGET = "the budget does not reach"


class State(StrEnum):
    """What an attention module does to its features."""

    ALIVE = "alive"
    OFF = "off"
    """It changes the features by less than `alive.relative_change` of their norm."""
    CONSTANT = "constant"
    """Its gates do not depend on the image."""
    UNIFORM = "uniform"
    """Every head attends to all places alike."""
    DIVERGED = "diverged"
    """Its run diverged: nothing can be said of it."""


class Verdict(StrEnum):
    SUPPORTED = "supported"
    NEGLIGIBLE = "supported but negligible"
    """The difference is significant, and smaller than the margin."""
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    VOID = "void"
    """A precondition does not hold."""
    NOT_RUN = "not run"


class Declared(StrEnum):
    """Whether a claim was sealed, as it is now, before the first of its runs had finished."""

    BEFORE = "declared before"
    AFTER = "declared after"
    CHANGED = "changed after"
    """It was sealed before, and is another now."""
    NOT = "not sealed"


class Test(StrEnum):
    """How two groups of runs were compared."""

    __test__ = False  # not for pytest

    WELCH = "Welch t"
    PAIRED = "t, paired by seed"
    ONE_SAMPLE = "one-sample t"
    INTERACTION = "difference in differences, t"
    BOSCHLOO = "Boschloo exact"
    BINOMIAL = "binomial exact"
    RATIO = "t of log-ratios over processes"
    COUNTED = "counted"
    NONE = "none"


class Reason(StrEnum):
    """Why a test has its verdict."""

    SIGNIFICANT = "significant"
    NEGLIGIBLE = "significant, inside the margin"
    OTHER_WAY = "significant, the other way"
    EQUIVALENT = "equivalent"
    NOT_SIGNIFICANT = "not significant"
    OUTSIDE_MARGIN = "outside the margin"
    WITHIN_LOSS = "loses less than the margin"
    MARGIN_UNDECIDED = "margin undecided"
    CHEAPER_AND_BETTER = "a rival is as cheap and more accurate"
    BETTER_PERHAPS_CHEAPER = "a rival is more accurate and perhaps as cheap"
    NO_RIVAL = "no rival is as cheap"
    COUNTED = "counted"
    NOT_MEASURED = "not measured"
    NO_RUNS = "no runs"
    NO_METRIC = "no such metric"
    VALUES_MISSING = "values missing"
    TOO_FEW_SEEDS = "too few seeds"
    NO_SPREAD = "no spread over seeds"
    NOT_USED = "attention not used"
    OTHER_RECIPES = "different recipes"
    TEST_SPLIT_USED = "test split used in training"
    MAPS_NOT_SANE = "maps not sane"
    NOT_LEARNED = "control dataset not learned"
