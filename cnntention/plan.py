"""What the workflow needs beside paths: its configuration as a file that no edit changes, and what a job waits for."""

import os
from collections.abc import Iterable
from pathlib import Path

from cnntention.config import Study, digest, load
from cnntention.files import write_text

FROZEN = "CNNTENTION_CONFIG"


def freeze(study: Study) -> str:
    """Write the resolved configuration under a name that is its content, so that a running job never sees an edit."""
    text = study.model_dump_json()
    path = Path(".snakemake/config") / f"{digest(text)}.json"
    if not path.exists():
        write_text(path, text)
    os.environ[FROZEN] = str(path)  # for the jobs of a cluster
    return str(path)


def frozen() -> Study:
    """The configuration of the workflow that submitted this job: a cluster's job plans again, maybe hours later."""
    return load([os.environ[FROZEN]])


def still_needed(wanted: list[str], outputs: Iterable[str]) -> list[str]:
    """What a job waits for: all it wants, or, if its outputs are there, what of it is there too.

    A finished job's input may be absent, not pulled say. If it still asked for it, it would run again as soon as
    another job has that input made.
    """
    return [path for path in wanted if os.path.exists(path)] if all(map(os.path.exists, outputs)) else wanted
