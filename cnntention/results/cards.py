"""card.json, the last file of each folder of a study's results."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cnntention import files, provenance


def write_card(out: Path, study: str, key: str, written: Iterable[str], **more: Any) -> None:
    """What the folder is, who made it, and the hashes of its files."""
    card = {"study": study, "key": key, **more, "made": provenance.now(), "provenance": provenance.describe()}
    files.write_record(out / "card.json", card | {"sha256": {name: files.sha256(out / name) for name in written}})
