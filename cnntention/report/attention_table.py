"""The runs' attention.json as a table: a row a run and attention module; accuracy drops and spreads are shares."""

from typing import Any

import pandas as pd

from cnntention import files
from cnntention.config import Run

COLUMNS = (
    *("dataset", "model", "recipe", "key", "seed", "module", "kind", "gate", "relative_change", "state"),
    *("accuracy_drop_identity", "accuracy_drop_mean", "entropy", "distance", "uniform_distance", "head_diversity"),
    *("channel_spread", "spatial_spread"),
    *(f"norm_{layer}" for layer in ("query", "key", "value", "out", "mlp.0", "mlp.2", "spatial")),
)
"""Always there; the norms of a plugin's layers follow."""


def read_attention(run: Run) -> dict[str, Any]:
    return files.read_json(f"{run.folder}/attention.json")


def attention_table(runs: list[Run]) -> pd.DataFrame:
    """What `diagnose` found of every attention module; empty where a module has no such thing (a head, a gate)."""
    rows = [module_row(run, name, found) for run in runs for name, found in read_attention(run)["modules"].items()]
    columns = dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)])
    return pd.DataFrame(rows, columns=list(columns))


def module_row(run: Run, name: str, found: dict[str, Any]) -> dict[str, Any]:
    heads, gates = found["attention"] or {}, found["gates"] or {}
    row = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "key": run.key, "seed": run.seed}
    row |= {"module": name} | {column: found[column] for column in ("kind", "gate", "relative_change", "state")}
    row |= {"accuracy_drop_identity": found["without"]["drop"], "accuracy_drop_mean": found["mean_effect"]["drop"]}
    row |= {column: heads.get(column) for column in ("entropy", "distance", "uniform_distance", "head_diversity")}
    row |= {f"{gate}_spread": gates[gate]["spread"] for gate in gates}
    return row | {f"norm_{layer}": norm for layer, norm in found["norms"].items()}


def liveness(run: Run) -> dict[str, Any]:
    """The run's columns of the run table; empty, but for the counts, if the model has no attention."""
    found = read_attention(run)
    row = {"attention_alive": found["attention_alive"], "modules_alive": found["modules_alive"]}
    without = found["without_all"] or {}
    return row | {"modules": len(found["modules"]), "accuracy_without_attention": without.get("accuracy")}
