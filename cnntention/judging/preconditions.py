"""What must hold before a test means anything. Each check says which models fail it, and in how many runs."""

from collections.abc import Callable

from cnntention.config.claims import Cell
from cnntention.judging.evidence import Evidence
from cnntention.judging.questions import Question
from cnntention.results.words import Reason

LEARNED = 0.95  # mean test accuracy from which a model has learned a control dataset


def unused(cells: list[Cell], evidence: Evidence) -> str:
    """`cbam 2/3`: of the cells in most of whose runs accuracy does not fall without attention. So one dead run is no
    reason to give up the other nineteen; all are compared, whatever their attention does."""
    parts = []
    for cell in dict.fromkeys(cells):
        used = evidence.cell(cell)["attention_used"].dropna()
        if len(used) and 2 * used.sum() <= len(used):
            parts.append(f"{cell[1]} {len(used) - used.sum()}/{len(used)}")
    return ", ".join(parts)


def failing(cells: list[Cell], evidence: Evidence, column: str, wanted: bool = True) -> str:
    """`cbam 2/3`: of the cells whose runs do not all have the wanted truth; empty entries do not count."""
    parts = []
    for cell in dict.fromkeys(cells):
        values = evidence.cell(cell)[column].dropna()
        if (values != wanted).any():
            parts.append(f"{cell[1]} {(values != wanted).sum()}/{len(values)}")
    return ", ".join(parts)


def attention_used(asked: Question, evidence: Evidence) -> str:
    """Of both sides; a control may well switch its attention off."""
    return unused([asked.a, *filter(None, [asked.b])], evidence)


def own_attention_used(asked: Question, evidence: Evidence) -> str:
    return unused([asked.a], evidence)


def same_recipe(asked: Question, evidence: Evidence) -> str:
    recipes = dict.fromkeys(cell[2] for cell in asked.cells)
    return ", ".join(recipes) if len(recipes) > 1 else ""


def test_untouched(asked: Question, evidence: Evidence) -> str:
    return failing(asked.cells, evidence, "leaks", wanted=False)


def maps_sane(asked: Question, evidence: Evidence) -> str:
    return failing(asked.cells, evidence, "cam_sane")


def learned(asked: Question, evidence: Evidence) -> str:
    """`cbam on local 91.2 %`: who cannot read a single place cannot be asked to relate two."""
    means = {cell: evidence.cell(cell)["test_accuracy"].mean() for cell in asked.gate}
    return ", ".join(f"{c[1]} on {c[0]} {100 * mean:.1f} %" for c, mean in means.items() if mean < LEARNED)


CHECKS: dict[str, tuple[Callable[[Question, Evidence], str], Reason]] = {
    "attention_used": (attention_used, Reason.NOT_USED),
    "own_attention_used": (own_attention_used, Reason.NOT_USED),
    "same_recipe": (same_recipe, Reason.OTHER_RECIPES),
    "test_untouched": (test_untouched, Reason.TEST_SPLIT_USED),
    "maps_sane": (maps_sane, Reason.MAPS_NOT_SANE),
    "learned": (learned, Reason.NOT_LEARNED),
}
