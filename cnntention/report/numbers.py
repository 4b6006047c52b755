"""Numbers as text: each metric in its unit, differences with their sign."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unit:
    """How a metric is shown: its name, a factor, and the units of a value and of a difference."""

    name: str
    factor: float = 1
    value: str = ""
    difference: str = ""
    decimals: int | None = None
    """Empty: three significant digits."""
    scale: float | None = None
    """Factor of a difference, if it is another."""

    @property
    def of_difference(self) -> float:
        return self.scale or self.factor


def share(name: str) -> Unit:
    return Unit(name, 100, " %", " points", 2)


def time(name: str) -> Unit:
    """Differences of times are shares."""
    return Unit(name, 1, " ms", " %", scale=100)


UNITS = {
    "solved": share("share of runs that solve the task"),
    "broken": share("share of runs that break down"),
    "learning_area": share("monitored accuracy, mean over epochs"),
    "front_time": share("test accuracy"),
    "front_macs": share("test accuracy"),
    "cam_mass": share("share of Grad-CAM on the region"),
    "cam_auc": Unit("AUC of Grad-CAM for the region"),
    "road": Unit("ROAD of Grad-CAM"),
    **{f"norm_{name}": Unit(f"norm of the {name} weights") for name in ("query", "key", "value")},
    "head_diversity": Unit("divergence between heads", 1, " bits", " bits"),
    "training_step_ms": time("time of a training step"),
    "inference_ms": time("inference time of a batch"),
    "latency_ms": time("latency of one image"),
    "macs": Unit("MACs", 1e-6, " M", " M"),
}


def unit(metric: str) -> Unit:
    """The unit of a column of the tables; accuracies are shares, others are shown as they are."""
    words = metric.replace("_", " ")
    return UNITS.get(metric) or (share(words) if metric.rsplit("_", 1)[-1] == "accuracy" else Unit(words))


def known(*values: Any) -> bool:
    import pandas as pd  # planning needs no numbers

    return not any(value is None or pd.isna(value) for value in values)


def digits(value: float, decimals: int | None) -> str:
    """A number with a minus sign, and no more digits than it needs."""
    if decimals is None:
        text = f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.2g}"
    else:
        text = f"{value:.{decimals}f}"
        text = text.removeprefix("-") if float(text) == 0 else text
    return text.replace("-", "−")


def value(number: Any, metric: str) -> str:
    """A value in its unit: 98.26 %."""
    of = unit(metric)
    return f"{digits(of.factor * number, of.decimals)}{of.value}" if known(number) else "–"


def bare(number: Any, metric: str) -> str:
    """The same without the unit, for a column that names it."""
    of = unit(metric)
    return digits(of.factor * number, of.decimals) if known(number) else "–"


def signed(number: float, metric: str) -> str:
    """A difference without its unit: +0.13."""
    of = unit(metric)
    text = digits(of.of_difference * number, of.decimals)
    return text if text.startswith("−") else f"+{text}"


def difference(number: Any, metric: str) -> str:
    """A difference in its unit: +0.13 points."""
    return f"{signed(number, metric)}{unit(metric).difference}" if known(number) else "–"


def size(number: Any, metric: str) -> str:
    """A difference without its sign: 0.13 points."""
    of = unit(metric)
    return f"{digits(abs(of.of_difference * number), of.decimals)}{of.difference}" if known(number) else "–"


def interval(low: Any, high: Any, metric: str) -> str:
    return f"[{signed(low, metric)}, {signed(high, metric)}]" if known(low, high) else ""


def p_value(p: Any) -> str:
    if not known(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def spread(mean: Any, sd: Any, metric: str) -> str:
    """Mean ± sd without the unit."""
    return bare(mean, metric) + (f" ± {bare(sd, metric)}" if known(sd) else "")


def counted(ones: int, n: int, low: float, high: float) -> str:
    """A count with the 95 % interval of its share: 6 of 7 [42, 100] %."""
    return f"{ones} of {n} [{100 * low:.0f}, {100 * high:.0f}] %"


def count(number: int, word: str, plural: str = "") -> str:
    return f"{number:,} {word if number == 1 else plural or f'{word}s'}"


def listing(names: Iterable[Any], last: str = "and") -> str:
    """a, b and c; each once."""
    parts = list(dict.fromkeys(map(str, names)))
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}" if parts else ""


def between(values: Iterable[Any]) -> str:
    """2–3, or 3 if all are equal."""
    numbers = sorted({v for v in values if known(v)})
    return "–".join(map(str, dict.fromkeys((numbers[0], numbers[-1])))) if numbers else "none"
