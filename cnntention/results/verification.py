"""verify.json: what `cnntention verify` found. The report shows it; knows no torch."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from cnntention import files
from cnntention.results.rows import Record


class Outcome(StrEnum):
    """What came out when a run was trained and examined again."""

    IDENTICAL = "identical"
    CLOSE = "within the tolerance"
    """On another machine, or with other versions: the test accuracy differs by no more than the tolerance."""
    DIFFERENT = "different"


class Repeat(Record):
    """A run, trained and examined again."""

    run: str
    outcome: Outcome
    same_weights: bool | None
    """Whether the weights' SHA-256 is the recorded one; empty if none is recorded."""
    first_epoch: int | None
    """The first epoch whose row of history.csv differs in more than times and speeds."""
    loss_difference: float
    """The largest absolute difference over all epochs, training and validation."""
    accuracy_difference: float
    """The same of accuracies; a share."""
    test_difference: float
    """Test accuracy now, less the recorded one."""
    tolerance: float
    """What `test_difference` may be where bytes are not promised."""
    metrics: dict[str, tuple[float | None, float | None]]
    """The scores that differ: recorded, now."""
    files: list[str]
    """Files of the examination with other bytes, where the weights are the same."""
    machine: dict[str, tuple[str | None, str | None]]
    """What differs of code, libraries and hardware: recorded, now."""
    promised: bool
    """Whether the same bytes are promised: nothing differs that may change them."""


class Verification(Record):
    """results/studies/<study>/<key>/verify.json."""

    study: str
    key: str
    tables_sha256: str | None
    """Of tables/card.json when it was verified: of other tables it says nothing. Empty if there were none."""
    right: int
    """Recorded hashes that hold."""
    absent: list[str]
    """Files of the study that are not here."""
    wrong: dict[str, str]
    """File -> why it is not what is recorded."""
    seed: int
    """Of the choice of runs."""
    runs: int
    """Finished runs to choose from, whose files and data were here."""
    repeats: list[Repeat]
    made: str
    provenance: dict[str, Any]
    """The code, libraries and machine."""

    @property
    def holds(self) -> bool:
        return not self.wrong and all(repeat.outcome is not Outcome.DIFFERENT for repeat in self.repeats)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        text = f"{self.right:,} recorded hashes hold, {len(self.absent):,} files absent, {len(self.wrong):,} wrong"
        again = len(self.repeats)
        if again:
            outcomes = [repeat.outcome for repeat in self.repeats]
            ended = ", ".join(f"{outcomes.count(kind)} {kind}" for kind in Outcome if kind in outcomes)
            text += f"; {again} of {self.runs} runs trained again: {ended}"
        return text

    @classmethod
    def of(cls, folder: Path) -> "Verification | None":
        """What was found of the tables that are in a study's folder now, if they were verified."""
        path, card = folder / "verify.json", folder / "tables/card.json"
        found = cls.read(path) if path.exists() else None
        return found if found and found.tables_sha256 == files.sha256(card) else None
