"""The report of a study: figures, one page, one text for a forge, and a card of what was written."""

from pathlib import Path

from cnntention import files
from cnntention.report import html, markdown, sections, theme
from cnntention.report.document import Page, Picture
from cnntention.report.figures import figure_files
from cnntention.report.reading import Results, read
from cnntention.results.cards import write_card

RENDERERS = {"index.html": html.render, "report.md": markdown.render}


def write_report(tables: Path, verdicts: Path, out: Path) -> None:
    """Write figures/, index.html and report.md, then card.json, which says that they are complete."""
    results = read(tables, verdicts)
    pictures = draw(results, out)
    page = build(results, pictures)
    for name, render in RENDERERS.items():
        files.write_text(out / name, render(page))
    written = [*RENDERERS, *(picture.path for picture in pictures.values())]
    write_card(out, results.study.study.name, results.card["key"], written)


def draw(results: Results, out: Path) -> sections.Pictures:
    """Every figure as a file."""
    drawn = {}
    for figure in figure_files(results.study):
        with theme.style(figure.path):
            sheet, caption = figure.kind.draw(results, figure.experiment)
            width = theme.save(sheet, out / figure.path)
        where = f", {figure.experiment}" if figure.experiment else ""
        picture = Picture(out / figure.path, figure.path, f"{figure.title}{where}", caption, width)
        drawn[figure.kind.name, figure.experiment] = picture
    return drawn


def build(results: Results, pictures: sections.Pictures) -> Page:
    """The page as a tree."""
    parts = (
        *sections.overview(results, pictures),
        *(sections.experiment(results, name, pictures) for name in results.experiments),
        sections.cost(results, pictures),
        *sections.published(results),
        sections.methods(results),
    )
    card = results.card
    footer = f"Study {card['study']}, key {card['key']}. Tables made {card['made']} from {card['runs']} runs."
    return Page(results.study.study.question, parts, footer)
