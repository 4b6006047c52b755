"""A report as a tree: `html` renders it for a browser, `markdown` for a forge. All text is plain text."""

from dataclasses import dataclass
from pathlib import Path

from cnntention.results.words import Verdict


@dataclass(frozen=True)
class Text:
    text: str
    style: str = ""
    """lead: an answer; note: small print."""


@dataclass(frozen=True)
class Facts:
    """Short names and what they stand for."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Counts:
    """How many claims ended how."""

    rows: tuple[tuple[Verdict, int], ...]


@dataclass(frozen=True)
class Table:
    """At most six columns. A row of a single cell is a heading across; its second line is small."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    """A letter a column: l or r."""
    note: str = ""


@dataclass(frozen=True)
class Picture:
    file: Path
    path: str
    """Relative to the page."""
    title: str
    caption: str
    width: int
    """CSS px."""


@dataclass(frozen=True)
class Code:
    title: str
    text: str


@dataclass(frozen=True)
class Fold:
    """What is shown on demand, and left out of the text for forges."""

    title: str
    parts: tuple


@dataclass(frozen=True)
class Section:
    title: str
    parts: tuple
    kicker: str = ""
    """A short name above the title."""
    anchor: str = ""


@dataclass(frozen=True)
class Page:
    title: str
    parts: tuple
    footer: str
