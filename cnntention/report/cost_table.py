"""The profiles as a table: what each model costs on each dataset's images."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cnntention import files, plan, provenance
from cnntention.config import Study

TIMES = {"latency": "latency_batch1", "inference_batch": "inference", "training_step": "training_step"}


def cost_table(study: Study) -> pd.DataFrame:
    """A row a (dataset, model): counts, times in ms with their spread over rounds, throughput, memory, energy.

    `…_ratio`: to the dataset's first model without attention, of times round by round; empty where there is none.
    `energy`: where the joules come from, or why there are none.
    """
    rows = []
    for dataset, path in plan.profiles(study).items():
        found, names = files.read_json(path), study.models_on(dataset)
        base = next((found["models"][name] for name in names if not study.models[name].modules), None)
        facts = {"batch_size": found["settings"]["batch_size"], "image": "x".join(map(str, found["image"]))}
        facts |= {"energy": found["energy"]["source"] or found["energy"]["reason"]}
        facts |= {"hardware": provenance.hardware(found["provenance"]), "commit": found["provenance"]["commit"]}
        rows += [{"dataset": dataset, "model": name} | costs(found["models"][name], base) | facts for name in names]
    return pd.DataFrame(rows)


def costs(own: dict, base: dict | None) -> dict:
    """A model's row, of its profile and that of the model that it is compared with."""
    row = {"parameters": own["parameters"]["total"], "attention_parameters": own["parameters"]["attention"]}
    row |= {"macs": own["macs"], "macs_ratio": own["macs"] / base["macs"] if base else None}
    row |= {"attention_matrix_bytes": own["attention_matrix_bytes"]}
    for name, measurement in TIMES.items():
        times = own[measurement]
        row |= {f"{name}_ms": times["median_ms"], f"{name}_iqr_ms": times["iqr_ms"]}
        ratio, iqr = round_ratio(times["rounds_ms"], base[measurement]["rounds_ms"]) if base else (None, None)
        row |= {f"{name}_ratio": ratio, f"{name}_ratio_iqr": iqr}
    row |= {"inference_images_per_s": own["inference"]["images_per_s"]}
    row |= {"training_images_per_s": own["training_step"]["images_per_s"]}
    row |= {"training_memory_bytes": own["training_memory"]["bytes"]}
    return row | {f"{name}_joules": value for name, value in own["joules"].items()}


def round_ratio(own: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """Median and interquartile range of the rounds' ratios: what slows a whole round is not in them."""
    low, median, high = np.percentile(np.divide(own, base), (25, 50, 75)).tolist()
    return median, high - low
