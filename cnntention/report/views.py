"""The page's tables: rows of the CSV files as text, with a caption that says how to read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import methods, text

if TYPE_CHECKING:
    from cnntention.report.page import Tables

WORDS = {"Model", "Baseline", "Recipe", "Dataset", "Class", "Note", "Our recipe"}  # columns aligned to the left


@dataclass
class View:
    """A table as text. `heat`: where each number lies between the table's smallest and largest, 0 to 100."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    words: set[str]
    heat: list[list[int | None]] | None = None
    number: int = 0


def view(caption: str, rows: list[dict], words: set[str] = WORDS, **more) -> View:
    head = list(rows[0]) if rows else []
    return View(caption, head, [[str(row[name]) for name in head] for row in rows], words, **more)


def accuracy(tables: "Tables", dataset: str) -> View:
    runs = tables.of("runs", dataset)
    rows = [
        {
            "Model": cell["model"],
            "Recipe": cell["recipe"],
            "n": cell["n"],
            "Accuracy, %": text.score(cell),
            "Min–max, %": text.span(cell["min"], cell["max"]) if cell["n"] > 1 else "–",
            "Top-2, %": text.percent(cell["top2"]),
            "NLL": text.number(cell["nll"], 3),
            "ECE": text.number(cell["ece"], 3),
        }
        for _, cell in tables.of("accuracy", dataset).iterrows()
    ]
    images = text.listing([f"{count:,}" for count in runs["test_images"].unique()])
    return view(
        f"{dataset}: accuracy on {images} test images, mean ± sample standard deviation over n seeds. Top-2, negative "
        "log-likelihood (NLL, nats) and expected calibration error (ECE) are means over seeds. Each run is its last "
        "epoch’s weights; the test split chose nothing.",
        rows,
    )


def classes(tables: "Tables", dataset: str) -> View:
    found = tables.of("classes", dataset)
    means = found.groupby(["model", "recipe", "class"], sort=False)["test_accuracy"].mean()
    cells = tables.of("accuracy", dataset)[["model", "recipe"]].itertuples(index=False)
    names = tables.class_names(dataset)
    rows, heat = [], []
    low, high = means.min(), means.max()
    for model, recipe in cells:
        own = [means.get((model, recipe, name), float("nan")) for name in names]
        rows.append(
            {"Model": model, "Recipe": recipe} | {name: text.percent(v, 1) for name, v in zip(names, own, strict=True)}
        )
        scaled = [None if pd.isna(v) else round(100 * (v - low) / max(high - low, 1e-9)) for v in own]
        heat.append([None, None, *scaled])
    caption = (
        f"{dataset}: test accuracy of each class, %, mean over seeds. Shaded from {text.percent(low, 1)} (bare) to "
        f"{text.percent(high, 1)} % (full)."
    )
    return view(caption, rows, heat=heat)


def cost(tables: "Tables", dataset: str) -> View:
    found = tables.of("cost", dataset)
    rows = [
        {
            "Model": row["model"],
            "Parameters": f"{row['parameters']:,}",
            "Attention parameters": f"{row['attention_parameters']:,}",
            "MMACs": f"{row['macs'] / 1e6:,.2f}" + ratio(row["macs_ratio"]),
            "Attention matrices": text.size(row["attention_matrix_bytes"]),
            "Latency, ms": f"{text.number(row['latency_ms'])} ({text.number(row['latency_iqr_ms'])})",
            "Training, images/s": text.number(row["training_images_per_s"], 0),
            "Training memory": text.size(row["training_memory_bytes"]),
        }
        for _, row in found.iterrows()
    ]
    first = found.iloc[0]
    return view(
        f"{dataset}: cost on images of {first['image'].replace('x', ' × ')}, in fp32. MMACs: million multiply-"
        "accumulates of one image’s forward pass (× the first model without attention). Attention matrices: one "
        "image’s, if they were stored. Latency: batch of 1, median (interquartile range). Training: steps of "
        f"{first['batch_size']} images; memory is the peak of one step. Measured on "
        f"{text.listing(text.distinct(found['hardware']))}, {tables.alone}",
        rows,
    )


def ratio(value: float) -> str:
    return "" if pd.isna(value) else f" (×{value:.2f})" if abs(value - 1) > 0.005 or value == 1 else f" (×{value:.3f})"


