"""The runs' attention.json as a table: a row a run and attention module; accuracy drops and spreads are shares."""

from typing import Any

import pandas as pd

from cnntention.report.records import Record

COLUMNS = (
    *("dataset", "model", "recipe", "key", "seed", "module", "kind", "gate", "relative_change", "state"),
    *("accuracy_drop_identity", "accuracy_drop_mean", "accuracy_drop_head", "entropy", "distance", "uniform_distance"),
    *("head_diversity", "effective_heads", "channel_spread", "spatial_spread"),
    *(f"norm_{layer}" for layer in ("query", "key", "value", "out", "mlp.0", "mlp.2", "spatial")),
)
"""Always there; the norms of a plugin's layers follow. accuracy_drop_head: without the head that is missed most."""
USED = 2  # standard errors by which accuracy must fall without all attention for that to count as used


def attention_table(records: list[Record]) -> pd.DataFrame:
    """What `diagnose` found of every attention module; empty where a module has no such thing (a head, a gate)."""
    rows = [module_row(r, name, found) for r in records for name, found in r.attention["modules"].items()]
    columns = dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)])
    return pd.DataFrame(rows, columns=list(columns))


def module_row(record: Record, name: str, found: dict[str, Any]) -> dict[str, Any]:
    maps, gates = found["attention"] or {}, found["gates"] or {}
    drops = [head["drop"] for head in maps.get("heads", []) if "drop" in head]
    measures = ("entropy", "distance", "uniform_distance", "head_diversity", "effective_heads")
    row = record.head | {"key": record.run.key, "module": name}
    row |= {column: found[column] for column in ("kind", "gate", "relative_change", "state")}
    row |= {"state": "diverged"} if record.diverged else {}
    row |= {"accuracy_drop_identity": found["without"]["drop"], "accuracy_drop_mean": found["mean_effect"]["drop"]}
    row |= {"accuracy_drop_head": max(drops, default=None)} | {column: maps.get(column) for column in measures}
    row |= {f"{gate}_spread": gates[gate]["spread"] for gate in gates}
    return row | {f"norm_{layer}": norm for layer, norm in found["norms"].items()}


def liveness(record: Record) -> dict[str, Any]:
    """The run's columns of the run table; empty, but for counts, if the model has no attention or the run diverged."""
    found = {} if record.diverged else record.attention
    without = found.get("without_all") or {}
    # No part of attention_alive: attention that is at work and useless is a finding, not a failed precondition.
    used = without["drop"] > USED * without["drop_se"] if without else None
    row = {"modules": len(record.attention["modules"])}
    row |= {name: found.get(name) for name in ("modules_alive", "attention_alive")}
    return row | {"attention_used": used, "accuracy_without_attention": without.get("accuracy")}
