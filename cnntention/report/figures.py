"""The report's figures: which there are, known from the study alone, and how they are drawn from its tables.

Importing this module is cheap (the workflow does it to plan); matplotlib is loaded when something is drawn. Figures
carry no date and draw text as paths, so the same tables give the same bytes.
"""

from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from cnntention import files
from cnntention.config import Study

if TYPE_CHECKING:
    from pathlib import Path

    from cnntention.report.sources import Tables

QUESTIONS = {
    "accuracy": "How accurate?",
    "learning": "How do they learn?",
    "cost": "At what cost?",
    "looks": "Where does it look?",
}
# topic: (kind, title, format, whether each recipe has its own)
KINDS = {
    "accuracy": [("accuracy", "Test accuracy of every seed", "svg", False)],
    "learning": [
        ("validation", "Validation accuracy by epoch", "svg", True),
        ("loss", "Training loss by epoch", "svg", True),
    ],
    "cost": [
        ("macs", "Accuracy against MACs", "svg", False),
        ("time", "Accuracy against training time", "svg", False),
    ],
    "looks": [
        ("cam-predicted", "Grad-CAM, predicted class", "png", True),
        ("cam-label", "Grad-CAM, true class", "png", True),
        ("cam-stages", "Grad-CAM, stage by stage", "png", True),
    ],
}
# Okabe and Ito's colours, told apart by colour-blind readers too; the first model, the baseline, is black.
PALETTE = ("#2b2b2b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b8a800")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.edgecolor": "#6b6b6b",
    "axes.labelcolor": "#333333",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "xtick.color": "#6b6b6b",
    "xtick.labelcolor": "#333333",
    "ytick.color": "#6b6b6b",
    "ytick.labelcolor": "#333333",
    "svg.hashsalt": "cnntention",
}


@dataclass(frozen=True)
class Figure:
    """One figure of the report, as a file of its own."""

    topic: str
    kind: str
    title: str
    format: str
    dataset: str
    recipe: str
    """Empty when the figure shows all recipes."""

    @property
    def path(self) -> str:
        """Relative to the report; names hold no dot, so the dots keep them apart."""
        parts = [self.dataset, self.recipe, self.kind, self.format]
        return f"figures/{'.'.join(part for part in parts if part)}"

    @property
    def question(self) -> str:
        return QUESTIONS[self.topic]


def figure_files(study: Study) -> list[Figure]:
    """All figures of a study's report, in the page's order."""
    runs = study.runs()
    found = []
    for topic, kinds in KINDS.items():
        for dataset in dict.fromkeys(run.dataset for run in runs):
            recipes = dict.fromkeys(run.recipe for run in runs if run.dataset == dataset)
            for recipe in ["", *recipes]:
                found += [Figure(topic, *kind[:3], dataset, recipe) for kind in kinds if kind[3] == bool(recipe)]
    return found


def draw(figure: Figure, tables: "Tables", path: "Path") -> int:
    """Draw one figure into a file; returns its width at its natural size, CSS px."""
    from matplotlib import style

    from cnntention.report import cams, plots

    drawer = cams.grid if figure.topic == "looks" else getattr(plots, figure.kind)
    with style.context(["default", STYLE]), files.atomic(path) as temporary:
        sheet = drawer(figure, tables)
        undated = {"Date": None} if figure.format == "svg" else {"Software": None}
        sheet.savefig(temporary, dpi=144, facecolor="white", metadata=undated)
    return round(96 * sheet.get_figwidth())


def looks(study: Study) -> dict[str, tuple[str, str]]:
    """Each model's colour and marker, the same in all figures."""
    models = dict.fromkeys(run.model for run in study.runs())
    return dict(zip(models, cycle(zip(PALETTE, MARKERS, strict=True)), strict=False))
