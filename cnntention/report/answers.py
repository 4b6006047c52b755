"""What a study and its experiments found, in sentences."""

import pandas as pd

from cnntention.report.catalogue import MANY, asks_for_life
from cnntention.report.numbers import count, difference, digits, known, listing, unit, value
from cnntention.report.reading import Results, of_cell
from cnntention.report.wording import outcome
from cnntention.results.words import Reason, State, Test, Verdict

SMALL = "These results hold for these small networks, data sets and short trainings alone."


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
    for kind in {"equivalent", "not significant"} & groups.keys():
        groups[kind] = groups[kind] if len(groups[kind]) < MANY else [f"{len(groups[kind])} models"]
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
    missed = tests[(tests["reason"] == Reason.NOT_SIGNIFICANT) & (tests["metric"] == "test_accuracy")]
    missed = missed.dropna(subset="mde")
    if not len(missed):
        return "Not significant does not mean no effect."
    least, most = (digits(round(100 * min(1, size), 1), None) for size in (missed["mde"].min(), missed["mde"].max()))
    size = f"{least} points" if least == most else f"{least} to {most} points, depending on how far the seeds differ,"
    where = " and ".join(missed["dataset"].unique())
    return f"Not significant does not mean no effect: on {where}, differences below {size} go undetected."


def unfinished(card: dict) -> str:
    """How many runs are missing, and the first of them with the reasons."""
    missing, shown = card["missing"], card["missing"][:5]
    more = [f"{len(missing) - len(shown)} more"] * (len(missing) > len(shown))
    verb = "is" if len(missing) == 1 else "are"
    return f"Unfinished: of {card['runs'] + len(missing)} runs, {len(missing)} {verb} missing: {listing(shown + more)}."


def claims_ended(claims: pd.DataFrame) -> list[tuple[Verdict, int]]:
    return [(verdict, int((claims["verdict"] == verdict).sum())) for verdict in Verdict]
