"""Attention modules: (B, C, H, W) -> (B, C, H, W), each registered under its `kind` in config.yaml.

To add one, decorate a subclass of `Attention` (or any nn.Module that takes channels and keeps the shape) with
`@register("its-kind")`; its constructor's keywords are its options in config.yaml. A class that uses an operation
without a deterministic GPU kernel needs `deterministic = False`. See docs/extending.md.
"""

import inspect
import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntention.models.resnet import init_kaiming

KINDS: dict[str, type[nn.Module]] = {}
CHANNELS = re.compile(r"chan|planes|features|feats|filters|^(dims?|.*_dim|d_model|inp|in_?c|c1?|ch|nc|width)$")
"""Names of a constructor's argument that are numbers of channels."""
OUTPUT = re.compile(r"ou?t?p|out_?(channels?|planes|dims?|features|c|ch)|(dim|channels|planes|ch)_out|c2")
"""Of these, the names of output channels."""


def register(kind: str) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Class decorator: register a module as `kind`; ValueError if another file has registered that name."""

    def add(cls: type[nn.Module]) -> type[nn.Module]:
        known = KINDS.setdefault(kind, cls)
        if known.__module__ != cls.__module__:
            raise ValueError(f"{kind!r} is registered already, by {known.__module__}; use another name")
        KINDS[kind] = cls
        return cls

    return add


def make(cls: type[nn.Module], channels: int, size: tuple[int, int], options: dict) -> nn.Module:
    """A module for features of that many channels and (H, W) `size`, which it is told if it takes `feat_size`.

    Channels are its first argument, unless that is an option or has a default and no name of channels; then they are
    the argument that has such a name, if any. A required number of output channels is the same.
    """
    known = dict(list(inspect.signature(cls.__init__).parameters.items())[1:])
    given = {"feat_size": size} if "feat_size" in known else {}
    given |= {name: channels for name, p in known.items() if p.default is p.empty and OUTPUT.fullmatch(name)} | options
    if not known or cls.__init__ is nn.Module.__init__:
        return cls(**given)
    first = next(iter(known.values()))
    if first.name not in options and (first.default is first.empty or CHANNELS.search(first.name)):
        return cls(channels, **{name: value for name, value in given.items() if name != first.name})
    named = next((name for name in known if CHANNELS.search(name) and name not in given), None)
    return cls(**given, **({named: channels} if named else {}))


class Attention(nn.Module):
    """Base class: combines `attend(x)` with its input.

    residual: "none" y = f(x); "plain" y = x + f(x); "gated" y = x + gate f(x), with one scalar gate that starts at
    `gate_init`.
    """

    def __init__(self, residual: str = "gated", gate_init: float = 0.0, gate_learned: bool = True):
        super().__init__()
        self.residual = residual
        if residual == "gated":
            self.gate = nn.Parameter(torch.full((1,), float(gate_init)), requires_grad=gate_learned)

    def forward(self, x: Tensor) -> Tensor:
        y = self.attend(x)
        if self.residual == "none":
            return y
        return x + y if self.residual == "plain" else x + self.gate * y

    def attend(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), without the residual."""
        raise NotImplementedError

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """Attention maps or gates for the input `x`; names and shapes depend on the kind."""
        return {}


