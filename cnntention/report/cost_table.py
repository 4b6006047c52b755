"""The profiles as a table: what each model costs on each dataset's images."""

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
        rounds = np.array(own[measurement]["rounds_ms"])
        # of the rounds' ratios: what slows a whole round is not in them
        ratios = rounds / base[measurement]["rounds_ms"] if base else np.full(1, np.nan)
        row |= spread(f"{name}_ms", rounds) | spread(f"{name}_ratio", ratios)
    row |= {"inference_images_per_s": own["inference"]["images_per_s"]}
    row |= {"training_images_per_s": own["training_step"]["images_per_s"]}
    row |= {"training_memory_bytes": own["training_memory"]["bytes"]}
    return row | {f"{name}_joules": value for name, value in own["joules"].items()}


def spread(name: str, rounds: np.ndarray) -> dict[str, float]:
    """The median, under the name itself, and the quartiles of a measurement's rounds."""
    low, median, high = np.percentile(rounds, (25, 50, 75)).tolist()
    return {name: median, f"{name}_q25": low, f"{name}_q75": high}
