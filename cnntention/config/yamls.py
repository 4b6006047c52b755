"""YAML that means what it looks like: a key given twice, or 1:30, is an error with its line and column."""

import re
from typing import Any

import yaml

from cnntention.errors import UserError

DEPTH = 50  # nested collections; libyaml crashes at some 100,000
BASE_60 = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.\d*)?")


def parse_yaml(path: Any, text: str) -> Any:
    """The content of a YAML file; UserError names the file, line and column."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml, ten times as fast
    try:
        refuse_traps(text, loader)
        return yaml.load(text, loader)
    except yaml.MarkedYAMLError as error:
        mark, problem = error.problem_mark or error.context_mark, " ".join(f"{error.problem}".split())
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{path}{where}: is not YAML that can be used ({problem}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date or number that is none
        raise UserError(f"{path}: is not YAML that can be used ({' '.join(str(error).split())}).") from None


def refuse_traps(text: str, loader: type) -> None:
    """Raise MarkedYAMLError for a key given twice, a number to base 60, or very deep nesting."""
    around: list[tuple[bool, list]] = []  # of each open collection: whether it is a mapping, and its nodes
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.CollectionEndEvent):
            around.pop()
        elif isinstance(event, yaml.NodeEvent):
            value = event.value if isinstance(event, yaml.ScalarEvent) else None
            problem = ""
            if around:
                mapping, nodes = around[-1]
                if mapping and len(nodes) % 2 == 0 and value is not None and value in nodes[::2]:
                    problem = f"the key {value[:60]!r} is there twice in one mapping"
                nodes.append(value)
            if value is not None and event.implicit[0] and BASE_60.fullmatch(value):
                problem = (
                    f"{value[:60]} is a number to base 60 in YAML; write it in quotes, or the number that you mean"
                )
            if isinstance(event, yaml.CollectionStartEvent):
                around.append((isinstance(event, yaml.MappingStartEvent), []))
                problem = problem or ("too many levels" if len(around) > DEPTH else "")
            if problem:
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
