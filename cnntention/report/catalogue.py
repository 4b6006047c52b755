"""Which figures a report has, known from the study alone: the workflow lists them before anything is drawn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnntention.config import Study
from cnntention.config.attention import DotProductOptions

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

QUESTIONS = {
    "claims": "Which claims hold?",
    "accuracy": "How accurate?",
    "alive": "Is the attention alive, and used?",
    "learning": "How do they learn?",
    "maps": "Where do they look?",
    "cost": "At what cost?",
    "tradeoff": "At what cost?",
}
STUDY_WIDE = ("claims", "cost")
MANY = 8
"""Models with attention."""
MODULE_METRICS = ("gate", "relative_change", "norm_query", "norm_key", "norm_value")


@dataclass(frozen=True)
class Kind:
    """A kind of figure: drawn once a study, or once an experiment to which it applies."""

    name: str
    topic: str
    title: str
    format: str
    applies: Callable[[Study, str], bool]
    draw: Callable[[Any, str], tuple["Canvas", str]]
    """(results, experiment) -> picture and caption."""


@dataclass(frozen=True)
class Figure:
    """One figure of one report."""

    kind: Kind
    experiment: str
    """Empty: of the whole study."""

    @property
    def path(self) -> str:
        """Relative to the report's folder."""
        name = ".".join(filter(None, (self.experiment, self.kind.name)))
        return f"figures/{name}.{self.kind.format}"

    @property
    def topic(self) -> str:
        return self.kind.topic

    @property
    def category(self) -> str:
        """The reader's question that it answers."""
        return QUESTIONS[self.topic]

    @property
    def title(self) -> str:
        return self.kind.title

    @property
    def labels(self) -> dict[str, str]:
        """As `snakemake --report` shows them."""
        return {"figure": self.title, "experiment": self.experiment or "all"}


KINDS: dict[str, Kind] = {}


def figure(topic: str, title: str, applies: Callable[[Study, str], bool], form: str = "svg") -> Callable:
    """Register a function that draws a kind of figure; its name is the kind's."""

    def register(draw: Callable) -> Callable:
        KINDS[draw.__name__] = Kind(draw.__name__, topic, title, form, applies, draw)
        return draw

    return register


def always(study: Study, experiment: str) -> bool:
    return True


def options(study: Study, experiment: str) -> list:
    """Of every attention module in the experiment's models."""
    models = dict.fromkeys(model for _, model, _ in study.cells(experiment))
    return [option for model in models for slot in study.models[model].modules.values() for option in slot]


def many(study: Study, experiment: str) -> bool:
    """Whether it compares so many models with attention to a baseline that they are told by what they cost."""
    models = {model for _, model, _ in study.cells(experiment) if study.models[model].modules}
    return study.experiments[experiment].baseline is not None and len(models) >= MANY


def attends(study: Study, experiment: str) -> bool:
    return bool(options(study, experiment))


def has_history(study: Study, experiment: str) -> bool:
    """Whether a module has queries or a gate, whose course over the epochs is recorded."""
    gated = any(getattr(option, "residual", "") == "gated" for option in options(study, experiment))
    return gated or looks_up(study, experiment)


def looks_up(study: Study, experiment: str) -> bool:
    return any(isinstance(option, DotProductOptions) for option in options(study, experiment))


def claimed(study: Study, _: str = "") -> bool:
    """Whether a claim asks for an experiment that the study runs."""
    return any(claim.experiment in study.study.experiments for claim in study.claims.values())


def asks_for_life(study: Study, experiment: str) -> bool:
    """Whether an experiment asks if attention stays alive, rather than how accurate the models are."""
    metrics = [claim.metric for claim in study.claims.values() if claim.experiment == experiment]
    return study.experiments[experiment].baseline is None and any(metric in MODULE_METRICS for metric in metrics)
