"""What has been found so far, and how far the steps after training are."""

import statistics
from dataclasses import dataclass

from cnntention.config import Study
from cnntention.status import places
from cnntention.status.logs import Failure, error_in
from cnntention.status.runs import RunStatus


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy of one dataset x model x recipe over the seeds that have been scored."""

    dataset: str
    model: str
    recipe: str
    values: tuple[float, ...]
    runs: int
    """As many as the experiment asks for."""

    @property
    def mean(self) -> float | None:
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Sample standard deviation over seeds."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Findings:
    """An experiment's rows, in the order of its grids."""

    experiment: str
    question: str
    rows: tuple[Accuracy, ...]

    @property
    def any(self) -> bool:
        return any(row.values for row in self.rows)


def found(study: Study, statuses: list[RunStatus]) -> list[Findings]:
    """Test accuracies by experiment."""
    top1 = {status.run: status.top1 for status in statuses}
    findings = []
    for name in study.study.experiments:
        runs, rows = study.runs_of(name), []
        for dataset, model, recipe in study.cells(name):
            of_cell = [run for run in runs if (run.dataset, run.model, run.recipe) == (dataset, model, recipe)]
            values = tuple(top1[run] for run in of_cell if top1[run] is not None)
            rows.append(Accuracy(dataset, model, recipe, values, len(of_cell)))
        findings.append(Findings(name, study.experiments[name].question, tuple(rows)))
    return findings


@dataclass(frozen=True)
class Later:
    """What comes after the trainings, and what else failed."""

    done: dict[str, int]
    """evaluation, diagnosis, explanation -> runs that it is done for."""
    report: bool
    failures: tuple[Failure, ...]
    """Of datasets and of the study; those of runs are in their status."""


def later(study: Study, statuses: list[RunStatus]) -> Later:
    done = {kind: sum(kind in status.examined for status in statuses) for kind in places.EXAMINATION}
    failures = []
    for job in places.jobs(study):
        if not job.made.exists() and (reason := error_in(job.log)):
            failures.append(Failure(job.step, job.name, reason, job.log))
    return Later(done, places.report(study).exists(), tuple(failures))