def dot_product(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """softmax(scale q k^T) v for (B, heads, L, d). The branches only make it faster; results match up to rounding."""
    dim, length = q.shape[-1], q.shape[-2]
    if q.device.type == "cuda":  # fused kernels need d to be a multiple of 8; without them (L, L) scores are stored
        return padded(q, k, v, scale, -dim % 8)
    if q.device.type != "cpu":
        return padded(q, k, v, scale, 0)
    with torch.autocast("cpu", enabled=False):  # keep the precision of q, k and v
        if q.dtype == torch.bfloat16 and length <= 256:
            return in_pieces(q, k, v, scale)
        return padded(q, k, v, scale, max(0, 16 - dim))  # the kernel is slow on narrow heads


def padded(q: Tensor, k: Tensor, v: Tensor, scale: float, extra: int) -> Tensor:
    """Fused attention with each head padded by `extra` zeros, which change no dot product."""
    if not extra:
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    wide = (F.pad(t, (0, extra)) for t in (q, k, v))
    return F.scaled_dot_product_attention(*wide, scale=scale)[..., : q.shape[-1]]


def in_pieces(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """Plain attention, a few images at a time: for short sequences in bf16 faster than the CPU's fused kernel.

    A piece's scores, (images, heads, L, L), fit the cache. The backward pass keeps them all, so only for short L.
    """
    images = max(1, 2**21 // (q.shape[1] * q.shape[2] ** 2))
    pieces = zip(q.split(images), k.split(images), v.split(images), strict=True)
    return torch.cat([(scale * a @ b.mT).softmax(dim=-1) @ c for a, b, c in pieces])


def sine_positions(channels: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """(1, C, H, W): sines and cosines of row and column, a quarter of the channels each (Vaswani et al. 2017, 3.5).

    Frequencies fall geometrically from 1 to 1/100 per pixel, since the grids have at most 32 rows, not 10,000 words.
    """
    quarter = -(-channels // 4)
    frequencies = 100.0 ** (-torch.arange(quarter, device=device) / quarter)
    rows = (torch.arange(height, device=device)[:, None] * frequencies)[:, None].expand(-1, width, -1)  # (H, W, C / 4)
    columns = (torch.arange(width, device=device)[:, None] * frequencies)[None].expand(height, -1, -1)
    waves = torch.cat([rows.sin(), rows.cos(), columns.sin(), columns.cos()], dim=-1)
    return waves[..., :channels].permute(2, 0, 1)[None]


@register("multi-head")
class MultiHead(Attention):
    """Multi-head dot-product self-attention over all positions (Vaswani et al. 2017, arXiv 1706.03762, eq. 1).

    query, key, value and `out` are 1x1 convolutions with bias. query_key: "learned"; "frozen" as initialized; "zero"
    for uniform attention. positions: "sine" adds a fixed encoding to the input of queries and keys. Differs from the
    paper: no normalization, no dropout, a learned gate on the output, positions are optional.
    """

    def __init__(
        self,
        channels: int,
        heads: int = 8,
        scale: float | None = None,
        query_key: str = "learned",
        positions: str = "none",
        **residual,
    ):
        super().__init__(**residual)
        self.heads = heads
        self.positions = positions
        self.scale = (channels // heads) ** -0.5 if scale is None else scale
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.out = self.projection(channels)
        init_kaiming(self)
        for conv in (self.query, self.key):
            conv.requires_grad_(query_key == "learned")
            if query_key == "zero":
                nn.init.zeros_(conv.weight)
                nn.init.zeros_(conv.bias)

    @staticmethod
    def projection(channels: int) -> nn.Module:
        return nn.Conv2d(channels, channels, 1)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v: (B, heads, HW, C / heads), contiguous in the last dimension, else SDPA is slow."""
        convs = (self.query, self.key, self.value)
        weight = torch.cat([conv.weight for conv in convs])
        bias = torch.cat([conv.bias for conv in convs])
        qkv = F.conv2d(x, weight, bias)  # (B, 3 C, H, W): one convolution is faster than three
        b, c, h, w = x.shape
        if self.positions == "sine":
            where = F.conv2d(
                sine_positions(c, h, w, x.device).to(qkv.dtype), weight[: 2 * c].to(qkv.dtype)
            )  # (1, 2 C, H, W)
            qkv = qkv + F.pad(where, (0, 0, 0, 0, 0, c))
        qkv = qkv.reshape(b, 3, self.heads, c // self.heads, h * w)
        return qkv.transpose(3, 4).contiguous().unbind(1)

    def attend(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        y = dot_product(*self.heads_of(x), self.scale)  # (B, heads, HW, C / heads)
        return self.out(y.transpose(2, 3).reshape(b, c, h, w))

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """{"attention": (B, heads, HW, HW)}: row = query position, sums to 1."""
        q, k, _ = self.heads_of(x)
        return {"attention": (self.scale * q.float() @ k.float().mT).softmax(dim=-1)}


@register("self-attention")
class SelfAttention(MultiHead):
    """Single-head self-attention of full width, as in the study: out = gate * softmax(q k^T) v + x.

    Differs from Vaswani et al. 2017: one head, no output projection, and no factor 1/sqrt(d) unless `scale` is None.
    """

    def __init__(
        self,
        channels: int,
        scale: float | None = 1.0,
        query_key: str = "learned",
        positions: str = "none",
        **residual,
    ):
        super().__init__(channels, 1, scale, query_key, positions, **residual)

    @staticmethod
    def projection(channels: int) -> nn.Module:
        return nn.Identity()


@register("cbam")
class CBAM(Attention):
    """Convolutional Block Attention Module (Woo et al. 2018, arXiv 1807.06521, eq. 2-3): channel, then spatial gate.

    Differs from the paper as in the study: the 7x7 convolution has a bias and no BatchNorm, and there is a plain outer
    residual (none with `residual: none`).
    """

    def __init__(self, channels: int, reduction: int = 16, residual: str = "plain", **gate):
        super().__init__(residual=residual, **gate)
        hidden = channels // reduction
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.ReLU(), nn.Conv2d(hidden, channels, 1, bias=False)
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)
        init_kaiming(self)

    def channel_gate(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1) in (0, 1)."""
        average = x.mean(dim=(2, 3), keepdim=True)
        maximum = x.amax(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.mlp(average) + self.mlp(maximum))

    def spatial_gate(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 1, H, W) in (0, 1)."""
        pooled = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.spatial(pooled))

    def attend(self, x: Tensor) -> Tensor:
        x = x * self.channel_gate(x)
        return x * self.spatial_gate(x)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        """{"channel": (B, C), "spatial": (B, H, W)}: values of the gates, in (0, 1)."""
        channel = self.channel_gate(x)
        return {"channel": channel.flatten(1), "spatial": self.spatial_gate(x * channel).squeeze(1)}
