"""The faults that the tests try; `make docs` writes them to docs/faults.md."""

from collections.abc import Iterable

RUN, EXAMINATION = "results/runs/<run>", "results/runs/<run>/examination-<key>"
STUDY = "results/studies/<study>/<key>"
FILES = {
    "data/<dataset>/<key>/card.json": ("train", "examine", "profile", "summarise"),
    "data/<dataset>/<key>/train.safetensors": ("train",),
    "data/<dataset>/<key>/val.safetensors": ("train",),
    "data/<dataset>/<key>/test.safetensors": ("examine",),
    "state/<run>.pt": ("train",),
    f"{RUN}/run.json": ("examine", "summarise"),
    f"{RUN}/model.safetensors": ("examine", "summarise"),
    f"{RUN}/history.csv": ("summarise",),
    f"{EXAMINATION}/metrics.json": ("summarise",),
    f"{EXAMINATION}/predictions.safetensors": ("summarise",),
    f"{EXAMINATION}/attention.json": ("summarise",),
    f"{EXAMINATION}/explanations.json": ("summarise",),
    f"{EXAMINATION}/explanations.safetensors": ("summarise",),
    "results/profiles/<study>/<dataset>/<key>.json": ("summarise",),
    f"{STUDY}/tables/runs.csv": ("judge", "report", "publish"),
    f"{STUDY}/tables/modules.csv": ("judge", "report", "publish"),
    f"{STUDY}/tables/cost.csv": ("judge", "report", "publish"),
    f"{STUDY}/tables/<other>.csv": ("report", "publish"),
    f"{STUDY}/tables/explanations.safetensors": ("report",),
    f"{STUDY}/tables/study.json": ("report", "publish"),
    f"{STUDY}/tables/card.json": ("judge", "report", "publish"),
    f"{STUDY}/verdicts/tests.csv": ("report", "publish"),
    f"{STUDY}/verdicts/claims.csv": ("report", "publish"),
    f"{STUDY}/verdicts/card.json": ("report", "publish"),
    f"{STUDY}/report/<file>": ("publish",),
    f"{STUDY}/report/card.json": ("publish",),
}
"""Each file that a later step reads, and the steps that do."""
DAMAGES = ("a bit flipped", "its end cut off", "no content", "a key removed", "a digit changed", "that of another seed")
DIVERGENCES = {
    "NaN in the weights in the first epoch": (1, "conv1.weight", float("nan")),
    "NaN in the weights at the last step": (6, "conv1.weight", float("nan")),
    "infinite weights at the last step": (6, "fc.weight", float("inf")),
    "weights that are finite, but whose norm is not": (6, "attention.stage3.query.weight", 1e30),
    "batch statistics that make only evaluation NaN": (6, "bn1.running_var", -1.0),
    "NaN in every evaluation, from the start": (0, "", float("nan")),
}
"""What happens in a training of two epochs of three steps: after which step, to what, and which value it takes."""
KILLS = {
    "SIGKILL to snakemake and all its jobs": ("SIGKILL", True),
    "SIGKILL to snakemake alone": ("SIGKILL", False),
    "SIGINT (Ctrl-C) to snakemake and all its jobs": ("SIGINT", True),
    "SIGTERM to snakemake and all its jobs": ("SIGTERM", True),
}
"""What ends a study, at a random moment: the signal, and whether its jobs get it too."""


def table() -> str:
    """docs/faults.md."""
    *first, last = DAMAGES
    paragraphs = [
        "# Faults",
        "Written by `make docs` from `tests/faults.py`: what the tests break, and what happens.",
        "## A damaged file",
        f"A file with {', '.join(first)}, or {last} in its place: each step that reads it stops with one line that "
        "names it, and changes nothing else. Delete the file, and the next call makes it anew. Weights and predictions "
        "are the exception: a report does without them, so only `snakemake train_all evaluate_all` makes them again.",
        rows("file", "read by", ((f"`{name}`", ", ".join(steps)) for name, steps in FILES.items())),
        "## A training that diverges",
        "With `divergence: keep` in its recipe, such a run keeps its last finite weights, has `null` for what is not "
        "finite, and is in the report:",
        "\n".join(f"- {name}" for name in DIVERGENCES),
        "## A study that is killed",
        "The same call again ends with the same bytes, times excepted, after",
        "\n".join(f"- {name}" for name in KILLS),
    ]
    return "\n\n".join(paragraphs) + "\n"


def rows(left: str, right: str, pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join([f"| {left} | {right} |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in pairs)])


if __name__ == "__main__":
    print(table(), end="")
