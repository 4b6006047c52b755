"""Wider networks without attention that cost what a network with it costs."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from cnntention.config import Model
from cnntention.errors import UserError
from cnntention.models.registry import build, parameter_counts
from cnntention.profiling.measure import count_macs

WIDEST = 4  # times the backbone's width


def wider(depth: int, width: int, with_attention: Mapping[str, Any], shape: tuple[int, int, int]) -> dict[str, int]:
    """{"macs": width, "parameters": width}: of the network without attention whose count is nearest.

    Without those for which the backbone itself is nearest. `shape`: (C, H, W) of the images. UserError if the module
    has no such options.
    """
    of = {"macs": lambda net: count_macs(net, shape), "parameters": lambda net: parameter_counts(net)["total"]}
    try:
        model = Model.model_validate(with_attention)
    except ValidationError as error:
        raise UserError(f"{error.errors()[0]['msg'].removeprefix('Value error, ')}.") from None
    target = build(model, shape[0], 10, image=shape[1:])
    goals = {"parameters": of["parameters"](target)}  # first: counting MACs loses the values
    goals["macs"] = of["macs"](target)
    found = {name: nearest(depth, width, goals[name], count, shape) for name, count in of.items()}
    return {name: best for name, best in found.items() if best != width}


def nearest(depth: int, width: int, goal: int, count: Callable[[Any], int], shape: tuple[int, int, int]) -> int:
    off = {}
    for wide in range(width, WIDEST * width + 1):
        made = count(build(Model(depth=depth, width=wide), shape[0], 10))
        off[wide] = abs(made - goal)
        if made > goal:
            break
    return min(off, key=off.__getitem__)
