"""The gate that a module which multiplies, y = x * g, has in effect, from its inputs and outputs."""

import torch
from torch import Tensor

from cnntention.models.effects import gate_parts


class EffectiveGate:
    """Collects (B, C, H, W) inputs and outputs. All means are weighted by |x|, since g is unknown where x is 0."""

    def __init__(self):
        self.total: Tensor | float = 0.0  # (C, H, W): sum over images of g |x|
        self.count: Tensor | float = 0.0  # of |x|
        self.first: Tensor | None = None  # mean gate of the first batch: variances around it lose no digits
        self.moments: tuple[Tensor | float, Tensor | float] = 0.0, 0.0  # of (g - first) |x| and (g - first)^2 |x|
        self.parts: dict[str, list[Tensor]] = {"channel": [], "spatial": []}

    def add(self, x: Tensor, y: Tensor) -> None:
        total, count = gate_parts(x, y)
        self.total, self.count = self.total + total.sum(0), self.count + count.sum(0)
        if self.first is None:
            self.first = self.mean()
        change = total - self.first * count
        squares = change.square() / count.where(count > 0, 1)
        self.moments = self.moments[0] + change.sum(0), self.moments[1] + squares.sum(0)
        self.parts["channel"].append(total.sum((2, 3)) / count.sum((2, 3)))  # nan where x is 0
        self.parts["spatial"].append(total.sum(1) / count.sum(1))

    def mean(self) -> Tensor:
        """(C, H, W): over images; 1 where x was 0 in all."""
        return (self.total / self.count).nan_to_num(1.0)

    def gates(self) -> dict[str, Tensor]:
        """ "channel" (N, C) and "spatial" (N, H, W); where an image has only zeros, the other images' mean."""
        return {name: known(torch.cat(parts)) for name, parts in self.parts.items()}

    def spread(self) -> float:
        """Standard deviation over images of the gate of a channel and place, averaged over these."""
        weight = self.count.where(self.count > 0, 1)
        mean, square = (moment / weight for moment in self.moments)
        deviations = (square - mean.square()).clamp_min(0).sqrt()
        return ((deviations * self.count).sum() / self.count.sum().clamp_min(1e-12)).item()


def known(gates: Tensor) -> Tensor:
    """(N, ...) without nan: the column's mean instead, or 1 if it has none."""
    return torch.where(gates.isnan(), gates.nanmean(0), gates).nan_to_num(1.0)
