"""Numbers as text: what a reader sees of a value, its unit, an interval or a test."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


def number(value: float, digits: int = 2) -> str:
    """Fixed decimals, a real minus sign, a dash where there is no number."""
    return "–" if pd.isna(value) else f"{value:,.{digits}f}".replace("-", "−")


def percent(share: float, digits: int = 2) -> str:
    return number(100 * share, digits)


def signed(value: float, digits: int = 2) -> str:
    return "–" if pd.isna(value) else f"{value:+,.{digits}f}".replace("-", "−")


def points(difference: float) -> str:
    """A signed difference of shares, in percentage points."""
    return signed(100 * difference)


def score(row: pd.Series) -> str:
    """Mean ± sample sd, %, or the one value there is."""
    mean = percent(row["mean"])
    return f"{mean} ± {percent(row['sd'])}" if row["n"] > 1 else f"{mean} (one seed)"


def scored(row: pd.Series) -> str:
    """The score in a sentence."""
    return f"{score(row)} %" if row["n"] > 1 else f"{percent(row['mean'])} % (one seed)"


def span(low: float, high: float) -> str:
    return f"{percent(low)}–{percent(high)}"


def spread(values: pd.Series, digits: int = 2) -> str:
    """Mean and range of what there is: 0.31 (0.20–0.42)."""
    known = values.dropna()
    if known.empty:
        return "–"
    low, high = number(known.min(), digits), number(known.max(), digits)
    between = " to " if low.startswith("−") else "–"
    return number(known.mean(), digits) + (f" ({low}{between}{high})" if low != high else "")


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


def code(runs: pd.DataFrame) -> str:
    """The commits that made the runs; the version is raised whenever training gives other results."""
    commits, versions = (distinct(runs[column]) for column in ("commit", "version"))
    word = "commit" if len(commits) == 1 else "commits"
    return f"{word} {listing(commits)}; training version {listing(versions)}{' in all' if len(commits) > 1 else ''}"


def mean_sd(values: pd.Series) -> str:
    """Of shares, in per cent."""
    known = values.dropna()
    if known.empty:
        return "–"
    return percent(known.mean()) + (f" ± {percent(known.std(ddof=1))}" if len(known) > 1 else "")


def share(count: int, total: int) -> str:
    return f"{count}/{total}"


# --- tests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Unit:
    """How values of a metric are written: times `factor`, with so many digits, `name` after a difference."""

    factor: float = 1
    digits: int = 3
    name: str = ""
    level: str = ""
    """After a value that is no difference."""

    def value(self, value: float | None) -> str:
        return number(np.nan if value is None else self.factor * value, self.digits) + self.level

    def difference(self, value: float | None) -> str:
        return signed(np.nan if value is None else self.factor * value, self.digits)

    def interval(self, ends: tuple[float, float] | None) -> str:
        return "–" if ends is None or any(map(pd.isna, ends)) else " to ".join(map(self.difference, ends))

    def detectable(self, value: float | None) -> str:
        """A minimum detectable effect; of shares, all beyond 100 points is one: nothing could have been seen."""
        if value is None or pd.isna(value):
            return "–"
        shown = "over 100" if self.factor == 100 and value > 1 else number(self.factor * value, self.digits)
        return shown + (" points" if self.factor == 100 else "")

    def named(self, value: float | None, signed: bool = True) -> str:
        """A difference with its unit, or its size alone."""
        size = np.nan if value is None else self.factor * value
        return f"{self.difference(value) if signed else number(size, self.digits)} {self.name}".rstrip()


POINTS = Unit(100, 2, "points", " %")
UNITS = {
    "macs": Unit(1e-6, 2, "million MACs", " million MACs"),
    "parameters": Unit(1, 0, "parameters", " parameters"),
    "epochs_to_reach": Unit(1, 1, "epochs", " epochs"),
    "learning_area": Unit(100, 2, "points of the mean accuracy over epochs", " %"),
    "solved": Unit(100, 0, "points of the runs that solve it", " % of the runs"),
    "top2": Unit(100, 2, "points of the top-2 accuracy", " %"),
    "ece": Unit(100, 2, "points of the calibration error", " %"),
    "nll": Unit(name="nats"),
    "brier": Unit(name="in the Brier score"),
    "cam_mass": Unit(100, 2, "points of the Grad-CAM mass on the region", " % of the mass"),
    "cam_auc": Unit(name="in the AUC of the Grad-CAM map"),
    "road": Unit(name="in ROAD"),
    "lookup": Unit(name="times uniform attention, on the other place, mean over heads of the best module"),
    "training_step_ratio": Unit(1, 2, "times the base model’s training step", " × the base model’s training step"),
    # of attention modules, mean over a run's
    "relative_change": Unit(name="in the relative change of the features, mean over modules"),
    "entropy": Unit(name="in the normalized entropy of attention, mean over modules"),
    "effective_heads": Unit(1, 2, "effective heads, mean over modules", " effective heads"),
    "head_diversity": Unit(name="bits between heads, mean over modules", level=" bits"),
}


def unit(metric: str) -> Unit:
    """How a metric of the tables is written; of a name that is not known, the name itself."""
    if metric in UNITS:
        return UNITS[metric]
    if "accuracy" in metric or metric.startswith("front_"):
        return POINTS
    if metric.endswith("_ms"):
        return Unit(1, 2, "ms", " ms")
    if metric.endswith("_bytes"):
        return Unit(2**-20, 2, "MiB", " MiB")
    if metric.startswith("norm_"):
        return Unit(name=f"in the L2 norm of the {metric.removeprefix('norm_')} weights, mean over modules")
    return Unit(name=f"in {metric.replace('_', ' ')}")


def p_value(p: float | None) -> str:
    """0.034, or < 0.001."""
    return "–" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def equals(p: float | None) -> str:
    """= 0.034, or < 0.001: after a p in a sentence."""
    shown = p_value(p)
    return shown if shown.startswith("<") else f"= {shown}"


def seeds_of(counts: list[int]) -> str:
    """n = 5, or n = 5 and 3."""
    return f"n\u00a0=\u00a0{listing([str(n) for n in (counts[:1] if len(set(counts)) == 1 else counts)])}"
