"""What to do when a study ends with failures: say what failed, and report the runs that are there."""

from pathlib import Path

from cnntention.config import Study
from cnntention.judging.judge import judge_study
from cnntention.report.page import write_report
from cnntention.results import paths
from cnntention.results.gather import write_tables
from cnntention.status.runs import Phase, failures, look_at


def report_what_is_there(study: Study) -> None:
    """Print each failure with its log; make the report of the study without the runs that are missing, and link it."""
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
    kept = study.only(examined)
    folder = Path(paths.study_folder(kept))
    write_tables(kept, folder / "tables", whole=study, missing=missing)
    judge_study(kept, folder / "tables", folder / "verdicts")
    write_report(folder / "tables", folder / "verdicts", folder / "report")
    paths.point(folder)
    page = f"results/{study.study.name}/report/index.html"
    print(f"{len(examined)} of {len(statuses)} runs are there; {page} is of them.")


def left(phase: Phase) -> str:
    return "not examined" if phase is Phase.DONE else str(phase)
