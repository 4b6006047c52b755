"""Verdicts, reasons and results as English. Words are made here, last; nothing is decided by reading them."""

from collections.abc import Callable

import pandas as pd

from cnntention.report.catalogue import asks_for_life
from cnntention.report.numbers import count, counted, difference, digits, interval, known, listing, size, unit, value
from cnntention.report.reading import Results, of_cell
from cnntention.report.theme import MARKS
from cnntention.results.words import Reason, State, Test, Verdict

SMALL = "These results hold for these small networks, data sets and short trainings alone."
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


def answer(results: Results, experiment: str) -> str:
    """An experiment's answer in one sentence."""
    tests = results.comparisons(experiment)
    if len(tests):
        places = tests[["dataset", "recipe"]].drop_duplicates()
        parts = []
        for dataset, recipe in places.itertuples(index=False):
            part = tests[(tests["dataset"] == dataset) & (tests["recipe"] == recipe)]
            where = [f"on {dataset}"] * (places["dataset"].nunique() > 1)
            where += [f"by {recipe}"] * (places["recipe"].nunique() > 1)
            parts.append(f"{' '.join(where)}{', ' if where else ''}{outcomes(part)}")
        what = listing(unit(metric).name for metric in tests["metric"])
        return f"{what[:1].upper()}{what[1:]} beside {listing(tests['other_model'])}: {'; '.join(parts)}."
    cells = results.of("cells", experiment)
    if cells["alive"].notna().all() and asks_for_life(results.study, experiment):
        return life(results, experiment)
    best = cells.loc[cells["mean"].idxmax()]
    return f"Highest mean test accuracy: {best['model']} by {best['recipe']}, {value(best['mean'], 'test_accuracy')}."


OUTCOMES = {
    "higher": "{0} {1} significantly higher",
    "lower": "{0} {1} significantly lower",
    "equivalent": "{0} {1} equal within the margin",
    "not significant": "{0} {2} not differ significantly",
    "void": "{0} cannot be judged",
    "not tested": "{0} {1} not tested",
    "not run": "{0} {1} not run",
}


def outcomes(tests: pd.DataFrame) -> str:
    """a is significantly higher (+1.00 points), b and c do not differ significantly"""
    groups: dict[str, list[str]] = {}
    for _, row in tests.iterrows():
        kind = outcome(row)
        told = kind in ("higher", "lower") and row["test"] != Test.BOSCHLOO
        size_of = f" ({difference(row['effect'], row['metric'])})" if told else ""
        groups.setdefault(kind, []).append(row["model"] + size_of)
    if list(groups) == ["not significant"] and len(tests) > 1:
        return "no model differs significantly"
    verbs = {kind: ("is", "does") if len(models) == 1 else ("are", "do") for kind, models in groups.items()}
    return ", ".join(OUTCOMES[kind].format(listing(groups[kind]), *verbs[kind]) for kind in OUTCOMES if kind in groups)


def life(results: Results, experiment: str) -> str:
    """In how many runs attention is alive and used, and where single modules are not alive."""
    cells, modules = results.of("cells", experiment), results.runs_of(experiment, "modules")
    n, alive, used, diverged = (int(cells[name].sum()) for name in ("n", "alive", "used", "diverged"))
    text = f"Attention is alive in {alive} and used in {used} of {count(n - diverged, 'run')}"
    text += f" ({diverged} more diverged)" if diverged else ""
    dead = modules[~modules["state"].isin([State.ALIVE, State.DIVERGED])]
    groups = dead.groupby(["model", "recipe"], sort=False).size()
    names = [f"{model} by {recipe} ({number})" for (model, recipe), number in groups.items()]
    return f"{text}; modules that are not alive: {listing(names)}." if names else f"{text}, with every module alive."


