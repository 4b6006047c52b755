"""From YAML and plain mappings to a study; what is wrong with them becomes one sentence."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from cnntention.config.base import nearest
from cnntention.config.models import ATTENTION_OPTIONS
from cnntention.config.study import Study
from cnntention.errors import UserError


def merge(base: dict, overlay: Mapping) -> dict:
    """`base` with `overlay` laid over it: mappings merge, all else is replaced (as Snakemake does)."""
    merged = dict(base)
    for key, value in overlay.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def sentence(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, as one sentence with the key it is under."""
    first = error.errors()[0]
    hidden = set(ATTENTION_OPTIONS) | {"plugin", "idx", "cifar-binary", "npz", "cuematch"}
    loc = [part for i, part in enumerate(first["loc"]) if not (part in hidden and i > 1)]
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
    """A study from plain mappings; raises UserError with one sentence."""
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        more = error.error_count() - 1
        also = f" ({more} more like it)" if more else ""
        raise UserError(f"configuration: {sentence(error)}.{also}".replace("..", ".")) from None


def load(paths: Iterable[str | Path]) -> Study:
    """A study from YAML or JSON files; later ones are laid over earlier ones."""
    config: dict = {}
    for path in paths:
        try:
            part = yaml.safe_load(Path(path).read_text())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}).") from None
        except yaml.YAMLError as error:
            raise UserError(f"{path}: is not YAML ({str(error).splitlines()[0]}).") from None
        if not isinstance(part, Mapping):
            raise UserError(f"{path}: holds no keys; a study is a mapping such as `study: {{name: mine}}`.")
        config = merge(config, part)
    return parse_study(config)
