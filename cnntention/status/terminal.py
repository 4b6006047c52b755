"""Where and how it is printed: consoles, tables, and numbers as words."""

import sys
from collections.abc import Iterable

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

PIPED = 1000  # columns: nothing is cut or wrapped


def console(stderr: bool = False) -> Console:
    """A pipe gets plain text of full width, whatever the environment says of colours."""
    file = sys.stderr if stderr else sys.stdout
    if file.isatty():
        return Console(file=file, highlight=False)
    if hasattr(file, "reconfigure"):
        file.reconfigure(errors="replace")  # an encoding without block characters is no reason to fail
    return Console(file=file, highlight=False, force_terminal=False, color_system=None, width=PIPED)


def write(out: Console, shown: Iterable[RenderableType]) -> None:
    """Print each part; a Text that must not be wrapped may be longer than a line."""
    for part in shown:
        out.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))


def stacked(name: str) -> str:
    """A name of several parts on several lines, so that none is broken."""
    dataset, *more = name.split("/", 2)
    return "/\n ".join((dataset, *more))


def new_table(show_footer: bool = False) -> Table:
    return Table(box=box.SIMPLE_HEAD, show_edge=False, show_footer=show_footer, padding=(0, 1, 0, 0))


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f} %"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Two units at most: 45 s, 12 min, 2 h 10 min, 3 d 4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(hours + minutes / 60), 24)
    return f"{days:,} d {hours} h"
