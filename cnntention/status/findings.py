"""What has been found so far, and which jobs other than trainings are done or failed."""

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
    """The jobs other than trainings: how many of each step are done, of how many; and the failed ones."""

    done: dict[str, tuple[int, int]]
    report: bool
    failures: tuple[Failure, ...]
    """But for those of runs, which their own status has."""

    @property
    def complete(self) -> bool:
        return self.report and all(made == asked for made, asked in self.done.values())


def later(study: Study) -> Later:
    done = dict.fromkeys(places.STEPS, (0, 0))
    failures = []
    for job in places.jobs(study):
        exists = job.made.exists()
        if job.step in done:
            made, asked = done[job.step]
            done[job.step] = (made + exists, asked + 1)
        elif not exists and (reason := error_in(job.log)):
            failures.append(Failure(job.step, job.name, reason, job.log))
    return Later(done, places.report(study).exists(), tuple(failures))
