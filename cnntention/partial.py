"""What to do when a study ends with failures: say what failed, and report the runs that are there."""

from collections.abc import Collection
from pathlib import Path

from cnntention.config import Run, Study
from cnntention.config.claims import Cell
from cnntention.config.experiments import Grid
from cnntention.judging.judge import judge_study
from cnntention.judging.looks import holds
from cnntention.report.page import write_report
from cnntention.results import paths
from cnntention.results.gather import write_tables
from cnntention.results.looks import latest
from cnntention.status.runs import Phase, failures, look_at


def report_what_is_there(study: Study) -> None:
    """Print each failure with its log; make the report of the study without the runs that are missing, and link it."""
    study = latest(study)
    statuses = look_at(study)
    failed = failures(study, statuses)
    for failure in failed:
        print(f"FAILED {failure.step} {failure.name}: {failure.reason} (log: {failure.log})")
    examined = {status.run for status in statuses if status.examined}
    if not examined or len(examined) == len(statuses):
        return
    why = {failure.name: failure.reason for failure in failed}
    missing = []
    for status in statuses:
        if not status.examined:
            missing.append(f"{status.run.name} ({why.get(status.run.name) or left(status.phase)})")
    kept = reduced(study, examined)
    folder = Path(paths.study_folder(kept))
    write_tables(kept, folder / "tables", whole=study, missing=missing)
    judge_study(kept, folder / "tables", folder / "verdicts", whole=study)
    write_report(folder / "tables", folder / "verdicts", folder / "report")
    paths.point(folder)
    page = f"results/{study.study.name}/report/index.html"
    print(f"{len(examined)} of {len(statuses)} runs are there; {page} is of them.")


def reduced(study: Study, kept: Collection[Run]) -> Study:
    """The study with these of its runs alone."""
    experiments = {}
    for name in study.study.experiments:
        if study.experiments[name].tuning and not set(study.runs_of(name)) <= set(kept):
            continue  # nothing can be said of the best trials as long as there may be better ones
        seeds: dict[tuple[str, str, str], list[int]] = {}
        for run in study.runs_of(name):
            if run in kept:
                seeds.setdefault((run.dataset, run.model, run.recipe), []).append(run.seed)
        if study.experiments[name].tuning:
            experiments[name] = study.experiments[name]
        elif seeds:
            seeds = {cell: of_a_look(study, name, cell, there) for cell, there in seeds.items()}
            grid = [Grid(datasets=d, models=m, recipes=r, seeds=of) for (d, m, r), of in seeds.items()]
            experiments[name] = study.experiments[name].model_copy(update={"grid": tuple(grid)})
    info = study.study.model_copy(update={"experiments": tuple(experiments)})
    return study.model_copy(update={"study": info, "experiments": study.experiments | experiments, "reached": {}})


def of_a_look(study: Study, experiment: str, cell: Cell, there: list[int]) -> list[int]:
    """Of a cell's seeds those of its last complete look: to judge more, before the next is complete, would be a look
    that the levels do not allow for."""
    grids = [grid for grid in study.experiments[experiment].grid if holds(study, experiment, grid, cell)]
    if all(isinstance(grid.seeds, tuple) for grid in grids):
        return there
    looks = study.statistics.sequential.looks
    complete = [look for look in looks if set(range(look)) <= set(there)]
    return there[: complete[-1] if complete else looks[0] - 1]


def left(phase: Phase) -> str:
    return "not examined" if phase is Phase.DONE else str(phase)
