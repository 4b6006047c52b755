"""The examine step: evaluate, diagnose and explain one run in one process."""

from cnntention.config import Run, Study
from cnntention.evaluation.command import evaluate_run
from cnntention.evaluation.diagnose import diagnose_run
from cnntention.explanation.command import explain_run
from cnntention.storage import open_run


def examine_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Write the files of the run's examination: `results.paths.EXAMINATION_FILES`."""
    opened = open_run(study, run, threads, device_name)
    for step in (evaluate_run, diagnose_run, explain_run):
        step(study, run, opened)
