"""What must hold before a claim's test means anything: each check says what is wrong, in sentences, or nothing."""

from cnntention import files
from cnntention.config.claims import Case, Cell
from cnntention.evaluation.evidence import Evidence


def failing(cells: list[Cell], evidence: Evidence, column: str, sentence: str) -> list[str]:
    """The sentence for each of the cells of which not all runs have the column true; empty entries do not count."""
    found = [(cell[1], files.truths(evidence.cell(cell)[column])) for cell in dict.fromkeys(cells)]
    return [f"{sentence.format(model)} in {(~ok).sum()} of {len(ok)} runs" for model, ok in found if not ok.all()]


def attention_alive(case: Case, evidence: Evidence) -> list[str]:
    """Of both sides; a control may well switch its attention off."""
    return failing([case.a, *filter(None, [case.b])], evidence, "attention_alive", "the attention of {} is not alive")


def own_attention_alive(case: Case, evidence: Evidence) -> list[str]:
    return failing([case.a], evidence, "attention_alive", "the attention of {} is not alive")


def same_recipe(case: Case, evidence: Evidence) -> list[str]:
    recipes = list(dict.fromkeys(cell[2] for cell in case.cells))
    return [f"the models were trained by different recipes ({', '.join(recipes)})"] if len(recipes) > 1 else []


def test_untouched(case: Case, evidence: Evidence) -> list[str]:
    leaking = {cell[1]: None for cell in case.cells if files.truths(evidence.cell(cell)["leaks"]).any()}
    models = " and ".join(leaking)
    return [f"the test split decided when {models} stopped, or which epoch to keep"] if leaking else []


def maps_sane(case: Case, evidence: Evidence) -> list[str]:
    return failing(case.cells, evidence, "cam_sane", "the maps of {} survive randomised parameters")


CHECKS = {
    "attention_alive": attention_alive,
    "own_attention_alive": own_attention_alive,
    "same_recipe": same_recipe,
    "test_untouched": test_untouched,
    "maps_sane": maps_sane,
}
