"""What is compared: each model beside its experiment's baseline, and what the claims ask for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cnntention.config import Claim, Study
from cnntention.config.claims import FRONTS, Cell, cases, gate
from cnntention.judging import statistics
from cnntention.judging.evidence import Evidence

LOSSES = ("not-lower", "front")
"""What asks whether a is no worse than b by the margin or more."""


@dataclass(frozen=True)
class Question:
    """One test to make."""

    experiment: str
    claim: str
    """Empty for a model beside the experiment's baseline."""
    family: str
    metric: str
    expect: str
    """As in a claim; empty: a difference either way."""
    a: Cell
    b: Cell | None = None
    """Empty: a number, or a front without rivals."""
    control: tuple[Cell, Cell] | None = None
    value: float | None = None
    margin: float | None = None
    preconditions: tuple[str, ...] = ()
    gate: tuple[Cell, ...] = ()
    """Cells of a dataset that must have been learned."""
    cheaper: bool = True
    """Of a front: whether the rival is surely as cheap."""

    @property
    def cells(self) -> list[Cell]:
        return [self.a, *filter(None, [self.b]), *(self.control or ())]


def of_study(study: Study, known: Mapping[str, Evidence]) -> list[Question]:
    """All of a study: by experiment the models beside the baseline, then the claims, in the order of config.yaml."""
    asked = [question for name in known for question in of_experiment(study, name, known[name])]
    for name, claim in study.claims.items():
        if claim.experiment in known:
            asked += of_claim(study, name, claim, known[claim.experiment])
    return asked


def of_experiment(study: Study, experiment: str, evidence: Evidence) -> Iterator[Question]:
    """Each cell beside the baseline's of the same dataset and recipe."""
    for cell in study.cells(experiment):
        baseline = cell[0], study.experiments[experiment].baseline, cell[2]
        if cell != baseline and baseline in evidence.cells:
            yield beside(study, experiment, cell, baseline)


def beside(study: Study, experiment: str, cell: Cell, baseline: Cell) -> Question:
    """By test accuracy; where that is all or none, the runs that solve the task are counted."""
    family = f"{experiment}, {cell[0]}, {cell[2]}"
    if study.datasets[cell[0]].all_or_none:
        return Question(experiment, "", family, "solved", "", cell, baseline)
    return Question(experiment, "", family, "test_accuracy", "", cell, baseline, margin=study.statistics.margin)


def of_claim(study: Study, name: str, claim: Claim, evidence: Evidence) -> Iterator[Question]:
    metric = "test_accuracy" if claim.expect == "front" else claim.metric
    margin = claim.margin or (study.statistics.margin if claim.is_accuracy or claim.expect == "front" else None)
    for case in cases(claim, study.cells(claim.experiment)):
        asked = Question(
            experiment=claim.experiment,
            claim=name,
            family=claim.family or f"claims of {claim.experiment}",
            metric=metric,
            expect=claim.expect,
            a=case.a,
            b=case.b,
            control=case.control,
            value=claim.value,
            margin=margin,
            preconditions=(*claim.preconditions, "learned"),
            gate=tuple(gate(claim, study.cells(claim.experiment))),
        )
        cells = [cell for cell in study.cells(claim.experiment) if cell in evidence.cells]
        front, alpha = claim.expect == "front", study.statistics.alpha
        yield from rivals(asked, FRONTS[claim.metric], cells, evidence, alpha) if front else [asked]


def rivals(asked: Question, cost: str, cells: list[Cell], evidence: Evidence, alpha: float) -> Iterator[Question]:
    """A question for each model of the same dataset and recipe that is not surely dearer; one without if none is."""
    if asked.a not in cells:
        yield asked
        return
    dataset, model, recipe = asked.a
    none = True
    for cell in cells:
        if cell[::2] == (dataset, recipe) and cell[1] != model:
            excess = evidence.excess(cell, asked.a, cost)
            if not len(excess):
                yield replace(asked, metric=cost)  # which says that it was not measured
                return
            dearer, cheaper = statistics.surely_above_or_not(excess, alpha)
            if not dearer:
                none = False
                yield replace(asked, b=cell, cheaper=cheaper)
    if none:
        yield asked
