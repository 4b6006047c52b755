"""All claims in one forest plot."""

import textwrap
from typing import TYPE_CHECKING

from cnntention.config.claims import COUNTED
from cnntention.report import numbers, theme
from cnntention.report.catalogue import claimed, figure
from cnntention.results.words import Verdict

if TYPE_CHECKING:
    import pandas as pd

    from cnntention.report.reading import Results

LINE, GAP, AXIS = 0.18, 0.12, 0.52  # inches: a line of text or a test; between claims; an axis with its label
WIDTH, LEFT, RIGHT = 10.4, 0.6, 0.89  # inches; the axes' sides as shares of it
WRAP = 58
POINTS = "percentage points"


@figure("claims", "All claims that were tested", claimed)
def claims(results: "Results", _: str = ""):
    """A panel a unit, a block a claim, a row a test: effect, interval and verdict."""
    told = results.frames["claims"]
    told = told[told["verdict"] != Verdict.NOT_RUN]
    groups: dict[tuple, list] = {}
    for _, claim in told.iterrows():
        tests = results.tests_of(claim["claim"])
        shown = tests[tests["effect"].notna()]
        if len(shown):
            unit = numbers.unit(claim["metric"])
            counted = claim["metric"] in COUNTED or unit.difference != " points"
            name = f"{unit.name},{unit.difference}" if unit.scale else unit.name
            groups.setdefault(name if counted else POINTS, []).append((claim, shown))
    if not groups:
        sheet = theme.canvas(5, 0.8)
        sheet.text(0.5, 0.5, "No claim was tested.", ha="center", va="center")
        return sheet, "No claim was tested."
    heights = [sum(height(*entry) for entry in entries) for entries in groups.values()]
    sheet = theme.canvas(WIDTH, sum(heights) + AXIS * len(heights), layout="none")
    full, top = sheet.get_figheight(), 0.05
    for (unit, entries), high in zip(groups.items(), heights, strict=True):
        axes = sheet.add_axes((LEFT, 1 - (top + high) / full, RIGHT - LEFT, high / full))
        top += high + AXIS
        panel(axes, entries, high)
        if unit == POINTS:
            axes.set_xscale("symlog", linthresh=1)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.set_xlabel(f"Difference, {unit}", fontsize=8.5)
    return sheet, (
        "Each mark is one test: the difference, with its 95 % interval if it has any, its colour and shape the verdict."
        " Right of 0, the first named is larger."
        + " Percentage points are on a logarithmic axis beyond ±1."
        * (POINTS in groups)
    )


def height(claim: "pd.Series", tests: "pd.DataFrame") -> float:
    """Inches of a claim's block."""
    return LINE * max(len(tests), len(lines(claim))) + GAP


def lines(claim: "pd.Series") -> list[str]:
    return [theme.verbatim(line) for line in textwrap.wrap(f"{claim['claim']}: {claim['sentence']}", WRAP)]


def panel(axes, entries: list, full: float) -> None:
    """The claims of one unit, from the top down; y in inches."""
    from cnntention.report.wording import compared

    top, place, page = GAP / 2, ("axes fraction", "data"), ("figure fraction", "data")
    for claim, tests in entries:
        for i, text in enumerate(lines(claim)):
            axes.annotate(text, (0.005, top + LINE * (i + 0.5)), xycoords=page, va="center", fontsize=8.5)
        for i, (_, test) in enumerate(tests.iterrows()):
            y = top + LINE * (i + 0.5)
            mark(axes, y, test)
            text = textwrap.shorten(compared(test), 52, placeholder=" …")
            axes.annotate(text, (-0.02, y), xycoords=place, va="center", ha="right", fontsize=7.5, color=theme.GREY)
            colour, said = theme.COLOURS[test["verdict"]], f"{theme.MARKS[test['verdict']]} {test['verdict']}"
            axes.annotate(said, (1.02, y), xycoords=place, va="center", fontsize=8, color=colour)
        top += height(claim, tests)
        axes.axhline(
            top - GAP / 2, color=theme.PALE, linewidth=0.6, xmin=-LEFT / (RIGHT - LEFT), xmax=1.4, clip_on=False
        )
    axes.axvline(0, color=theme.GREY, linewidth=1)
    axes.set_ylim(full, 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)


def mark(axes, y: float, test: "pd.Series") -> None:
    colour, marker = theme.COLOURS[test["verdict"]], theme.SHAPES[test["verdict"]]
    factor = numbers.unit(test["metric"]).of_difference
    if numbers.known(test["low"], test["high"]):
        ends = [factor * test[end] for end in ("low", "high")]
        axes.plot(ends, [y, y], color=colour, linewidth=1.6, solid_capstyle="round")
    axes.plot([factor * test["effect"]], [y], marker=marker, color=colour, markersize=6, markeredgecolor="white")
