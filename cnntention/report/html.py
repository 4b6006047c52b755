"""The tree as one HTML file that needs no network and no script."""

import base64
import re
from functools import singledispatch
from html import escape
from pathlib import Path

from cnntention.report import document as doc
from cnntention.report.theme import MARKS


@singledispatch
def render(part) -> str:
    raise TypeError(f"no HTML of {type(part).__name__}")


def joined(parts: tuple) -> str:
    return "\n".join(map(render, parts))


@render.register
def _(part: doc.Page) -> str:
    style = Path(__file__).with_name("style.css").read_text(encoding="utf-8")
    links = "".join(
        f'<a href="#{section.anchor}">{escape(section.kicker or section.title)}</a>'
        for section in part.parts
        if isinstance(section, doc.Section)
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(part.title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(part.title)}</h1>\n<nav>{links}</nav>\n{joined(part.parts)}\n"
        f"<footer>{escape(part.footer)}</footer>\n</main>\n</body>\n</html>\n"
    )


@render.register
def _(part: doc.Section) -> str:
    kicker = f'<p class="kicker">{escape(part.kicker)}</p>\n' if part.kicker else ""
    return f'<section id="{part.anchor}">\n{kicker}<h2>{escape(part.title)}</h2>\n{joined(part.parts)}\n</section>'


@render.register
def _(part: doc.Fold) -> str:
    return f"<details>\n<summary>{escape(part.title)}</summary>\n{joined(part.parts)}\n</details>"


@render.register
def _(part: doc.Text) -> str:
    style = f' class="{part.style}"' if part.style else ""
    return f"<p{style}>{escape(part.text)}</p>"


@render.register
def _(part: doc.Facts) -> str:
    rows = "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in part.rows)
    return f"<dl>\n{rows}\n</dl>"


@render.register
def _(part: doc.Counts) -> str:
    rows = "".join(
        f'<li class="{verdict.replace(" ", "-")}"><b>{number}</b> {MARKS[verdict]} {verdict}</li>'
        for verdict, number in part.rows
    )
    return f'<ul class="counts">{rows}</ul>'


@render.register
def _(part: doc.Table) -> str:
    head = "".join(f'<th class="{a}">{escape(name)}</th>' for name, a in zip(part.head, part.align, strict=True))
    body = "\n".join(table_row(part, cells) for cells in part.rows)
    note = f'\n<p class="note">{escape(part.note)}</p>' if part.note else ""
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>{note}"


def table_row(part: doc.Table, cells: tuple[str, ...]) -> str:
    if len(cells) == 1:
        title, _, note = escape(cells[0]).partition("\n")
        small = f"<br><small>{note}</small>" if note else ""
        return f'<tr class="group"><th colspan="{len(part.head)}">{title}{small}</th></tr>'
    made = zip(cells, part.head, part.align, strict=True)
    return (
        "<tr>"
        + "".join(f'<td class="{a}" data-label="{escape(name)}">{escape(cell)}</td>' for cell, name, a in made)
        + "</tr>"
    )


@render.register
def _(part: doc.Picture) -> str:
    if part.file.suffix == ".svg":
        image = inline(part)
    else:
        data = base64.b64encode(part.file.read_bytes()).decode()
        image = f'<img src="data:image/png;base64,{data}" alt="{escape(part.title)}" width="{part.width}">'
    return f"<figure>\n{image}\n<figcaption>{escape(part.caption)}</figcaption>\n</figure>"


def inline(part: doc.Picture) -> str:
    """A figure's SVG as an element of the page, without the names of its groups, which figures share."""
    source = part.file.read_text(encoding="utf-8")
    box = re.search(r'viewBox="[^"]*"', source).group()
    body = source[source.index(">", source.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'<(g|text) id="[^"]*"', r"<\1", body)
    return f'<svg role="img" aria-label="{escape(part.title)}" {box} width="{part.width}">{body.rstrip()}'


@render.register
def _(part: doc.Code) -> str:
    return f"<pre>{escape(part.text)}</pre>"
