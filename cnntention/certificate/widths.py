"""Wider networks without attention that cost what a network with it costs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from cnntention.config import Model
from cnntention.errors import UserError
from cnntention.models.registry import build, check_model, parameter_counts
from cnntention.profiling.measure import count_macs

WIDEST = 4  # times the backbone's width


class Widths(NamedTuple):
    """How a network with attention compares in size with wider ones without."""

    nearest: dict[str, int]
    """{"macs": width, "parameters": width}: of the network whose count is nearest. Without those for which that is the
    backbone itself."""
    fewer: list[str]
    """Of what the widest that is tried has clearly less."""
    own: int
    """Parameters of the attention itself."""


def wider(depth: int, width: int, with_attention: Mapping[str, Any], shape: tuple[int, int, int]) -> Widths:
    """`shape`: (C, H, W) of the images. UserError if the module has no such options, or does not work."""
    of = {"macs": lambda net: count_macs(net, shape), "parameters": lambda net: parameter_counts(net)["total"]}
    try:
        model = Model.model_validate(with_attention)
    except ValidationError as error:
        raise UserError(f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
    check_model("", model, [])
    target = build(model, shape[0], 10, image=shape[1:])
    found, fewer = {}, []
    for name, count in of.items():
        goal = count(target)
        best, made = nearest(depth, width, goal, count, shape)
        found |= {name: best} if best != width else {}
        fewer += [name] if made < 0.9 * goal else []
    return Widths(found, fewer, parameter_counts(target)["attention"])


def nearest(
    depth: int, width: int, goal: int, count: Callable[[Any], int], shape: tuple[int, int, int]
) -> tuple[int, int]:
    """(width, count) of the network whose count is nearest to the goal."""
    counts = {}
    for wide in range(width, WIDEST * width + 1):
        counts[wide] = count(build(Model(depth=depth, width=wide), shape[0], 10))
        if counts[wide] > goal:
            break
    return min(counts.items(), key=lambda item: abs(item[1] - goal))
