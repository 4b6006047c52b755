"""The configuration of a call of the workflow, as a file that no edit changes."""

import os
from collections.abc import Iterable
from pathlib import Path

from cnntention import config
from cnntention.config import Study, digest, nearest
from cnntention.config.claims import FRONTS
from cnntention.errors import UserError
from cnntention.files import write_text
from cnntention.results.tables import METRICS, TIMES

FROZEN = "CNNTENTION_CONFIG"
DEFAULT = "config.yaml"
FOLDER = Path(".snakemake/config")


def overlaid(files: list[str]) -> list[str]:
    """The files as `snakemake --configfile` reads them: over config.yaml, unless it is the workflow's own whole one."""
    whole = DEFAULT in files or any(Path(name).parent == FOLDER for name in files)
    return files if whole or not Path(DEFAULT).exists() else [DEFAULT, *files]


def load(files: Iterable[str | Path]) -> Study:
    """The study in these files, each laid over the ones before it."""
    return checked(config.load(files))


def checked(study: Study) -> Study:
    """The study; UserError if a claim's metric is no number of the tables, which `config` does not know."""
    for name, claim in study.claims.items():
        if claim.metric not in (*METRICS, *FRONTS):
            hint = nearest(claim.metric, (*METRICS, *FRONTS))
            raise UserError(f"configuration: claims.{name}.metric: no claim can be about {claim.metric!r}{hint}.")
        if claim.metric in TIMES and claim.value is not None and claim.value <= 0:
            raise UserError(f"configuration: claims.{name}.value: a time is above 0 ms.")
    return study


def freeze(study: Study) -> str:
    """Write the resolved configuration under a name that is its content, so that a running job never sees an edit, and
    return its path."""
    text = study.model_dump_json()
    path = FOLDER / f"{digest(text)}.json"
    if not path.exists() or path.read_bytes() != text.encode():
        write_text(path, text)
    return str(path)


def frozen() -> Study:
    """The configuration of the workflow that submitted this job: a cluster's job plans again, maybe hours later."""
    return load([os.environ[FROZEN]])