def study_answer(results: Results) -> list[str]:
    """The study's answer in two sentences; of a study with one or two tested claims, these with their verdicts."""
    tested = results.frames["claims"].query("tests > 0")
    if 1 <= len(tested) <= 2:
        told = [f"{row['verdict'].capitalize()}: {row['sentence']}" for _, row in tested.iterrows()]
        return [" ".join(told), life_sentence(results)]
    tests, models = results.comparisons(), results.study.models
    attends = {name: bool(model.modules) for name, model in models.items()}
    fair = tests[tests["model"].map(attends) & ~tests["other_model"].map(attends)]
    chosen, what = (fair, "of a model with attention to one without") if len(fair) else (tests, "to a baseline")
    kinds = pd.Series([outcome(row) for _, row in chosen.iterrows()], index=chosen.index, dtype=object)
    asked = kinds.isin(["higher", "lower", "equivalent", "not significant"])
    life_of = life_sentence(results)
    if not asked.any():
        return ["Not answered: no comparison has enough seeds for a test.", life_of]
    better, worse = kinds == "higher", kinds == "lower"
    short = "Mixed" if better.any() and worse.any() else "No" if worse.all() else "Yes" if better[asked].all() else ""
    short = short or ("Sometimes" if better.any() else "Not shown")
    up, down = (named(chosen[mask], results) or "none" for mask in (better, worse))
    where = f"in {count(int(asked.sum()), 'comparison')} {what}"
    head = f"{short}: {where}, the first is significantly better in {up} and significantly worse in {down}."
    return [head, life_of]


def named(tests: pd.DataFrame, results: Results) -> str:
    """2 (cbam on mnist, self-attention on cifar10 with its attention unused)"""
    names = []
    for _, row in tests.iterrows():
        cell = of_cell(results.of("cells", row["experiment"]), row).iloc[0]
        unused = known(cell["used"]) and 2 * cell["used"] < cell["n"] - cell["diverged"]
        names.append(f"{row['model']} on {row['dataset']}{' with its attention unused' if unused else ''}")
    return f"{len(names)} ({', '.join(dict.fromkeys(names))})" if names else ""


def life_sentence(results: Results) -> str:
    """In how many runs of the study attention matters."""
    runs = results.frames["runs"]
    subset = runs[(runs["modules"] > 0) & runs["attention_alive"].notna()]
    if not len(subset):
        return "No run has attention that could be examined."
    alive, used = int(subset["attention_alive"].sum()), int(subset["attention_used"].fillna(False).sum())
    return (
        f"Attention changes the features in {alive} of {count(len(subset), 'run')} that have it, and accuracy falls "
        f"without it in {used}."
    )


def unseen(results: Results) -> str:
    """How small an effect the comparisons can miss."""
    tests = results.comparisons()
    missed = tests[(tests["reason"] == Reason.NOT_SIGNIFICANT) & (tests["metric"] == "test_accuracy")]["mde"].dropna()
    if not len(missed):
        return "Not significant does not mean no effect."
    least, most = (digits(round(100 * min(1, size), 1), None) for size in (missed.min(), missed.max()))
    where = f"{least} to {most} points, depending on how far the seeds differ"
    return f"Not significant does not mean no effect: the smallest detectable difference is {where}."


def unfinished(card: dict) -> str:
    """How many runs are missing, and the first of them with the reasons."""
    missing, shown = card["missing"], card["missing"][:5]
    more = [f"{len(missing) - len(shown)} more"] * (len(missing) > len(shown))
    verb = "is" if len(missing) == 1 else "are"
    return f"Unfinished: of {card['runs'] + len(missing)} runs, {len(missing)} {verb} missing: {listing(shown + more)}."


def claims_ended(claims: pd.DataFrame) -> list[tuple[Verdict, int]]:
    return [(verdict, int((claims["verdict"] == verdict).sum())) for verdict in Verdict]


def cell_name(row: Row, recipes: int) -> str:
    """A model, with its recipe where an experiment has several."""
    return f"{row['model']} · {row['recipe']}" if recipes > 1 else row["model"]
