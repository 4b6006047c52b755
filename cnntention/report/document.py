"""A report as a tree: `html` renders it for a browser, `markdown` for a forge. All text is plain text."""

from pathlib import Path
from typing import NamedTuple

from cnntention.results.words import Verdict


class Text(NamedTuple):
    text: str
    style: str = ""
    """lead: an answer; note: small print."""


class Facts(NamedTuple):
    """Short names and what they stand for."""

    rows: tuple[tuple[str, str], ...]


class Counts(NamedTuple):
    """How many claims ended how."""

    rows: tuple[tuple[Verdict, int], ...]


class Table(NamedTuple):
    """At most six columns. A row of a single cell is a heading across; its second line is small."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    """A letter a column: l or r."""
    note: str = ""


class Picture(NamedTuple):
    file: Path
    path: str
    """Relative to the page."""
    title: str
    caption: str
    width: int
    """CSS px."""


class Code(NamedTuple):
    text: str


class Fold(NamedTuple):
    """What is shown on demand, and left out of the text for forges."""

    title: str
    parts: tuple


class Section(NamedTuple):
    title: str
    parts: tuple
    kicker: str = ""
    """A short name above the title."""
    anchor: str = ""


class Page(NamedTuple):
    title: str
    parts: tuple
    footer: str
