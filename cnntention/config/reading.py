"""Read a study from YAML files or mappings; an error becomes one sentence."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cnntention.config.base import merge, nearest
from cnntention.config.models import ATTENTION_OPTIONS
from cnntention.config.study import Study
from cnntention.errors import UserError


def place(loc: Iterable[str | int], config: Any) -> list[str | int]:
    """pydantic's location as it is in the file: without union tags, and without the index of a one-element list."""
    hidden = set(ATTENTION_OPTIONS) | {"plugin", "idx", "cifar-binary", "npz", "cuematch"}
    keys: list[str | int] = []
    for i, part in enumerate(loc):
        listed = isinstance(config, list | tuple)
        if (part in hidden and i > 1) or (isinstance(part, int) and not listed):
            continue
        keys.append(part)
        config = config[part] if listed else config.get(part) if isinstance(config, Mapping) else None
    return keys


def sentence(error: ValidationError, config: Mapping) -> str:
    """pydantic's first error as one sentence that starts with its key."""
    first = error.errors()[0]
    loc = place(first["loc"], config)
    key = ".".join(str(part) for part in loc if part != "[key]")
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool | None) else ""
    if first["type"] == "missing":
        return f"{key}: this key is missing"
    if first["type"] == "value_error":
        return f"{key}: {message}" if key else message
    if first["type"] == "union_tag_invalid":
        tags = first["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"{key}.format: unknown format {first['ctx']['tag']!r}{nearest(first['ctx']['tag'], tags)}"
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"


def parse_study(config: Mapping) -> Study:
    """A study from mappings; raises UserError with one sentence."""
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        more = error.error_count() - 1
        also = f" ({more} more like it)" if more else ""
        raise UserError(f"configuration: {sentence(error, config)}.{also}".replace("..", ".")) from None


def load(paths: Iterable[str | Path]) -> Study:
    """A study from YAML or JSON files, each laid over the ones before it."""
    config: dict = {}
    for path in map(Path, paths):
        try:
            text = path.read_text()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
        part = parse_json(path, text) if path.suffix == ".json" else parse_yaml(path, text)
        if not isinstance(part, Mapping):
            raise UserError(f"{path}: holds no keys; a study is a mapping such as `study: {{name: mine}}`.")
        config = merge(config, part)
    return parse_study(config)


def parse_json(path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: is not JSON ({error}).") from None


def parse_yaml(path: Path, text: str) -> Any:
    import yaml  # slow to import; steps of a workflow read JSON

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml, ten times as fast
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from None
