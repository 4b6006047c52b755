"""Read a study from YAML files or mappings; an error becomes one sentence."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnntention.config.attention import ATTENTION_OPTIONS
from cnntention.config.base import merge, nearest, shown
from cnntention.config.sources import FORMATS
from cnntention.config.study import Study
from cnntention.errors import UserError

TOO_DEEP = "configuration: is nested too deeply, or an entry holds itself."


def place(loc: Iterable[str | int], config: Any) -> list[str | int]:
    """pydantic's location as it is in the file: without union tags, and without the index of a one-element list."""
    hidden = set(ATTENTION_OPTIONS) | {"plugin", *FORMATS, "fixed", "adaptive"}
    keys: list[str | int] = []
    for i, part in enumerate(loc):
        listed = isinstance(config, list | tuple)
        if (part in hidden and i > 1) or (isinstance(part, int) and not listed):
            continue
        keys.append(part)
        if listed:
            config = config[part] if isinstance(part, int) and part < len(config) else None
        else:
            config = config.get(part) if isinstance(config, Mapping) else None
    return keys


def on_one_line(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def sentence(error: ValidationError, config: Mapping) -> str:
    """pydantic's first error as one sentence that starts with its key."""
    first = error.errors()[0]
    loc = place(first["loc"], config)
    key = on_one_line(".".join(str(part)[:80] for part in loc if part != "[key]"))
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    was = f" (it is {shown(given)})" if isinstance(given, str | int | float | bool | None) else ""
    if first["type"] == "missing":
        return f"{key}: this key is missing"
    if first["type"] == "value_error":
        message = on_one_line(message)
        return f"{key}: {message}" if key else message
    if first["type"] in ("model_type", "model_attributes_type"):
        return f"{key}: give a mapping of keys{was}"
    if first["type"] == "union_tag_not_found":
        return f"{key}.format: this key is missing"
    if first["type"] == "union_tag_invalid":
        tags = first["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"{key}.format: unknown format {shown(first['ctx']['tag'])}{nearest(first['ctx']['tag'], tags)}"
    return f"{key}: {message[0].lower()}{message[1:]}{was}"


def parse_study(config: Mapping) -> Study:
    """A study from mappings; raises UserError with one sentence."""
    try:
        return Study.model_validate(dict(config))
    except RecursionError:
        raise UserError(TOO_DEEP) from None
    except ValidationError as error:
        more = error.error_count() - 1
        also = f" ({more} more like it)" if more else ""
        raise UserError(f"configuration: {sentence(error, config)}.{also}".replace("..", ".")) from None


def load(paths: Iterable[str | Path]) -> Study:
    """A study from YAML or JSON files, each laid over the ones before it."""
    config: dict = {}
    try:
        for path in paths:
            config = merge(config, read(path))
    except RecursionError:  # a mapping that holds itself
        raise UserError(TOO_DEEP) from None
    return parse_study(config)


def read(path: str | Path) -> Mapping:
    """The keys of one YAML or JSON file; UserError names the file and, in YAML, line and column."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValueError as error:
        raise UserError(f"{path}: is not UTF-8 text ({error}); save it as UTF-8.") from None
    if path.suffix == ".json":
        part = parse_json(path, text)
    else:
        from cnntention.config.yamls import parse_yaml  # slow to import; steps of a workflow read JSON

        part = parse_yaml(path, text)
    if not isinstance(part, Mapping):
        raise UserError(f"{path}: holds no keys; a study is a mapping such as `study: {{name: mine}}`.")
    return part


def parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=without_twins)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: is not JSON that can be used ({error}).") from None


def without_twins(pairs: list[tuple[str, Any]]) -> dict:
    if len(made := dict(pairs)) < len(pairs):
        raise ValueError(f"a key is there twice among {', '.join(list(made)[:5])}")
    return made
