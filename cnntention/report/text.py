"""Numbers as text, and the sentences that are computed from the tables. No result is typed by hand here."""

from dataclasses import dataclass
from urllib.parse import urlparse

import pandas as pd

from cnntention.config import Model, Recipe, Study

# What the authors of a dataset published, by the name it has in config.yaml: SHA-256 of the files.
AUTHORS_ARCHIVES = {
    "cifar10": {"c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    "mnist": {
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
}
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
        return "one seed" if low == 1 else f"n = {low} seeds"
    return f"n = {low} to {high} seeds"


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
    def apart(self) -> bool:
        """Whether every seed lies on one side of every seed of the baseline; two seeds each at least."""
        few = min(self.cell["n"], self.baseline["n"]) < 2
        a, b = self.cell, self.baseline
        return not few and bool(a["min"] > b["max"] or a["max"] < b["min"])

    @property
    def ranges(self) -> str:
        if min(self.cell["n"], self.baseline["n"]) < 2:
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
    total, extremes = len(differences), (points(min(differences)), points(max(differences)))
    spread = f"by {extremes[0]} points" if total == 1 else f"from {extremes[0]} to {extremes[1]} points"
    first = (
        f"Mean test accuracy differs from the baseline’s {spread}: above it in {above} and below it in {below} of "
        f"{plural(total, 'comparison')}; in {sum(c.apart for c in once)} the seeds’ ranges do not overlap."
    )
    counts = pd.Series([n for c in once for n in (c.cell["n"], c.baseline["n"])])
    return [first, hedge(counts)]


def hedge(counts: pd.Series) -> str:
    """What so many seeds allow to be said."""
    few = " (too few to infer from)" if counts.min() < FEW_SEEDS else ""
    head = f"{seeds(counts)} per model{few}"
    return f"{head[0].upper() if head.startswith('one') else head[0]}{head[1:]}: no test is made; differences are descriptive."


def findings(found: list[Comparison]) -> list[dict]:
    """For each dataset and recipe: the baseline, and each model's difference from it."""
    groups: dict[tuple, list[Comparison]] = {}
    for c in found:
        groups.setdefault((c.cell["dataset"], c.cell["recipe"], c.baseline["model"]), []).append(c)
    items = []
    for (dataset, recipe, _), group in groups.items():
        base = group[0].baseline
        text = f"{base['model']} reaches {score(base)} % (n = {base['n']})"
        parts = [
            f"{c.cell['model']} {points(c.cell['difference'])} points "
            f"({score(c.cell)} %, n = {c.cell['n']}; {said(c)})"
            for c in group
        ]
        items.append({"where": f"{dataset}, recipe {recipe}", "text": f"{text}; {'; '.join(parts)}."})
    return items


def said(comparison: Comparison) -> str:
    return "seeds’ ranges overlap" if comparison.ranges == "overlap" else comparison.ranges


# --- data, recipes, models in words -----------------------------------------------------------------------------


def place(url: str) -> str:
    """A source without what it would tell of somebody's folders: the file's name and the host, or that it is local."""
    parsed = urlparse(url)
    name = parsed.path.rsplit("/", 1)[-1] or url
    return f"{name} ({parsed.hostname or 'local copy'})"


def source(row: pd.Series) -> str:
    """A dataset's source in one phrase, with the start of its first hash."""
    if pd.isna(row["source_sha256"]):
        return f"generated by this project, key {row['key']}"
    places, hashes = row["source"].split("; "), row["source_sha256"].split("; ")
    more = f" and {plural(len(places) - 1, 'more file')}" if len(places) > 1 else ""
    return f"{place(places[0])}{more}, SHA-256 {hashes[0][:8]}…"


def source_check(row: pd.Series) -> str:
    """Whether a dataset that bears a known name is made of its authors' files."""
    if pd.isna(row["source_sha256"]):
        return "generated"
    known = AUTHORS_ARCHIVES.get(row["dataset"])
    if known is None:
        return "no reference hash known"
    return "its authors’ files" if set(row["source_sha256"].split("; ")) == known else "not its authors’ files"


def recipe(value: Recipe) -> str:
    """A way of training in one sentence."""
    optimizer, schedule = value.optimizer, value.schedule
    parts = [f"{plural(value.epochs, 'epoch')} of batches of {value.batch_size}"]
    momentum = f", {'Nesterov ' if optimizer.nesterov else ''}momentum {optimizer.momentum:g}"
    betas = f", betas {optimizer.betas[0]:g} and {optimizer.betas[1]:g}"
    parts.append(
        f"{optimizer.name} at learning rate {optimizer.lr:g}{momentum if optimizer.name == 'sgd' else betas}"
    )
    exempt = f" (not on {listing(list(optimizer.decay_exempt))})" if optimizer.decay_exempt else ""
    parts.append(f"weight decay {optimizer.weight_decay:g}{exempt}")
    steps = f" ×{schedule.gamma:g} after epochs {listing([str(m) for m in schedule.milestones])}"
    parts.append(f"{schedule.name}{steps if schedule.milestones else ''}")
    parts += [f"warm-up {plural(int(schedule.warmup_epochs), 'epoch')}"] if schedule.warmup_epochs else []
    parts += [f"label smoothing {value.label_smoothing:g}"] if value.label_smoothing else []
    return "; ".join([*parts, value.precision])


def model(value: Model) -> str:
    """A network in one sentence."""
    modules = []
    for stage, options in value.modules.items():
        ungated = set() if getattr(options, "residual", "gated") == "gated" else {"gate_init", "gate_learned"}
        settings = options.model_dump(mode="json", exclude={"kind", *ungated})
        shown = ", ".join(f"{k.replace('_', ' ')} {'auto' if v is None else v}" for k, v in settings.items())
        modules.append(f"{options.kind} after {stage} ({shown})")
    return f"ResNet-{value.depth}, width {value.width}; {'; '.join(modules) or 'no attention'}"
