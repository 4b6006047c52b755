"""The page's tables: rows of the CSV files as text, with a caption that says how to read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import methods, text

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

# columns aligned to the left
WORDS = {"Model", "Baseline", "Recipe", "Dataset", "Class", "Note", "Our recipe", "Attention"}


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
            "Training time": spread(row["training_step_ratio"], row["training_step_ratio_iqr"]),
            "Training memory": text.size(row["training_memory_bytes"]),
        }
        | joules(row)
        for _, row in found.iterrows()
    ]
    first = found.iloc[0]
    whole = ", the whole device, idle or busy" if found["training_step_joules"].notna().any() else ""
    return view(
        f"{dataset}: cost on images of {first['image'].replace('x', ' × ')}, in fp32. MMACs: million multiply-"
        "accumulates of one image’s forward pass (× the first model without attention). Attention matrices: one "
        "image’s, if they were stored. Latency: batch of 1, median (interquartile range). Training: steps of "
        f"{first['batch_size']} images; its time as a multiple of the first model without attention, median "
        "(interquartile range) of each round’s ratio; memory is what a first step adds at its peak. Energy: "
        f"{first['energy']}{whole}. Measured on {text.listing(text.distinct(found['hardware']))}, {tables.in_turn}",
        rows,
    )


def joules(row: pd.Series) -> dict[str, str]:
    """Energy, if it was counted."""
    if pd.isna(row["training_step_joules"]):
        return {}
    step, image = row["training_step_joules"], 1000 * row["inference_image_joules"]
    return {"Training step, J": text.number(step), "Inference, mJ/image": text.number(image)}


def spread(value: float, iqr: float) -> str:
    """A multiple of the base model's, which is exactly 1."""
    return "–" if pd.isna(value) else f"×{value:.2f}" + (f" ({iqr:.2f})" if value != 1 or iqr else "")


def ratio(value: float) -> str:
    return "" if pd.isna(value) else f" (×{value:.2f})" if abs(value - 1) > 0.005 or value == 1 else f" (×{value:.3f})"


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
