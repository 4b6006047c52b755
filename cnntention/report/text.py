"""Numbers as text, and the sentences that are computed from the tables. No result is typed by hand here."""

from dataclasses import dataclass

import pandas as pd

from cnntention.config import Study

FEW_SEEDS = 5  # below this the page says that n is too small to infer anything


# --- numbers ----------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 2) -> str:
    """Fixed decimals, a real minus sign, a dash where there is no number."""
    return "–" if pd.isna(value) else f"{value:,.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 2) -> str:
    return number(100 * share, digits)


def points(difference: float) -> str:
    """A signed difference of shares, in percentage points."""
    return "–" if pd.isna(difference) else f"{100 * difference:+.2f}".replace("-", "−")


def score(row: pd.Series) -> str:
    """Mean ± sample sd, %, or the one value there is."""
    mean = percent(row["mean"])
    return f"{mean} ± {percent(row['sd'])}" if row["n"] > 1 else f"{mean} (one seed)"


def scored(row: pd.Series) -> str:
    """The score in a sentence."""
    return f"{score(row)} %" if row["n"] > 1 else f"{percent(row['mean'])} % (one seed)"


def span(low: float, high: float) -> str:
    return f"{percent(low)}–{percent(high)}"


def size(count: float) -> str:
    """Bytes with a binary unit."""
    if pd.isna(count) or count == 0:
        return "–"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.3g} {unit}" if abs(count) < 1000 else f"{count:,.0f} {unit}"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def listing(parts: list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def seeds(counts: pd.Series) -> str:
    low, high = int(counts.min()), int(counts.max())
    if low == high:
        return "one seed" if low == 1 else f"n\u00a0=\u00a0{low} seeds"
    return f"n\u00a0=\u00a0{low} to {high} seeds"


def distinct(values: pd.Series) -> list[str]:
    """The different phrases in a column whose cells may hold several, in order."""
    phrases = [part for value in values.dropna().astype(str) for part in value.split("; ")]
    return list(dict.fromkeys(phrases))


# --- the answer -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A cell beside its experiment's baseline, the same dataset and recipe."""

    cell: pd.Series
    baseline: pd.Series

    @property
    def ranged(self) -> bool:
        return min(self.cell["n"], self.baseline["n"]) > 1

    @property
    def apart(self) -> bool:
        """Whether every seed lies on one side of every seed of the baseline; two seeds each at least."""
        a, b = self.cell, self.baseline
        return self.ranged and bool(a["min"] > b["max"] or a["max"] < b["min"])

    @property
    def ranges(self) -> str:
        if not self.ranged:
            return "one seed, no range"
        side = "above" if self.cell["difference"] > 0 else "below"
        return f"every seed {side}" if self.apart else "overlap"


def comparisons(study: Study, table: pd.DataFrame) -> list[Comparison]:
    """Every cell of experiments.csv that has a baseline beside it."""
    found = []
    for name, cells in table.groupby("experiment", sort=False):
        baseline = study.experiments[name].baseline
        for _, part in cells.groupby(["dataset", "recipe"], sort=False):
            base = part[part["model"] == baseline]
            others = part[part["model"] != baseline]
            if len(base):
                found += [Comparison(cell, base.iloc[0]) for _, cell in others.iterrows()]
    return found


def answer(found: list[Comparison]) -> list[str]:
    """The answer in two sentences: how the means lie to their baselines, and what that is worth."""
    where = ["dataset", "recipe", "model"]
    once = {(*(c.cell[name] for name in where), c.baseline["model"]): c for c in found}.values()
    if not once:
        return ["No experiment of this study has a model beside a baseline, so nothing is compared."]
    differences = [c.cell["difference"] for c in once]
    above, below = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    total, low, high = len(differences), points(min(differences)), points(max(differences))
    spread = f"by {low}" if total == 1 else f"by {low} to {high}"
    first = (
        f"Against its baseline, mean test accuracy is higher in {above} and lower in {below} of "
        f"{plural(total, 'comparison')}, {spread} percentage points{overlaps(list(once))}."
    )
    counts = pd.Series([n for c in once for n in (c.cell["n"], c.baseline["n"])])
    return [first, hedge(counts)]


def overlaps(found: list[Comparison]) -> str:
    """In how many comparisons the seeds' ranges overlap; nothing where no range is known."""
    known = [c for c in found if c.ranged]
    shared = sum(not c.apart for c in known)
    if not known:
        return ""
    those = "them" if len(known) == len(found) else f"the {len(known)} with two seeds or more"
    share = {0: "none", len(known): "all"}.get(shared, str(shared))
    return f"; the seeds’ ranges overlap in {share} of {those}"


def hedge(counts: pd.Series) -> str:
    """What so many seeds allow to be said."""
    few = " (too few to infer from)" if counts.min() < FEW_SEEDS else ""
    head = f"{seeds(counts)} per model{few}".replace("one seed", "One seed")
    return f"{head}: no test is made; differences are descriptive."


def findings(found: list[Comparison]) -> list[dict]:
    """For each dataset and recipe: the baseline, and a line for each model's difference from it."""
    groups: dict[tuple, list[Comparison]] = {}
    for c in found:
        groups.setdefault((c.cell["dataset"], c.cell["recipe"], c.baseline["model"]), []).append(c)
    items = []
    for (dataset, recipe, _), group in groups.items():
        base = group[0].baseline
        lines = [
            {
                "model": c.cell["model"],
                "difference": f"{points(c.cell['difference'])} points",
                "score": f"{scored(c.cell)}, n\u00a0=\u00a0{c.cell['n']}",
                "ranges": said(c),
            }
            for c in group
        ]
        against = f"against {base['model']}, {scored(base)}, n\u00a0=\u00a0{base['n']}"
        items.append({"where": f"{dataset}, recipe {recipe}", "against": against, "lines": lines})
    return items


def said(comparison: Comparison) -> str:
    return "seeds’ ranges overlap" if comparison.ranges == "overlap" else comparison.ranges
