"""The report's figures: one function each, which returns picture and caption. Importing this package draws nothing."""

from cnntention.config import Study
from cnntention.report.catalogue import KINDS, STUDY_WIDE, Figure
from cnntention.report.figures import accuracy, attention, claims, cost, learning, maps, tradeoff  # noqa: F401  they register


def figure_files(study: Study) -> list[Figure]:
    """All figures of a study's report."""
    wide = [Figure(KINDS[name], "") for name in STUDY_WIDE if KINDS[name].applies(study, "")]
    kinds = [kind for name, kind in KINDS.items() if name not in STUDY_WIDE]
    return wide + [
        Figure(kind, experiment)
        for experiment in study.study.experiments
        for kind in kinds
        if kind.applies(study, experiment)
    ]
