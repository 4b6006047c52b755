"""How figures are drawn: a colour and a marker a model and a verdict, readable without colour; no dates in files."""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from cnntention import files
from cnntention.config import Study
from cnntention.results.words import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# Okabe and Ito's colours, which colour-blind readers can tell apart; models without attention are black.
PLAIN = "#2b2b2b"
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
LINES = ("solid", (0, (5, 2)), (0, (1.2, 1.5)), (0, (5, 1.5, 1.2, 1.5)))
COLOURS = dict(zip(Verdict, ("#0072b2", "#56b4e9", "#d55e00", "#7a7a7a", "#a0a0a0", "#c0c0c0"), strict=True))
SHAPES = dict(zip(Verdict, "ohsDX.", strict=True))
MARKS = dict(zip(Verdict, "✓≈✗?∅–", strict=True))
GREY, PALE, DARK = "#6b6b6b", "#e3e3e3", "#333333"
STYLE = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": DARK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "xtick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.color": GREY,
    "ytick.labelcolor": DARK,
    "svg.fonttype": "none",  # text stays text: small, and a search sees it
}
DPI = 144


def styles(study: Study) -> dict[str, tuple[str, str]]:
    """Each model's colour and marker, the same in all figures; after the last colour the pairs change."""
    models, n, m = list(dict.fromkeys(run.model for run in study.runs())), len(PALETTE), len(MARKERS)
    plain = [model for model in models if not study.models[model].modules]
    made = {model: (PLAIN, MARKERS[i % m]) for i, model in enumerate(plain)}
    others = [model for model in models if model not in made]
    return made | {model: (PALETTE[i % n], MARKERS[(i + i // n + 1) % m]) for i, model in enumerate(others)}


def style(salt: str) -> AbstractContextManager:
    """The settings of a figure; `salt` keeps its ids apart from those of other figures of the page."""
    from matplotlib import style as matplotlib_style

    return matplotlib_style.context(["default", STYLE, {"svg.hashsalt": salt}])


def canvas(width: float, height: float, layout: str = "constrained") -> "Canvas":
    """An empty figure, inches."""
    from matplotlib.figure import Figure as Canvas

    return Canvas(figsize=(width, height), layout=layout)


def verbatim(text: str) -> str:
    """Text in which matplotlib finds no formulas."""
    return text.replace("$", r"\$")


def rows(axes, names) -> None:
    """Axes with a named row for each of 0, 1, …, from the top down."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(names), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def save(sheet: "Canvas", path: Path) -> int:
    """Write a figure; returns its width in the page, CSS px."""
    with files.atomic(path) as temporary:
        if path.suffix == ".svg":
            sheet.savefig(temporary, facecolor="white", metadata={"Date": None})
        else:
            temporary.write_bytes(palette_png(sheet))
    return round(96 * sheet.get_figwidth())


def palette_png(sheet: "Canvas") -> bytes:
    """A PNG of at most 256 colours, a third of the bytes."""
    from PIL import Image

    full, small = io.BytesIO(), io.BytesIO()
    sheet.savefig(full, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    Image.open(full).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
