"""The options of each attention kind."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
)

from cnntention.config.base import Strict, nearest, one_or_many, shown

Control = Annotated[Literal["frozen", "shut", "constant"] | None, Field(None, exclude_if=lambda value: value is None)]
Residual = Literal["none", "plain", "gated"]


class AttentionOptions(Strict):
    """Options of every attention kind: how its output is combined with its input."""

    residual: Residual = "gated"
    """none: y = f(x); plain: y = x + f(x); gated: y = x + gate * f(x) with one learned scalar."""
    gate_init: float = Field(0.0, ge=-1e6, le=1e6)
    """Initial value of the gate (residual: gated)."""
    gate_learned: bool = True
    """False freezes the gate at gate_init: a control."""
    control: Control
    """frozen: parameters stay as initialized; shut: the output is x; constant: the mean effect, the same for all."""


class DotProductOptions(AttentionOptions):
    """Options of self-attention and multi-head attention."""

    query_key: Literal["learned", "frozen", "zero"] = "learned"
    """Controls: frozen keeps query and key as initialized; zero makes attention uniform."""
    positions: Literal["none", "sine"] = "none"
    """sine: add a fixed two-dimensional sinusoidal position encoding to the input of queries and keys."""


class SelfAttentionOptions(DotProductOptions):
    """Single-head dot-product self-attention over all positions, 1x1 convolutions for query, key and value."""

    kind: Literal["self-attention"]
    """The module."""
    scale: float | None = Field(1.0, gt=0, le=1e6)
    """Factor on the logits: 1 as in the study; 1/sqrt(channels) when empty."""


class MultiHeadOptions(DotProductOptions):
    """Multi-head dot-product self-attention with an output projection."""

    kind: Literal["multi-head"]
    """The module."""
    heads: int = Field(8, ge=1)
    """Heads; must divide the stage's channels."""
    scale: float | None = Field(None, gt=0, le=1e6)
    """Factor on the logits; 1/sqrt(channels per head), as in the study, when empty."""


class CbamOptions(AttentionOptions):
    """Channel gate, then 7x7 spatial gate; plain outer residual and no BatchNorm, as in the study."""

    kind: Literal["cbam"]
    """The module."""
    residual: Residual = "plain"
    """none: CBAM as published; plain: as in the study."""
    reduction: int = Field(16, ge=1)
    """The channel gate's hidden layer has channels // reduction channels, at least one."""


class SimamOptions(AttentionOptions):
    """A gate for each channel and place, without parameters (Yang et al. 2021)."""

    kind: Literal["simam"]
    """The module."""
    residual: Residual = "none"
    """none: as published."""
    e_lambda: float = Field(1e-4, gt=0, le=1e6)
    """The lambda of its equations, added to the variance."""


class TripletOptions(AttentionOptions):
    """The mean of three gates, over each pair of channel, row and column (Misra et al. 2021)."""

    kind: Literal["triplet"]
    """The module."""
    residual: Residual = "none"
    """none: as published."""
    kernel_size: int = Field(7, ge=1, le=99)
    """Side of the three convolutions; odd."""

    @field_validator("kernel_size")
    @classmethod
    def odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"give an odd number, not {value}")
        return value


class BamOptions(AttentionOptions):
    """One gate of a channel and a place branch together (Park et al. 2018)."""

    kind: Literal["bam"]
    """The module."""
    residual: Residual = "plain"
    """plain: as published."""
    reduction: int = Field(16, ge=1)
    """The hidden layers have channels // reduction channels, at least one."""
    dilation: int = Field(4, ge=1, le=99)
    """Of the place branch's two 3x3 convolutions."""


def plain(value: Any) -> Any:
    """What JSON can hold, so that it enters a run's key as it is: no date, no nan. YAML reads 1e-4 as a text."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        value = float(value)
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("give text, a finite number, true, false, null, or lists and mappings of these") from None
    return value


Plain = Annotated[Any, AfterValidator(plain)]


class PluginOptions(BaseModel):
    """A kind that a file under `plugins` registers; its options are its constructor's keywords."""

    model_config = ConfigDict(
        frozen=True, extra="allow", use_attribute_docstrings=True, allow_inf_nan=False, str_max_length=10_000
    )
    kind: str
    """The name it was registered under."""
    control: Control
    """frozen: parameters stay as initialized; shut: the output is x; constant: the mean effect, the same for all."""

    __pydantic_extra__: dict[str, Plain]


TimmName = Literal[
    "se", "ese", "eca", "ecam", "ceca", "ge", "gc", "gca", "cbam", "lcbam", "coord", "scoord", "ela", "strip",
    "lambda", "bottleneck", "halo", "nl", "bat",
]  # fmt: skip


def known_name(value: Any) -> Any:
    if value not in (names := get_args(TimmName)):
        raise ValueError(f"unknown module of timm {shown(value)}{nearest(value, names)}")
    return value


class TimmOptions(PluginOptions):
    """An attention module of timm; further keys are its constructor's keywords."""

    kind: Literal["timm"]
    """The module."""
    name: Annotated[TimmName, BeforeValidator(known_name)]
    """Which one."""
    residual: Residual = "none"
    """none: as timm gives it."""
    gate_init: float = Field(0.0, ge=-1e6, le=1e6)
    """Initial value of the gate (residual: gated)."""
    gate_learned: bool = True
    """False freezes the gate at gate_init: a control."""


ATTENTION_OPTIONS: dict[str, type[BaseModel]] = {
    "self-attention": SelfAttentionOptions,
    "multi-head": MultiHeadOptions,
    "cbam": CbamOptions,
    "simam": SimamOptions,
    "triplet": TripletOptions,
    "bam": BamOptions,
    "timm": TimmOptions,
}


def attention_tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in ATTENTION_OPTIONS else "plugin"


Attention = Annotated[
    Annotated[SelfAttentionOptions, Tag("self-attention")]
    | Annotated[MultiHeadOptions, Tag("multi-head")]
    | Annotated[CbamOptions, Tag("cbam")]
    | Annotated[SimamOptions, Tag("simam")]
    | Annotated[TripletOptions, Tag("triplet")]
    | Annotated[BamOptions, Tag("bam")]
    | Annotated[TimmOptions, Tag("timm")]
    | Annotated[PluginOptions, Tag("plugin")],
    Discriminator(attention_tag),
]
Slot = Annotated[tuple[Attention, ...], BeforeValidator(one_or_many), Field(min_length=1)]
