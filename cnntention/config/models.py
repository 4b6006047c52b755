"""Models: the ResNet's size, and the attention modules in its stages."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from cnntention.config.base import Strict, may_extend, nearest, one_or_many

STAGES = ("stage1", "stage2", "stage3")


class AttentionOptions(Strict):
    """Options of every attention kind: how its output is combined with its input."""

    residual: Literal["none", "plain", "gated"] = "gated"
    """none: y = f(x); plain: y = x + f(x); gated: y = x + gate * f(x) with one learned scalar."""
    gate_init: float = Field(0.0, ge=-1e6, le=1e6)
    """Initial value of the gate (residual: gated)."""
    gate_learned: bool = True
    """False freezes the gate at gate_init: a control."""


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
    residual: Literal["none", "plain", "gated"] = "plain"
    """none: CBAM as published; plain: as in the study."""
    reduction: int = Field(16, ge=1)
    """The channel gate's hidden layer has channels // reduction channels, at least one."""


def plain(value: Any) -> Any:
    """What JSON can hold, so that it enters a run's key as it is: no date, no nan."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise ValueError("give text, a finite number, true, false, null, or lists and mappings of these") from None
    return value


Plain = Annotated[Any, AfterValidator(plain)]


class PluginOptions(BaseModel):
    """A kind that a file under `plugins` registers; its options are its constructor's keywords."""

    model_config = ConfigDict(frozen=True, extra="allow", str_max_length=10_000)
    kind: str
    """The name it was registered under."""

    __pydantic_extra__: dict[str, Plain]


ATTENTION_OPTIONS: dict[str, type[AttentionOptions]] = {
    "self-attention": SelfAttentionOptions,
    "multi-head": MultiHeadOptions,
    "cbam": CbamOptions,
}


def attention_tag(value: Any) -> str:
    kind = value.get("kind") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in ATTENTION_OPTIONS else "plugin"


Attention = Annotated[
    Annotated[SelfAttentionOptions, Tag("self-attention")]
    | Annotated[MultiHeadOptions, Tag("multi-head")]
    | Annotated[CbamOptions, Tag("cbam")]
    | Annotated[PluginOptions, Tag("plugin")],
    Discriminator(attention_tag),
]
Slot = Annotated[tuple[Attention, ...], BeforeValidator(one_or_many), Field(min_length=1)]


class Model(Strict, json_schema_extra=may_extend):
    """A CIFAR-style ResNet (He et al. 2015, section 4.2) with attention after its stages or in their blocks."""

    depth: int = Field(20, ge=8, le=1202)
    """Layers: 6n + 2."""
    width: int = Field(16, ge=2, le=1024)
    """Channels of the first stage; the others have twice and four times as many."""
    attention: dict[Literal["stage1", "stage2", "stage3"], Slot | None] = Field({})
    """For each stage its attention module, or a list of modules in order; none if left out or empty."""
    placement: Literal["stage", "block"] = "stage"
    """stage: once, after the stage, as in the study; block: in each block, before the shortcut (Woo et al. 2018)."""

    @field_validator("attention", mode="before")
    @classmethod
    def known_stages(cls, value: Any) -> Any:
        for stage in value if isinstance(value, Mapping) else ():
            if stage not in STAGES:
                raise ValueError(f"unknown key {stage!r}{nearest(stage, STAGES)}")
        return value

    @model_validator(mode="after")
    def sizes_fit(self) -> "Model":
        if (self.depth - 2) % 6:
            raise ValueError(f"depth {self.depth} is not 6n + 2; use 8, 14, 20, 32, 44, 56 or 110")
        for stage, options in ((stage, options) for stage, slot in self.modules.items() for options in slot):
            channels = self.width * 2 ** STAGES.index(stage)
            reduction = getattr(options, "reduction", 1) if options.kind == "cbam" else 1
            heads = getattr(options, "heads", 1) if options.kind == "multi-head" else 1
            if channels // reduction < 1:
                raise ValueError(
                    f"attention.{stage}: reduction {reduction} leaves {channels} // {reduction} = 0 hidden channels; "
                    f"use {channels} or less"
                )
            if channels % heads:
                raise ValueError(f"attention.{stage}: heads {heads} does not divide the stage's {channels} channels")
        return self

    @property
    def modules(self) -> dict[str, tuple[Any, ...]]:
        """Stage -> options of its attention modules, for the stages that have any, in order."""
        return {s: o for s in STAGES if (o := self.attention.get(s)) is not None}

    @property
    def kinds(self) -> list[str]:
        """Its attention kinds, each once."""
        return list(dict.fromkeys(options.kind for slot in self.modules.values() for options in slot))

    def identity(self) -> dict:
        modules = {s: [options.model_dump(mode="json") for options in slot] for s, slot in self.modules.items()}
        return {"depth": self.depth, "width": self.width, "attention": modules, "placement": self.placement}
