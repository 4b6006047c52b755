"""The examine step: evaluate, diagnose and explain one run in one process, as far as that is not done yet."""

from pathlib import Path

from cnntention.config import Run, Study
from cnntention.evaluation.command import evaluate_run
from cnntention.evaluation.diagnose import diagnose_run
from cnntention.explanation.command import explain_run
from cnntention.plan import EXAMINATION
from cnntention.storage import open_run

STEPS = {"evaluation": evaluate_run, "diagnosis": diagnose_run, "explanation": explain_run}


def examine_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Make what is missing of the three steps' files in the run's folder."""
    opened = open_run(study, run, threads, device_name)
    for name, step in STEPS.items():
        if not all(Path(run.folder, file).exists() for file in EXAMINATION[name]):
            step(study, run, opened)
