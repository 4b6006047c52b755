"""Datasets: their source, split and augmentation."""

from typing import Annotated

from pydantic import Field, model_validator

from cnntention import versions
from cnntention.config.base import Strict, may_extend
from cnntention.config.sources import CueMatchSource, Source

MOST_IMAGES = 10_000_000


class Augmentation(Strict):
    """Augmentation of training images; validation and test images are never changed."""

    flip: bool = False
    """Mirror left to right with probability 1/2. Not for digits or CueMatch: it would change their labels."""
    crop_padding: int = Field(0, ge=0, le=16)
    """Pad with zeros by this many px and crop at random."""
    crop_size: int | None = Field(None, ge=8, le=1024)
    """Side of the crop, px; the image's when empty."""


class Normalization(Strict):
    """Constants for each channel, for pixels in [0, 1]."""

    mean: tuple[Annotated[float, Field(ge=-1e6, le=1e6)], ...] = Field(min_length=1)
    """Subtracted."""
    sd: tuple[Annotated[float, Field(ge=1e-6, le=1e6)], ...] = Field(min_length=1)
    """Divided by."""

    @model_validator(mode="after")
    def same_channels(self) -> "Normalization":
        if len(self.mean) != len(self.sd):
            raise ValueError(f"has {len(self.mean)} means and {len(self.sd)} sds; give one of each a channel")
        return self


class Dataset(Strict, json_schema_extra=may_extend):
    """A named set of images with fixed train, val and test splits."""

    source: Source
    """Where the images come from."""
    train_images: int | None = Field(None, ge=1, le=MOST_IMAGES)
    """Training images to keep (stratified by class), after the validation split; all when empty."""
    validation_images: int = Field(5000, ge=0, le=MOST_IMAGES)
    """Validation images, taken from the training set, stratified by class; 0 only if recipes monitor the test split."""
    test_images: int | None = Field(None, ge=2, le=MOST_IMAGES)
    """Test images to keep: the first ones, in the published order; all when empty."""
    split_seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the validation split."""
    augment: Augmentation = Augmentation()
    """Augmentation of training images."""
    normalize: Normalization | None = None
    """Normalization constants; measured on the train split when empty."""

    @model_validator(mode="after")
    def generated_needs_counts(self) -> "Dataset":
        if self.source.format == "cuematch" and (self.train_images is None or self.test_images is None):
            raise ValueError("a generated dataset needs train_images and test_images")
        return self

    @property
    def all_or_none(self) -> bool:
        """Whether its label relates two places: a run learns that or does not, so runs are counted, not averaged."""
        return isinstance(self.source, CueMatchSource) and self.source.track != "local"

    def preparation(self) -> dict:
        """Everything that determines the bytes of the prepared files."""
        counts = {n: getattr(self, n) for n in ("train_images", "validation_images", "test_images", "split_seed")}
        return {"source": self.source.identity(), "version": versions.PREPARATION} | counts

    def identity(self) -> dict:
        """The dataset's part of what determines a run's bytes."""
        use = self.model_dump(mode="json", include={"augment", "normalize"})
        return {"data": self.preparation()} | use
