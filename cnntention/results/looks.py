"""Looks at a study whose seeds depend on its verdicts: what each decided, and the study as it was at each."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from cnntention.config import Study
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.rows import Record
from cnntention.results.words import Settled

FILE = "look.json"


class Look(Record):
    """verdicts/look.json: what follows from a look at a study."""

    number: int
    """1 for the first."""
    claims: dict[str, float]
    """The open claims that more seeds could decide, and the hours of a core or GPU that each one's next look costs."""
    spent: float
    """Hours that all runs so far took."""
    price: float
    """Hours that the seeds in `reached` will take."""
    reached: dict[str, int]
    """Of each dataset/model/recipe that gets more seeds, and of those that did before, how many. Empty at the end."""
    ended: Settled | None

    @classmethod
    def of(cls, study: Study) -> Self | None:
        """Of the study as it is at a look; None if that has not been taken."""
        path = Path(paths.study_folder(study), "verdicts", FILE)
        return cls.read(path) if path.exists() else None


def chain(study: Study) -> Iterator[Study]:
    """The study at its first look, and at each further one that the looks before it led to."""
    at: Study | None = study.model_copy(update={"reached": {}})
    while at:
        yield at
        look = Look.of(at) if at.adaptive else None
        if look and look.reached and look.reached == at.reached:
            raise UserError(f"{paths.study_folder(at)}/verdicts/{FILE}: leads to itself; delete the folder.")
        at = at.model_copy(update={"reached": look.reached}) if look and look.reached else None


def latest(study: Study) -> Study:
    """The study as far as its looks have led."""
    *_, last = chain(study)
    return last


def before(study: Study) -> list[Study]:
    """The study at the looks that led to this one, in order; none if it is the first."""
    found: list[Study] = []
    if study.reached:
        for at in chain(study):
            if at.reached == study.reached:
                return found
            found.append(at)
    return []
