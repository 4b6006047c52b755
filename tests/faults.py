"""The faults that the tests try; `make docs` writes them to docs/faults.md."""

RUN, EXAMINATION = "results/runs/<run>", "results/runs/<run>/examination-<key>"
STUDY = "results/<study>/<key>"
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
    "results/profiles/<dataset>/<key>.json": ("summarise",),
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
DAMAGES = ("a bit flipped", "cut off", "empty", "a key removed", "a digit changed", "that of another seed")
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
    damages = ", ".join(DAMAGES)
    stops = (
        "`{}` stops with one line that names it; nothing else is changed or deleted. Deleted, the next call makes it"
    )
    rows = [(f"`{name}`", damages, stops.format("`, `".join(steps)) + " anew.") for name, steps in FILES.items()]
    kept = "With `divergence: keep` the run is kept with its last finite weights and `null` for what is not finite, and"
    rows += [("training", name, f"{kept} is in the report.") for name in DIVERGENCES]
    rows += [("a study", name, "The same call again ends with the same bytes, times excepted.") for name in KILLS]
    head = "# Faults\n\nWritten by `make docs` from `tests/faults.py`: what the tests break, and what happens.\n\n"
    lines = ["| file or event | fault | what happens |", "| --- | --- | --- |", *(f"| {' | '.join(r)} |" for r in rows)]
    return head + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
