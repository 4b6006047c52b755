"""Attention that the study did not have: published modules from their equations, and those of timm."""

from cnntention.models.kinds import bam, foreign, simam, triplet

__all__ = ["bam", "foreign", "simam", "triplet"]
