"""What the report says of a tuned experiment: what each model gained from its trials, and whether verdicts survive."""

from collections.abc import Iterator

from cnntention.config.tuning import trial
from cnntention.report import numbers as num
from cnntention.report import wording
from cnntention.report.document import Fold, Table, Text
from cnntention.report.reading import Results


def tuning(results: Results, experiment: str) -> Iterator[Fold]:
    """Nothing if the experiment is not tuned."""
    of = results.study.experiments[experiment].tuning
    if of is None:
        return
    budgets = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < of.trials] + [of.trials]
    budgets = budgets[:1] + budgets[-2:] if len(budgets) > 3 else budgets
    rows = []
    for cell, best in results.chosen(experiment).items():
        scores = trial_scores(results, experiment, cell)
        settings = of.settings[int(best[2].rpartition("trial")[2])]
        told = f"lr {settings['lr']:g}, weight decay {settings['weight_decay']:g}"
        best_of = (num.bare(max(scores[:n]), "val_accuracy") for n in budgets)
        rows.append((cell[1], *best_of, told))
    head = ("model", *(f"best of {n}" for n in budgets), "chosen")
    note = "Validation accuracy, %, of the best of so many trials; all models tried the same ones in the same order."
    parts = [Table(head, tuple(rows), "l" + "r" * len(budgets) + "l", note)]
    if text := survives(results, experiment):
        parts.append(Text(text))
    yield Fold("What tuning gained", tuple(parts))


def trial_scores(results: Results, experiment: str, cell: tuple[str, str, str]) -> list[float]:
    """Validation accuracy of a model's trials on their first seed, in order."""
    runs = results.frames["runs"]
    for grid in results.study.experiments[experiment].grid:
        for recipe in grid.recipes:
            names = [trial(recipe, i) for i in range(results.study.experiments[experiment].tuning.trials)]
            own = runs[(runs["dataset"] == cell[0]) & (runs["model"] == cell[1]) & runs["recipe"].isin(names)]
            first = own[own["seed"] == results.study.every_seed(grid)[0]].set_index("recipe")["val_accuracy"]
            if len(first):
                return [float(first[name]) for name in names]
    return []


def survives(results: Results, experiment: str) -> str:
    """What the same comparisons say without tuning, in another experiment."""
    tests, sides = results.frames["tests"], ["dataset", "model", "other_model"]
    others = tests[(tests["experiment"] != experiment) & (tests["claim"] == "")]
    parts = []
    for _, test in results.comparisons(experiment).iterrows():
        before = others[(others[sides] == test[sides]).all(axis=1) & (others["recipe"] + "-tuned" == test["recipe"])]
        if len(before):
            was, now = wording.outcome(before.iloc[0]), wording.outcome(test)
            parts.append(f"{test['model']} on {test['dataset']}: {was} without tuning, {now} with it")
    return f"{'; '.join(parts)}." if parts else ""
