"""Tables with one schema each: the fields of a class are a table's columns, their docstrings what these mean."""

import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from cnntention import files
from cnntention.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TABLES: dict[str, type["Row"]] = {}
"""File name without .csv -> the class of its rows, in the order in which docs/tables.md tells them."""


class Record(BaseModel):
    """A typed part of a result; refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The record in a JSON file; UserError if that is missing, broken, or another version's."""
        value = files.read_record(path)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            key, wrong = ".".join(map(str, first["loc"])) or "the file", first["msg"]
            wrong = wrong[:1].lower() + wrong[1:]
            raise UserError(f"{path}: {key}: {wrong}; delete the folder and run its step again.") from None

    def write(self, path: str | Path) -> None:
        files.write_record(path, json.loads(self.model_dump_json()))  # null for NaN and infinities


class Row(Record):
    """One row of a table, or the part of it that a step knows."""

    def __init_subclass__(cls, table: str = "", **more: Any) -> None:
        super().__init_subclass__(**more)
        if table:
            TABLES[table] = cls

    @classmethod
    def columns(cls) -> dict[str, type]:
        """Name -> type of each column, in order: str, int, float or bool; empty cells are allowed where None is."""
        return {name: plain(field.annotation) for name, field in cls.model_fields.items()}


def plain(annotation: Any) -> type:
    """The type of a column's values, without None; an enum's are strings."""
    kinds = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return str if issubclass(kind, StrEnum) else kind


def frame(rows: Iterable[Row], kind: type[Row]) -> "pd.DataFrame":
    """Rows as a table with the columns of `kind`, also if there is none."""
    import pandas as pd

    found = [row.model_dump(mode="json") for row in rows]
    return typed(pd.DataFrame(found, columns=list(kind.columns())), kind)


def typed(table: "pd.DataFrame", kind: type[Row]) -> "pd.DataFrame":
    """Integers and truths may have empty cells, text has none."""
    kinds = {str: "str", int: "Int64", float: "float64", bool: "boolean"}
    made = table.astype({name: kinds[of] for name, of in kind.columns().items()})
    words = [name for name, of in kind.columns().items() if of is str]
    made[words] = made[words].fillna("")
    return made


def read_table(folder: str | Path, name: str) -> "pd.DataFrame":
    """`<folder>/<name>.csv`; UserError if it is not what card.json describes, or has other columns than its schema."""
    path, kind = Path(folder) / f"{name}.csv", TABLES[name]
    columns, recorded = kind.columns(), files.read_record(path.with_name("card.json"))["sha256"]
    found = files.read_csv(path, [column for column, of in columns.items() if of is str], recorded[path.name])
    if list(found) != list(columns):
        odd = sorted(set(found) ^ set(columns)) or ["their order"]
        raise UserError(f"{path}: has other columns than this version writes ({', '.join(odd)}); run `summarise` anew.")
    with files.readable(path):
        return typed(found, kind)


def describe_tables() -> str:
    """docs/tables.md: every table and column, from the docstrings."""
    parts = ["# Tables\n", "Written by `make docs` from `cnntention/results/tables/`. Shares lie between 0 and 1.\n"]
    for name, kind in TABLES.items():
        parts.append(f"## {name}.csv\n\n{' '.join((kind.__doc__ or '').split())}\n")
        parts.append("| column | type | meaning |\n| --- | --- | --- |")
        for column, field in kind.model_fields.items():
            empty = ", may be empty" if NoneType in get_args(field.annotation) else ""
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            parts.append(f"| `{column}` | {kind.columns()[column].__name__}{empty} | {meaning} |")
        parts.append("")
    return "\n".join(parts)
