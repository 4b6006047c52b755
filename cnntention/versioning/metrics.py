"""What `dvc metrics` and `dvc plots` show of a finished study: small files, in Git."""

from collections import defaultdict
from pathlib import Path

import pandas as pd

from cnntention import files
from cnntention.config import Study
from cnntention.results import looks, paths
from cnntention.results.records import Metrics
from cnntention.results.rows import read_table

METRICS = "metrics.json"
ACCURACY = "plots/accuracy.csv"


def curves_file(dataset: str) -> str:
    return f"plots/curves-{dataset}.csv"


def confusion_file(dataset: str) -> str:
    return f"plots/confusion-{dataset}.csv"


def curves(study: Study, dataset: str) -> dict[str, tuple[str, str]]:
    """Column -> (model, recipe) of each cell on a dataset, as at the study's first look."""
    cells = {(run.model, run.recipe): None for run in study.runs() if run.dataset == dataset}
    alone = len({recipe for _, recipe in cells}) == 1
    return {model if alone else f"{model} {recipe}": (model, recipe) for model, recipe in cells}


def write_metrics(study: Study, out: Path) -> None:
    """Write metrics.json and plots/ from the tables and verdicts of the study's last look.

    metrics.json: of each dataset, model and recipe the test accuracy's mean and standard deviation over seeds, how many
    runs there are, on CueMatch how many solved it; and the verdicts.
    """
    folder = Path(paths.study_folder(looks.latest(study)))
    runs, epochs = (read_table(folder / "tables", name) for name in ("runs", "epochs"))
    claims = read_table(folder / "verdicts", "claims")
    cells: dict = defaultdict(lambda: defaultdict(dict))
    bars = []
    for (dataset, model, recipe), cell in runs.groupby(["dataset", "model", "recipe"], sort=False):
        scores = cell["test_accuracy"]
        told = {"accuracy": scores.mean(), "sd": scores.std() if len(cell) > 1 else None, "runs": len(cell)}
        if cell["solved"].notna().all():
            told["solved"] = int(cell["solved"].sum())
        cells[dataset][model][recipe] = told
        bars.append({"cell": f"{dataset} {model} {recipe}", "accuracy": scores.mean(), "runs": len(cell)})
    verdicts = dict(zip(claims["claim"], claims["verdict"], strict=True))
    files.write_json(out / METRICS, {"runs": cells, "claims": verdicts})
    files.write_rows(out / ACCURACY, bars)
    for dataset in study.datasets_used():
        of = epochs[epochs["dataset"] == dataset].groupby(["model", "recipe", "epoch"])["val_accuracy"].mean()
        lines = {name: of[cell] for name, cell in curves(study, dataset).items() if cell in of.index}
        files.write_csv(out / curves_file(dataset), pd.DataFrame(lines).rename_axis("epoch").reset_index())
        run = next(run for run in study.runs() if run.dataset == dataset)
        counts = Metrics.read(f"{paths.examination_folder(study, run)}/metrics.json").confusion
        images = [
            {"label": label, "predicted": predicted}
            for label, row in enumerate(counts)
            for predicted, count in enumerate(row)
            for _ in range(count)
        ]
        files.write_rows(out / confusion_file(dataset), images)
