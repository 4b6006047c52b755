"""The runs' attention.json as a table: a row a run and attention module; accuracy drops and spreads are shares."""

from typing import Any

import pandas as pd

from cnntention.report.records import Record

COLUMNS = (
    *("dataset", "model", "recipe", "key", "seed", "module", "kind", "gate", "relative_change", "state"),
    *("accuracy_drop_identity", "accuracy_drop_mean", "entropy", "distance", "uniform_distance", "head_diversity"),
    *("channel_spread", "spatial_spread"),
    *(f"norm_{layer}" for layer in ("query", "key", "value", "out", "mlp.0", "mlp.2", "spatial")),
)
"""Always there; the norms of a plugin's layers follow."""


def attention_table(records: list[Record]) -> pd.DataFrame:
    """What `diagnose` found of every attention module; empty where a module has no such thing (a head, a gate)."""
    rows = [module_row(r, name, found) for r in records for name, found in r.attention["modules"].items()]
    columns = dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)])
    return pd.DataFrame(rows, columns=list(columns))


def module_row(record: Record, name: str, found: dict[str, Any]) -> dict[str, Any]:
    heads, gates = found["attention"] or {}, found["gates"] or {}
    row = record.head | {"key": record.run.key, "module": name}
    row |= {column: found[column] for column in ("kind", "gate", "relative_change", "state")}
    row |= {"accuracy_drop_identity": found["without"]["drop"], "accuracy_drop_mean": found["mean_effect"]["drop"]}
    row |= {column: heads.get(column) for column in ("entropy", "distance", "uniform_distance", "head_diversity")}
    row |= {f"{gate}_spread": gates[gate]["spread"] for gate in gates}
    return row | {f"norm_{layer}": norm for layer, norm in found["norms"].items()}


def liveness(record: Record) -> dict[str, Any]:
    """The run's columns of the run table; empty, but for the counts, if the model has no attention."""
    found = record.attention
    row = {"attention_alive": found["attention_alive"], "modules_alive": found["modules_alive"]}
    without = found["without_all"] or {}
    return row | {"modules": len(found["modules"]), "accuracy_without_attention": without.get("accuracy")}
