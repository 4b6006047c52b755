"""The examine step: evaluate, diagnose and explain one run in one process, as far as that is not done yet."""

from pathlib import Path

from cnntention.config import Run, Study
from cnntention.evaluation.command import evaluate_run
from cnntention.evaluation.diagnose import diagnose_run
from cnntention.explanation.command import explain_run
from cnntention.plan import EXAMINATION, Plan
from cnntention.storage import open_run

STEPS = {"evaluation": evaluate_run, "diagnosis": diagnose_run, "explanation": explain_run}


def examine_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Make what is missing of the three steps' files in the run's folder, or was made of other weights or settings."""
    opened, plan = open_run(study, run, threads, device_name), Plan(study)
    for name, step in STEPS.items():
        missing = not all(Path(run.folder, file).exists() for file in EXAMINATION[name])
        if missing or plan.stale(run.folder, name):
            step(study, run, opened)
