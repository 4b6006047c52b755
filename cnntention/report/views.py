"""The page's tables: rows of the CSV files as text, with a caption that says how to read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import methods, text
from cnntention.report.attention_table import USED
from cnntention.report.flags import of_run

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
            "Latency, ms": f"{text.number(row['latency_ms'])} ({quartiles(row, 'latency_ms')})",
            "Training, images/s": text.number(row["training_images_per_s"], 0),
            "Training time": multiple(row, "training_step_ratio"),
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
        "image’s, if they were stored. Latency: batch of 1, median (quartiles). Training: steps of "
        f"{first['batch_size']} images; its time as a multiple of the first model without attention, median "
        "(quartiles) of each round’s ratio; memory is what a first step adds at its peak. Energy: "
        f"{first['energy']}{whole}. Measured on {text.listing(text.distinct(found['hardware']))}, {tables.in_turn}",
        rows,
    )


def joules(row: pd.Series) -> dict[str, str]:
    """Energy, if it was counted."""
    if pd.isna(row["training_step_joules"]):
        return {}
    step, image = row["training_step_joules"], 1000 * row["inference_image_joules"]
    return {"Training step, J": text.number(step), "Inference, mJ/image": text.number(image)}


def quartiles(row: pd.Series, name: str) -> str:
    return f"{text.number(row[f'{name}_q25'])}–{text.number(row[f'{name}_q75'])}"


def multiple(row: pd.Series, name: str) -> str:
    """Of the base model's, which is exactly 1 of itself."""
    if pd.isna(row[name]):
        return "–"
    return f"×{row[name]:.2f}" + ("" if row[f"{name}_q25"] == row[f"{name}_q75"] else f" ({quartiles(row, name)})")


def ratio(value: float) -> str:
    return "" if pd.isna(value) else f" (×{value:.2f})" if abs(value - 1) > 0.005 or value == 1 else f" (×{value:.3f})"


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
            "Attention": of_run(tables, row),
            "Val, %": "–" if watches_test(tables, row) else text.percent(row["val_accuracy"]),
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
        "Every run: test accuracy with the 95 % Wilson interval of sampling the test images alone, its attention "
        f"modules by state (not used: without them accuracy falls by no more than {USED} standard errors), validation "
        "accuracy (– where the recipe watches the test split instead), time, and the folder that holds all about it. "
        f"Resumed: how often it went on after an interruption.{gated}"
    )
    return view(caption, rows, WORDS | {"Hardware", "torch", "Commit", "Folder"})


def watches_test(tables: "Tables", run: pd.Series) -> bool:
    """Whether what is called validation accuracy in the tables is measured on the test split."""
    return tables.study.recipes[run["recipe"]].monitor == "test"
