"""The tree as Markdown for a forge: everything but what is folded."""

from functools import singledispatch

from cnntention.report import document as doc
from cnntention.report.theme import MARKS

RULE = {"l": "---", "r": "--:"}


def escaped(text: str) -> str:
    """Plain text, safe in a paragraph and in a table's cell."""
    for mark in "\\`*_[]<>|":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("\n", " ")


@singledispatch
def render(part) -> str:
    raise TypeError(f"no Markdown of {type(part).__name__}")


def joined(parts: tuple) -> str:
    return "\n\n".join(text for part in parts if (text := render(part)))


@render.register
def _(part: doc.Page) -> str:
    return f"# {escaped(part.title)}\n\n{joined(part.parts)}\n\n<sub>{escaped(part.footer)}</sub>\n"


@render.register
def _(part: doc.Section) -> str:
    kicker = f" (`{part.kicker}`)" if part.kicker else ""
    return f"## {escaped(part.title)}{kicker}\n\n{joined(part.parts)}"


@render.register
def _(part: doc.Fold) -> str:
    return ""


@render.register
def _(part: doc.Text) -> str:
    text = escaped(part.text)
    return {"lead": f"**{text}**", "note": f"_{text}_"}.get(part.style, text)


@render.register
def _(part: doc.Facts) -> str:
    return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in part.rows)


@render.register
def _(part: doc.Counts) -> str:
    return "Claims: " + " · ".join(f"{MARKS[verdict]} {number} {verdict}" for verdict, number in part.rows)


@render.register
def _(part: doc.Table) -> str:
    lines = [row(part.head), row([RULE[letter] for letter in part.align], as_is=True)]
    for cells in part.rows:
        if len(cells) > 1:
            lines.append(row(cells))
        else:
            title, _, note = cells[0].partition("\n")
            first = f"**{escaped(title)}**" + (f"<br>{escaped(note)}" if note else "")
            lines.append(row([first, *[""] * (len(part.head) - 1)], as_is=True))
    return "\n".join(lines) + (f"\n\n_{escaped(part.note)}_" if part.note else "")


def row(cells, as_is: bool = False) -> str:
    return f"| {' | '.join(cells if as_is else map(escaped, cells))} |"


@render.register
def _(part: doc.Picture) -> str:
    return f"![{escaped(part.title)}]({part.path})\n\n_{escaped(part.caption)}_"


@render.register
def _(part: doc.Code) -> str:
    return f"```yaml\n{part.text}```"