def experiment(tables: "Tables", name: str, found: list[text.Comparison]) -> View:
    cells = tables.frames["experiments"]
    baseline = tables.study.experiments[name].baseline
    sides = {(c.cell["dataset"], c.cell["recipe"], c.cell["model"]): c.ranges for c in found}
    rows = []
    for _, cell in cells[cells["experiment"] == name].iterrows():
        own = cell["model"] == baseline
        rows.append(
            {
                "Dataset": cell["dataset"],
                "Recipe": cell["recipe"],
                "Model": cell["model"],
                "n": cell["n"],
                "Accuracy, %": text.score(cell),
                "Difference, points": "baseline" if own else text.points(cell["difference"]),
                "Seeds’ ranges": "–" if own else sides.get(tuple(cell[["dataset", "recipe", "model"]]), "–"),
            }
        )
    against = f"minus that of {baseline}" if baseline else "(this experiment names no baseline)"
    caption = (
        f"Experiment {name}: mean test accuracy {against}, same dataset and recipe, percentage points. Ranges: whether "
        "the seeds’ smallest to largest accuracies overlap with the baseline’s. No test is made."
    )
    return view(caption, rows, WORDS | {"Seeds’ ranges"})


def published(tables: "Tables", dataset: str) -> View:
    rows = []
    for _, row in tables.of("published", dataset).iterrows():
        ours = "not run here"
        if row["n"]:
            ours = text.number(row["our_error"]) + (
                f" ± {text.number(row['our_sd'])}" if row["n"] > 1 else " (one seed)"
            )
        rows.append(
            {
                "Model": row["model"],
                "Published error, %": text.number(row["test_error"]),
                "Published epochs": row["epochs"],
                "Our error, %": ours,
                "n": row["n"] or "–",
                "Our epochs": text.number(row["our_epochs"], 0),
                "Our recipe": row["our_recipe"] if row["n"] else "–",
                "Note": row["note"],
            }
        )
    caption = (
        f"{dataset}: test error of the original study, one run each, beside ours (mean ± sample standard deviation "
        "over n seeds). The note says how the published number was made."
    )
    return view(caption, rows)


def datasets(tables: "Tables") -> View:
    rows = [
        {
            "Dataset": row["dataset"],
            "Source": methods.source(row),
            "Check": methods.source_check(row),
            "Licence": row["licence"],
            "Key": row["key"],
        }
        for _, row in tables.frames["datasets"].iterrows()
    ]
    caption = "Datasets: what they were made of. Check: whether the files’ hashes are those of the authors’ archive."
    return view(caption, rows, WORDS | {"Source", "Check", "Licence", "Key"})


def splits(tables: "Tables") -> View:
    rows = []
    for _, row in tables.frames["datasets"].iterrows():
        augment = tables.study.datasets[row["dataset"]].augment
        changes = ["mirrored at random"] * augment.flip
        changes += [f"padded by {augment.crop_padding} px and cropped at random"] * bool(augment.crop_padding)
        counts = {name.capitalize(): f"{row[name]:,}" for name in ("train", "val", "test")}
        rows.append(
            {"Dataset": row["dataset"], "Image": row["image"].replace("x", " × "), "Classes": row["classes"]}
            | counts
            | {"Augmentation": text.listing(changes) or "none"}
        )
    caption = "Images of each dataset: channels × height × width, and how many. Only training images are augmented."
    return view(caption, rows, WORDS | {"Image", "Augmentation"})


def runs(tables: "Tables") -> View:
    gates = [name for name in tables.frames["runs"].columns if name.startswith("gate_")]
    rows = [
        {
            "Dataset": row["dataset"],
            "Model": row["model"],
            "Recipe": row["recipe"],
            "Seed": row["seed"],
            "Test, %": text.percent(row["test_accuracy"]),
            "95 % interval": text.span(row["test_accuracy_low"], row["test_accuracy_high"]),
            "Val, %": text.percent(row["val_accuracy"]),
            "Epochs": row["epochs"],
            "Training, s": text.number(row["train_seconds"], 0),
            "Resumed": row["resumed"],
        }
        | {f"Gate {name.removeprefix('gate_')}": text.number(row[name], 3) for name in gates}
        | {"Hardware": row["hardware"], "torch": row["torch"], "Commit": row["commit"], "Folder": row["folder"]}
        for _, row in tables.frames["runs"].iterrows()
    ]
    gated = (
        " Gate: the learned factor on an attention module’s output at the end; 0 means that it is off." if gates else ""
    )
    caption = (
        "Every run: test accuracy with the 95 % Wilson interval of sampling the test images alone, validation "
        "accuracy, time, and the folder that holds all about it. Resumed: how often it went on after an "
        f"interruption.{gated}"
    )
    return view(caption, rows, WORDS | {"Hardware", "torch", "Commit", "Folder"})
