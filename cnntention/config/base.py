"""What every part of the configuration stands on: strict objects, keys, errors that name the nearest word."""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=60)]


def digest(value: Any) -> str:
    """A key: 10 hexadecimal digits of the SHA-256 of `value` as JSON with sorted keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def nearest(word: Any, known: Iterable[str]) -> str:
    """`; did you mean 'a'? Known: a, b` for a word that is not among `known`."""
    known = sorted(known)
    close = difflib.get_close_matches(str(word), known, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ";"
    return f"{hint} Known: {', '.join(known) or 'none'}"


def one_or_many(value: Any) -> Any:
    """Let YAML say `models: cbam` where a list is meant."""
    return value if isinstance(value, list | tuple) else [value]


def require(name: str, known: Iterable[str], key: str, what: str) -> None:
    """Refuse a name that is not defined, with the key that uses it and the nearest known ones."""
    if name not in known:
        raise ValueError(f"{key}: unknown {what} {name!r}{nearest(name, known)}")


class Strict(BaseModel):
    """A frozen part of the configuration that refuses keys it does not know and names the nearest ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {key!r}{nearest(key, cls.model_fields)}")
        return data
