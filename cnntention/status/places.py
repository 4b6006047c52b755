"""Where `status` looks: the files of runs and of the workflow's jobs. workflow/rules/ names the same paths."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cnntention import plan
from cnntention.config import Run, Study

# What examines a finished run: evaluation, diagnosis, explanation -> the first of the files that it leaves.
EXAMINATION = {kind: names[0] for kind, names in plan.EXAMINATION.items()}


def of_run(run: Run, name: str) -> Path:
    """A file in the run's folder."""
    return Path(run.folder, name)


def state(run: Run) -> Path:
    """The training state while the run is unfinished."""
    return Path("state", *Path(run.folder).parts[2:]).with_suffix(".pt")


def lock(run: Run) -> Path:
    """Held by the process that trains the run."""
    return state(run).with_suffix(".lock")


@dataclass(frozen=True)
class Job:
    """One job of the workflow for a dataset or for the study itself."""

    step: str
    name: str
    """Of the dataset or the study."""
    made: Path
    """The file that says that it is done."""
    log: Path


def jobs(study: Study) -> Iterator[Job]:
    """The jobs of datasets and of the study itself, in the order of the workflow."""
    for dataset in dict.fromkeys(run.dataset for run in study.runs()):
        yield from data_jobs(study, dataset)
    for dataset, path in plan.profiles(study).items():
        yield Job("profile", dataset, Path(path), Path(f"logs/profile/{dataset}/{Path(path).stem}.log"))
    name = study.study.name
    for step, made in (("summarise", "tables/card.json"), ("judge", "claims/claims.json")):
        yield Job(step, name, Path("results", name, made), Path(f"logs/{step}/{name}.log"))
    yield Job("report", name, report(study), Path(f"logs/report/{name}.log"))


def data_jobs(study: Study, dataset: str) -> Iterator[Job]:
    from cnntention.data.archives import raw_path

    for archive in study.datasets[dataset].source.archives.values():
        path = Path(raw_path(dataset, archive))
        yield Job("fetch", dataset, path, Path(f"logs/fetch/{dataset}/{path.name}.log"))
    folder = plan.data_folder(study, dataset)
    yield Job(
        "prepare", dataset, Path(folder, "card.json"), Path(f"logs/prepare/{Path(folder).relative_to('data')}.log")
    )


def examine_log(run: Run) -> Path:
    """The log of the job that examines the run."""
    return Path("logs/examine", *Path(run.folder).parts[2:]).with_suffix(".log")


def report(study: Study) -> Path:
    """The file that the report is done with."""
    return Path("results", study.study.name, "report/card.json")
