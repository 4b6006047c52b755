"""Models: the ResNet's size, and the attention modules in its stages."""

from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cnntention.config.attention import Slot
from cnntention.config.base import Strict, may_extend, nearest

STAGES = ("stage1", "stage2", "stage3")


@cache
def timm_version() -> str:
    """The installed one; read without importing it."""
    return metadata.version("timm")


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
            reduction = getattr(options, "reduction", 1) if options.kind in ("cbam", "bam") else 1
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
        made = {"depth": self.depth, "width": self.width, "attention": modules, "placement": self.placement}
        return made | ({"timm": timm_version()} if "timm" in self.kinds else {})
