"""Each experiment's models beside its baseline: the tests of comparisons.csv as tables and sentences."""

from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import text
from cnntention.report.flags import flag, marks
from cnntention.report.views import WORDS, View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

CELL = ["dataset", "recipe", "model"]
METRIC = text.POINTS


def ends(row: pd.Series, name: str) -> tuple[float, float]:
    return row[f"{name}_low"], row[f"{name}_high"]


def outcome(row: pd.Series, alpha: float) -> str:
    """What one comparison says, in two or three words, or why it says nothing."""
    if row["p_holm"] < alpha:
        return "higher" if row["difference"] > 0 else "lower"
    if str(row["equivalent"]) == "True":
        return f"equivalent within ±{METRIC.named(row['margin'], signed=False)}"
    if pd.notna(row["note"]):
        return row["note"]
    return "no significant difference" + (f", MDE {METRIC.detectable(row['mde'])}" if pd.notna(row["mde"]) else "")


def of(tables: "Tables", experiment: str) -> pd.DataFrame:
    found = tables.frames["comparisons"]
    return found[found["experiment"] == experiment]


def primary(tables: "Tables") -> str | None:
    """The first experiment that has models beside a baseline: its comparisons lead the page."""
    names = set(tables.frames["comparisons"]["experiment"])
    return next((name for name in tables.study.study.experiments if name in names), None)


def findings(tables: "Tables", experiment: str | None) -> list[dict]:
    """For each dataset and recipe of an experiment: the baseline, and a line for each model's difference from it."""
    if experiment is None:
        return []
    alpha, items = tables.study.statistics.alpha, []
    for (dataset, recipe), rows in of(tables, experiment).groupby(["dataset", "recipe"], sort=False):
        cells = tables.of("accuracy", dataset, recipe).set_index("model", drop=False)
        baseline = rows["baseline"].iloc[0]
        base = cells.loc[baseline]
        lines = [
            {
                "model": row["model"],
                "difference": METRIC.named(row["difference"]),
                "interval": interval(row),
                "score": f"{text.scored(cells.loc[row['model']])}, {text.seeds_of([row['n']])}",
                "outcome": "; ".join([outcome(row, alpha), *doubt(tables, row)]),
            }
            for _, row in rows.iterrows()
        ]
        against = [f"against {baseline}", text.scored(base), text.seeds_of([base["n"]]), *doubt(tables, base)]
        items.append({"where": f"{dataset}, recipe {recipe}", "against": ", ".join(against), "lines": lines})
    return items


def doubt(tables: "Tables", cell: pd.Series) -> list[str]:
    """Attention that is not alive in all runs, to be said beside their accuracy."""
    told = flag(tables, cell)
    return [] if told == "–" or told.startswith("alive") else [f"attention: {told}"]


def interval(row: pd.Series) -> str:
    """The interval and Holm's p in a sentence; nothing where nothing was tested."""
    if pd.isna(row["t_low"]):
        return ""
    return f"95 % interval {METRIC.interval(ends(row, 't'))}, Holm p {text.equals(row['p_holm'])}"


def summary(tables: "Tables") -> str:
    """All comparisons of test accuracy in one sentence."""
    found = tables.frames["comparisons"].drop_duplicates(subset=[*CELL, "baseline"])
    if found.empty:
        return "No experiment of this study has a model beside a baseline, so nothing is compared."
    alpha, total = tables.study.statistics.alpha, text.plural(len(found), "comparison")
    low, high = METRIC.difference(found["difference"].min()), METRIC.difference(found["difference"].max())
    spread = f"by {low}" if len(found) == 1 else f"by {low} to {high}"
    if found["p_holm"].isna().all():
        why = "; ".join(dict.fromkeys(found["note"].dropna()))
        differ = f"Mean test accuracy differs from its baseline’s {spread} points in {total}"
        return f"{differ}; none of it is tested: {why}."
    sure = found["p_holm"] < alpha
    higher, lower = (sure & (found["difference"] > 0)).sum(), (sure & (found["difference"] < 0)).sum()
    rest = len(found) - higher - lower
    return (
        f"Against its baseline, test accuracy is higher in {higher} and lower in {lower} of {total} (Holm p below "
        f"{alpha:g}), {spread} points; in {rest} these seeds tell nothing apart."
    )


def experiment(tables: "Tables", name: str) -> View:
    """A row a cell of the experiment, with all that is tested against its baseline."""
    cells = tables.frames["experiments"]
    baseline = tables.study.experiments[name].baseline
    tested = of(tables, name).set_index(CELL)
    rows = []
    for _, cell in cells[cells["experiment"] == name].iterrows():
        where = tuple(cell[CELL])
        row = {"Dataset": cell["dataset"], "Recipe": cell["recipe"], "Model": cell["model"], "n": cell["n"]}
        row |= {"Accuracy, %": text.score(cell), "Attention": flag(tables, cell)}
        row |= statistics(tested.loc[where] if where in tested.index else None, cell["model"] == baseline)
        notes = [*marks(tables, cell), *([tested.loc[where, "note"]] if where in tested.index else [])]
        rows.append(row | {"Note": "; ".join(note for note in notes if pd.notna(note)) or "–"})
    return view(caption(tables, name, baseline), rows, WORDS | {"Attention", "P(higher)"})


def statistics(row: pd.Series | None, is_baseline: bool) -> dict[str, str]:
    names = ("Difference, points", "95 % interval", "p (Holm)", "P(higher)", "MDE, points", "Equivalent")
    if row is None:
        return dict.fromkeys(names, "–") | ({names[0]: "baseline"} if is_baseline else {})
    better = text.number(row["superiority"])
    if pd.notna(row["superiority_low"]):
        better += f" ({text.number(row['superiority_low'])}–{text.number(row['superiority_high'])})"
    equal = "–"
    if pd.notna(row["equivalence_p"]):
        equal = f"{'yes' if str(row['equivalent']) == 'True' else 'no'} (p {text.equals(row['equivalence_p'])})"
    shown = (METRIC.difference(row["difference"]), METRIC.interval(ends(row, "t")), text.p_value(row["p_holm"]), better)
    return dict(zip(names, (*shown, METRIC.detectable(row["mde"]).removesuffix(" points"), equal), strict=True))


def caption(tables: "Tables", name: str, baseline: str | None) -> str:
    settings, counts = tables.study.statistics, of(tables, name)["tests"]
    if baseline is None or counts.empty:
        return f"Experiment {name}: mean test accuracy. It has no model beside a baseline, so nothing is compared."
    return (
        f"Experiment {name}: mean test accuracy minus that of {baseline}, same dataset and recipe, percentage points. "
        f"Interval and p: Welch’s t over seeds, p adjusted by Holm over the {text.plural(int(counts.max()), 'test')} "
        "of one dataset and recipe. P(higher): chance that a run of the model beats one of the baseline. MDE: minimum "
        f"detectable effect, the smallest true difference found {100 * settings.power:g} % of the time. Equivalent: "
        f"two one-sided tests within ±{METRIC.named(settings.margin, signed=False)}. With fewer than "
        f"{settings.min_seeds} seeds a model nothing is tested."
    )
