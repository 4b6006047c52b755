"""Base of the configuration: strict objects, keys, overlays, and errors that name the nearest known word."""

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


def shown(value: Any) -> str:
    """The value as Python writes it: on one line, at most 80 characters."""
    try:
        text = ascii(value) if not repr(value).isprintable() else repr(value)
    except (ValueError, RecursionError):  # a number of over 4300 digits, or very deep lists
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:80]}…"


def nearest(word: Any, known: Iterable[str]) -> str:
    """`; did you mean 'a'? Known: a, b`, the end of an error about an unknown word."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(str(word)[:80] if isinstance(word, str) else shown(word), known, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ";"
    return f"{hint} Known: {', '.join(known) or 'none'}"


def one_or_many(value: Any) -> Any:
    """`models: cbam` in YAML means `models: [cbam]`."""
    return value if isinstance(value, list | tuple) else [value]


def require(name: str, known: Iterable[str], key: str, what: str) -> None:
    """Raise ValueError for an undefined name; the message has the key that uses it and the nearest known names."""
    if name not in known:
        raise ValueError(f"{key}: unknown {what} {shown(name)}{nearest(name, known)}")


def merge(base: Mapping, overlay: Mapping) -> dict:
    """`base` updated by `overlay`: mappings merge recursively, anything else is replaced (as Snakemake does)."""
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def extended(section: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with `extends: <name>` resolved: a copy of that entry, updated by the entry's other keys."""

    def resolve(name: str, below: tuple[str, ...]) -> Any:
        entry = entries[name]
        if not isinstance(entry, Mapping) or "extends" not in entry:
            return entry
        base = entry["extends"]
        if not isinstance(base, str):
            raise ValueError(f"{section}.{name}.extends: give the name of another {section[:-1]}, not {shown(base)}")
        require(base, entries, f"{section}.{name}.extends", section[:-1])
        if base in (*below, name):
            raise ValueError(f"{section}.{name}.extends: {' > '.join((*below, name, base))} goes in a circle")
        changes = {key: value for key, value in entry.items() if key != "extends"}
        found = resolve(base, (*below, name))
        if not isinstance(found, Mapping):
            raise ValueError(f"{section}.{base}: give a mapping of keys, since {name!r} extends it")
        return merge(found, changes)

    return {name: resolve(name, ()) for name in entries}


class Strict(BaseModel):
    """A frozen part of the configuration. Unknown keys are errors that name the nearest known ones."""

    # with a length pydantic reads text, and refuses what no file can hold: halves of characters
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, str_max_length=10_000
    )

    @model_validator(mode="before")
    @classmethod
    def refuse_unknown_keys(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key {shown(key)}{nearest(key, cls.model_fields)}")
                if isinstance(data[key], bool) and cls.model_fields[key].annotation in (int, float):
                    raise ValueError(f"{key}: give a number, not {data[key]}")  # pydantic would take it for 0 or 1
        return data


def may_be_partial(schema: dict) -> None:
    """Schema for editors: no key is required, since `extends` may provide it."""
    schema.pop("required", None)


def may_extend(schema: dict) -> None:
    """Schema for editors: add `extends`, with a description."""
    may_be_partial(schema)
    text = "Name of another entry of this section: its keys hold here too, unless they are given again."
    schema["properties"] = {"extends": {"type": "string", "description": text}} | schema["properties"]
