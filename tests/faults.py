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
