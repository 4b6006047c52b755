"""Of many attention modules, what each changes against what it costs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cnntention.report import theme
from cnntention.report.catalogue import figure, many
from cnntention.report.numbers import known

if TYPE_CHECKING:
    from cnntention.report.reading import Results
    from cnntention.report.zoo import Entry

WIDTH, HIGH, LEFT, RIGHT, TOP, BOTTOM = 9.0, 4.6, 0.6, 0.15, 0.3, 0.45  # inches, of a panel and its margins
CHARACTER, LINE, MARKER = 0.061, 0.14, 0.05  # inches: a label's letters and height, half a marker
RADII = (0.1, 0.18, 0.3, 0.45, 0.65, 0.9, 1.2, 1.6, 2.0, 2.5)  # inches from the marker to its label, tried in turn
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.6), (0.8, -0.6), (-0.8, 0.6), (-0.8, -0.6))
Box = tuple[float, float, float, float]
"""Left, right, bottom, top; inches."""


@figure("tradeoff", "Difference from the baseline, against the time of a training step", many)
def tradeoff(results: "Results", experiment: str):
    """A panel a dataset, a labelled mark a model."""
    from cnntention.report.zoo import entries

    found = {dataset: [e for e in part if drawable(e)] for dataset, part in entries(results, experiment).items()}
    baseline = results.study.experiments[experiment].baseline
    sheet = theme.canvas(WIDTH, HIGH * len(found), layout="none")
    for i, (dataset, part) in enumerate(found.items()):
        share = 1 / len(found)
        inside = (1 - LEFT / WIDTH - RIGHT / WIDTH, share * (1 - (TOP + BOTTOM) / HIGH))
        axes = sheet.add_axes((LEFT / WIDTH, 1 - share * (i + 1) + share * BOTTOM / HIGH, *inside))
        panel(axes, part)
        axes.set_title(dataset, loc="left", fontsize=9.5, weight="bold")
        axes.set_xlabel(f"Time of a training step, × that of {baseline}", fontsize=8.5)
        axes.set_ylabel(f"Difference from {baseline}, percentage points", fontsize=8.5)
    return sheet, caption(any(entry.relates for part in found.values() for entry in part))


def caption(relates: bool) -> str:
    return (
        "Each mark is a module, with the 95 % interval of its difference. Filled: used, accuracy falls without it in "
        "most runs. ↑ ↓: significant among these modules." + " Square: most runs relate two places." * relates
    )


def drawable(entry: "Entry") -> bool:
    return len(entry.tests) > 0 and known(entry.costs["training_step"], entry.tests.iloc[0]["effect"])


def panel(axes, part: "list[Entry]") -> None:
    """Marks, intervals and labels."""
    from cnntention.report.tables import MARK
    from cnntention.report.wording import outcome

    colours = {"higher": theme.PALETTE[0], "lower": theme.PALETTE[1]}
    tests, x = [entry.tests.iloc[0] for entry in part], [entry.costs["training_step"] for entry in part]
    y = [100 * test["effect"] for test in tests]
    axes.axhline(0, color=theme.GREY, linewidth=1, zorder=1)
    for entry, test, at, height in zip(part, tests, x, y, strict=True):
        colour = colours.get(outcome(test), theme.DARK)
        if known(test["low"], test["high"]):
            axes.plot([at, at], [100 * test["low"], 100 * test["high"]], color=colour, linewidth=1, alpha=0.25)
        style = {"color": colour, "markerfacecolor": colour if entry.used else "white", "markersize": 5.5}
        axes.plot([at], [height], "s" if entry.relates else "o", zorder=3, **style)
    axes.set_xscale("log")
    axes.set_xlim(0.75 * min([1, *x]), 1.25 * max([1, *x]))
    axes.set_ylim(*limits(y, tests))
    axes.xaxis.set_major_locator(ticks())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    labels = [entry.name + MARK.get(outcome(test), "") for entry, test in zip(part, tests, strict=True)]
    label(axes, labels, x, y)


def ticks():
    from matplotlib.ticker import FixedLocator

    return FixedLocator([0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100])


def limits(y: list[float], tests: list) -> tuple[float, float]:
    """Of the differences, with room round them: a wide interval is cut rather than hide the others."""
    spread = max([*y, 0]) - min([*y, 0]) or 1
    ends = [100 * test[end] for test in tests for end in ("low", "high") if known(test[end])] or [0]
    low, high = max(min(ends), min([*y, 0]) - spread / 2), min(max(ends), max([*y, 0]) + spread / 2)
    return low - 0.05 * spread, high + 0.05 * spread


def label(axes, labels: list[str], x: list[float], y: list[float]) -> None:
    """Each label at the first free place round its mark, with a line to it if it is far."""
    import math

    width, high = WIDTH - LEFT - RIGHT, HIGH - TOP - BOTTOM
    (left, right), (low, top) = axes.get_xlim(), axes.get_ylim()
    marks = [
        (width * math.log(a / left) / math.log(right / left), high * (b - low) / (top - low))
        for a, b in zip(x, y, strict=True)
    ]
    for text, mark, box in zip(labels, marks, placed(labels, marks, width, high), strict=True):
        middle = (box[0] + box[1]) / 2, (box[2] + box[3]) / 2
        near = min(max(mark[0], box[0]), box[1]), min(max(mark[1], box[2]), box[3])
        share = {"xycoords": "axes fraction", "annotation_clip": False}
        if math.dist(mark, near) > 1.5 * RADII[0]:
            line = {"arrowstyle": "-", "color": theme.GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
            ends = [(a / width, b / high) for a, b in (mark, near)]
            axes.annotate("", ends[0], ends[1], textcoords="axes fraction", arrowprops=line, **share)
        at = middle[0] / width, middle[1] / high
        axes.annotate(theme.verbatim(text), at, ha="center", va="center", fontsize=7.5, color=theme.DARK, **share)


def placed(labels: list[str], marks: list[tuple[float, float]], width: float, high: float) -> list[Box]:
    """Each label's place in a panel of that size, from the left mark to the right; inches."""
    taken: list[Box] = [(a - MARKER, a + MARKER, b - MARKER, b + MARKER) for a, b in marks]
    found = {}
    for i in sorted(range(len(marks)), key=marks.__getitem__):
        tried = list(places(marks[i], CHARACTER * len(labels[i])))
        found[i] = next((box for box in tried if fits(box, taken, width, high)), tried[0])
        taken.append(found[i])
    return [found[i] for i in range(len(marks))]


def places(mark: tuple[float, float], width: float) -> Iterator[Box]:
    """Where a label of that width may stand, from near to far."""
    for radius in RADII:
        for dx, dy in SIDES:
            a, b = mark[0] + radius * dx + dx * width / 2, mark[1] + radius * dy
            yield a - width / 2, a + width / 2, b - LINE / 2, b + LINE / 2


def fits(box: Box, taken: list[Box], width: float, high: float) -> bool:
    inside = box[0] >= 0 and box[1] <= width and box[2] >= 0 and box[3] <= high
    return inside and not any(
        box[0] < other[1] and other[0] < box[1] and box[2] < other[3] and other[2] < box[3] for other in taken
    )
