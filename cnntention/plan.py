"""The configuration of a call of the workflow, as a file that no edit changes."""

import os
from pathlib import Path

from cnntention.config import Study, digest, load
from cnntention.files import write_text

FROZEN = "CNNTENTION_CONFIG"


def freeze(study: Study) -> str:
    """Write the resolved configuration under a name that is its content, so that a running job never sees an edit."""
    text = study.model_dump_json()
    path = Path(".snakemake/config") / f"{digest(text)}.json"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)
    os.environ[FROZEN] = str(path)  # for the jobs of a cluster
    return str(path)


def frozen() -> Study:
    """The configuration of the workflow that submitted this job: a cluster's job plans again, maybe hours later."""
    return load([os.environ[FROZEN]])
