"""The report's figures: which there are, known from the study alone, and how they are drawn from its tables.

Importing this module is cheap (the workflow does it to plan); matplotlib is loaded when something is drawn. Figures
carry no date and draw text as paths, so the same tables give the same bytes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnntention import files
from cnntention.config import Study
from cnntention.config.models import AttentionOptions, DotProductOptions

if TYPE_CHECKING:
    from pathlib import Path

    from cnntention.report.sources import Tables

QUESTIONS = {
    "accuracy": "How accurate?",
    "alive": "Is the attention alive?",
    "learning": "How do they learn?",
    "cost": "At what cost?",
    "looks": "Where does it look?",
}


def recipes_on(study: Study, dataset: str) -> list[str]:
    return list(dict.fromkeys(run.recipe for run in study.runs() if run.dataset == dataset))


def once(study: Study, dataset: str) -> list[str]:
    """One figure for all recipes."""
    return [""]


def first(study: Study, dataset: str) -> list[str]:
    return recipes_on(study, dataset)[:1]


def related(study: Study, dataset: str) -> list[str]:
    """Once, on a CueMatch track whose label relates two places that are near, at mid distance or far apart."""
    source = study.datasets[dataset].source
    return [""] if source.format == "cuematch" and source.track != "local" and len(source.test_distances) > 1 else []


def gated(study: Study, dataset: str) -> list[str]:
    """Once, where a model has a gate to learn."""
    own = [o for o in options_on(study, dataset) if isinstance(o, AttentionOptions)]
    return [""] if any(o.residual == "gated" and o.gate_learned for o in own) else []


def queried(study: Study, dataset: str) -> list[str]:
    """Once, where a model has queries and keys."""
    own = [o for o in options_on(study, dataset) if isinstance(o, DotProductOptions)]
    return [""] if any(o.query_key != "zero" for o in own) else []


def mapped(study: Study, dataset: str) -> tuple[str, list[str]] | None:
    """(recipe, models) of the first experiment whose models attend from place to place on a dataset: maps to show."""
    for experiment in study.study.experiments:
        cells = [(r, m) for d, m, r in study.cells(experiment) if d == dataset and looks_up(study, m)]
        if cells:
            return cells[0][0], [model for recipe, model in cells if recipe == cells[0][0]]
    return None


def options_of(study: Study, model: str) -> list:
    return [options for slot in study.models[model].modules.values() for options in slot]


def options_on(study: Study, dataset: str) -> list:
    """Of every attention module of the models that run on a dataset."""
    return [options for model in study.models_on(dataset) for options in options_of(study, model)]


def looks_up(study: Study, model: str) -> bool:
    return any(isinstance(options, DotProductOptions) for options in options_of(study, model))


# topic: (kind, title, format, the recipes that have one of their own; "" is one for all)
KINDS = {
    "accuracy": [
        ("accuracy", "Test accuracy of every seed", "svg", once),
        ("distance", "Test accuracy by distance", "svg", related),
    ],
    "alive": [
        ("gates", "Gates by epoch", "svg", gated),
        ("norms", "Norms of query, key and value by epoch", "svg", queried),
    ],
    "learning": [
        ("validation", "Accuracy by epoch", "svg", recipes_on),
        ("loss", "Training loss by epoch", "svg", recipes_on),
    ],
    "cost": [
        ("macs", "Accuracy against MACs", "svg", once),
        ("time", "Accuracy against training time", "svg", once),
    ],
    "looks": [
        ("cam-predicted", "Grad-CAM, predicted class", "png", recipes_on),
        ("cam-label", "Grad-CAM, true class", "png", first),
        ("cam-stages", "Grad-CAM, stage by stage", "png", first),
        ("attention", "Attention maps", "png", lambda study, dataset: [m[0]] if (m := mapped(study, dataset)) else []),
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
    datasets = dict.fromkeys(run.dataset for run in study.runs())
    return [
        Figure(topic, kind, title, form, dataset, recipe)
        for topic, kinds in KINDS.items()
        for dataset in datasets
        for kind, title, form, recipes in kinds
        for recipe in recipes(study, dataset)
    ]


def draw(figure: Figure, tables: "Tables", path: "Path") -> int:
    """Draw one figure into a file; returns its width at its natural size, CSS px."""
    from matplotlib import style

    from cnntention.report import attention_plots, cams, learning_plots, plots

    modules = {"gates": attention_plots, "norms": attention_plots, "attention": attention_plots}
    modules |= {"validation": learning_plots, "loss": learning_plots}
    drawer = cams.grid if figure.kind.startswith("cam-") else getattr(modules.get(figure.kind, plots), figure.kind)
    with style.context(["default", STYLE]), files.atomic(path) as temporary:
        sheet = drawer(figure, tables)
        undated = {"Date": None} if figure.format == "svg" else {"Software": None}
        sheet.savefig(temporary, dpi=144, facecolor="white", metadata=undated)
    return round(96 * sheet.get_figwidth())


def looks(study: Study) -> dict[str, tuple[str, str]]:
    """Each model's colour and marker, the same in all figures; after the last colour they pair anew."""
    models, n = dict.fromkeys(run.model for run in study.runs()), len(PALETTE)
    return {model: (PALETTE[i % n], MARKERS[(i + i // n) % n]) for i, model in enumerate(models)}
