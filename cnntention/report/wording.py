"""Verdicts, reasons and tests as English. Words are made last; nothing is decided by reading them."""

from collections.abc import Callable

import pandas as pd

from cnntention.report.numbers import counted, difference, interval, known, listing, size, unit, value
from cnntention.report.theme import MARKS
from cnntention.results.words import Reason, Test, Verdict

Row = pd.Series


def failing(row: Row) -> str:
    """Which runs fail a precondition, in parentheses."""
    return f" ({row['failing']})" if row["failing"] else ""


def visible(row: Row) -> str:
    """The smallest effect that the test would usually detect; no accuracies differ by more than 100 points."""
    if not known(row["mde"]):
        return ""
    if unit(row["metric"]).difference == " points" and row["mde"] >= 1:
        return "; the seeds differ too much to detect any difference"
    return f"; detectable from {size(row['mde'], row['metric'])} on"


def margin(row: Row) -> str:
    return size(row["margin"], row["metric"])


def better(row: Row) -> str:
    return f"more accurate by over {margin(row)}"


REASONS: dict[Reason, Callable[[Row], str]] = {
    Reason.SIGNIFICANT: lambda row: "the difference is significant",
    Reason.NEGLIGIBLE: lambda row: f"the difference is significant, and smaller than {margin(row)}",
    Reason.OTHER_WAY: lambda row: "the difference is significant, in the opposite direction",
    Reason.EQUIVALENT: lambda row: f"the difference is smaller than {margin(row)}",
    Reason.NOT_SIGNIFICANT: lambda row: f"not significant{visible(row)}",
    Reason.OUTSIDE_MARGIN: lambda row: f"the difference is larger than {margin(row)}",
    Reason.WITHIN_LOSS: lambda row: f"the loss is smaller than {margin(row)}",
    Reason.MARGIN_UNDECIDED: lambda row: f"the interval reaches beyond the margin of {margin(row)}",
    Reason.CHEAPER_AND_BETTER: lambda row: f"{row['other_model']} is as cheap, and {better(row)}",
    Reason.BETTER_PERHAPS_CHEAPER: lambda row: f"{row['other_model']} is maybe as cheap, and {better(row)}",
    Reason.NO_RIVAL: lambda row: "no other model is as cheap",
    Reason.COUNTED: lambda row: "it is counted, without error",
    Reason.NOT_MEASURED: lambda row: "it was not measured",
    Reason.NO_RUNS: lambda row: "the study has no such runs",
    Reason.NO_METRIC: lambda row: f"no table has the metric {row['metric']}",
    Reason.VALUES_MISSING: lambda row: f"some runs have no value{failing(row)}",
    Reason.TOO_FEW_SEEDS: lambda row: f"too few seeds for a test{of_seeds(row)}",
    Reason.NO_SPREAD: lambda row: "nothing varies, so no test applies",
    Reason.NOT_USED: lambda row: f"most runs do not use their attention{failing(row)}",
    Reason.OTHER_RECIPES: lambda row: "the models were trained by different recipes",
    Reason.TEST_SPLIT_USED: lambda row: f"the test split was used in training{failing(row)}",
    Reason.NOT_LEARNED: lambda row: f"the control dataset was not learned{failing(row)}",
    Reason.MAPS_NOT_SANE: lambda row: f"the maps do not depend enough on the learned weights{failing(row)}",
}


def of_seeds(row: Row) -> str:
    counts = [int(row[name]) for name in ("n", "n_other") if known(row[name])]
    return f" (n = {listing(counts)})"


def reason(row: Row) -> str:
    """Why a test has its verdict."""
    return REASONS[Reason(row["reason"])](row)


def verdict(row: Row) -> str:
    """✓ supported"""
    return f"{MARKS[Verdict(row['verdict'])]} {row['verdict']}"


def outcome(row: Row) -> str:
    """What a test of no claim says: higher, lower, equivalent, or nothing."""
    if row["verdict"] == Verdict.SUPPORTED:
        return "higher" if row["effect"] > 0 else "lower"
    if row["verdict"] in (Verdict.NEGLIGIBLE, Verdict.REFUTED):
        return "equivalent"
    other = "not significant" if known(row["p"]) else "not tested"
    return {Verdict.VOID: "void", Verdict.NOT_RUN: "not run"}.get(row["verdict"], other)


def compared(row: Row) -> str:
    """The two sides of a test: a − b."""
    model, other = row["model"], row["other_model"]
    if known(row["value"]):
        text = f"{model} against {value(row['value'], row['metric'])}"
    elif not other:
        text = model
    elif model == other:
        text = f"{model}: {row['recipe']} − {row['other_recipe']}"
    else:
        text = f"{model} − {other}"
    control = row["control_dataset"] or row["control_model"]
    return f"{text}, minus that {'on' if row['control_dataset'] else 'of'} {control}" if control else text


def effect(row: Row) -> str:
    """What a test measured: +0.13 points [−0.30, +0.55]."""
    metric = row["metric"]
    if not known(row["effect"]):
        return "–"
    if row["test"] == Test.COUNTED:
        return " against ".join(value(row[mean], metric) for mean in ("mean", "mean_other") if known(row[mean]))
    if row["test"] == Test.BINOMIAL:
        low, high = (row["value"] + row[end] for end in ("low", "high"))
        return counted(round(row["mean"] * row["n"]), row["n"], low, high)
    if row["test"] == Test.BOSCHLOO:
        a, b = (f"{round(row[mean] * row[n])} of {row[n]}" for mean, n in (("mean", "n"), ("mean_other", "n_other")))
        return f"{a} runs against {b}"
    return f"{difference(row['effect'], metric)} {interval(row['low'], row['high'], metric)}".strip()


def cell_name(row: Row, recipes: int) -> str:
    """A model, with its recipe where an experiment has several."""
    return f"{row['model']} · {row['recipe']}" if recipes > 1 else row["model"]
