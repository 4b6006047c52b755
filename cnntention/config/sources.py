"""Datasets' sources: files that are fetched, a folder of images, or a generator."""

from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlparse

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cnntention.config.base import Strict, one_or_many

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Archive(Strict):
    """One file of a dataset's source: where to get it, and its hash."""

    urls: Annotated[tuple[str, ...], BeforeValidator(one_or_many)] = Field(min_length=1)
    """Where to fetch it, tried in order: http(s) URLs, or paths of local files."""
    sha256: Sha256
    """SHA-256 of the file, checked before it is read. It identifies the source; the URL does not."""

    @field_validator("urls")
    @classmethod
    def urls_name_a_file(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            try:
                parsed = urlparse(url)
                if "\0" in url or parsed.port == 0:
                    raise ValueError
            except ValueError:  # also of urlparse; what it says may hold a password
                raise ValueError("is not a valid URL; write https://host/path, or the path of a local file") from None
            name = PurePosixPath(parsed.path).name
            if not name.isprintable() or len(name.encode()) > 200 or set(name) & set("{}") or name in ("", ".."):
                raise ValueError("does not end in a file's name; give the URL or path of a file")
        return urls

    @property
    def filename(self) -> str:
        return PurePosixPath(urlparse(self.urls[0]).path).name


class ArchiveSource(Strict):
    """A dataset that is read from files: the fields of type `Archive`."""

    licence: str = "not stated by its authors"
    """The dataset's licence, as far as known; copied to its card."""

    @property
    def archives(self) -> dict[str, Archive]:
        return {n: v for n in type(self).model_fields if isinstance(v := getattr(self, n), Archive)}

    @property
    def places(self) -> list[str]:
        """Where it comes from."""
        return [archive.urls[0] for archive in self.archives.values()]

    @property
    def hashes(self) -> list[str]:
        """SHA-256 of what is there."""
        return [archive.sha256 for archive in self.archives.values()]

    def identity(self) -> dict:
        return {"format": self.format} | {name: a.sha256 for name, a in self.archives.items()}


class IdxSource(ArchiveSource):
    """Four gzipped IDX files, the format of MNIST, Fashion-MNIST, KMNIST and EMNIST."""

    format: Literal["idx"]
    """The files' format."""
    train_images: Archive
    """IDX file of the training images."""
    train_labels: Archive
    """IDX file of the training labels."""
    test_images: Archive
    """IDX file of the test images."""
    test_labels: Archive
    """IDX file of the test labels."""


class CifarBinarySource(ArchiveSource):
    """CIFAR's binary version: a tar.gz of `data_batch_*.bin` (or train.bin) and `test_batch.bin` (or test.bin)."""

    format: Literal["cifar-binary"]
    """The files' format."""
    archive: Archive
    """The tar.gz."""
    label_bytes: int = Field(1, ge=1, le=2)
    """Label bytes before each image: 1 in CIFAR-10, 2 in CIFAR-100 (coarse, fine). The last one is the label."""
    coarse: bool = False
    """CIFAR-100's 20 coarse classes: the first of its two label bytes is the label."""

    @model_validator(mode="after")
    def coarse_needs_two(self) -> "CifarBinarySource":
        if self.coarse and self.label_bytes != 2:
            raise ValueError("coarse: only CIFAR-100 has coarse labels; say label_bytes: 2")
        return self

    def identity(self) -> dict:
        return super().identity() | ({"coarse": True} if self.coarse else {})


class SvhnMatSource(ArchiveSource):
    """SVHN's cropped digits: MATLAB files with `X` uint8 (H, W, 3, N) and `y` (N, 1), where 10 stands for the 0."""

    format: Literal["svhn-mat"]
    """The files' format."""
    train: Archive
    """train_32x32.mat."""
    test: Archive
    """test_32x32.mat."""


class NpzSource(ArchiveSource):
    """Your own images: an .npz of uint8 `train_images`, `test_images` (N, C, H, W) and integer labels."""

    format: Literal["npz"]
    """The files' format."""
    archive: Archive
    """The .npz, with arrays train_images, train_labels, test_images, test_labels; no pickled objects."""


class FolderSource(Strict):
    """Your own images as files: PNG or JPEG in `train/<class>/` and `test/<class>/`.

    `sha256` is its identity, as an archive's: so planning, also where the images are not, reads none of them, and
    images that were changed are refused instead of being taken for those of the runs that are there.
    """

    format: Literal["folder"]
    """The files' format."""
    path: str = Field(min_length=1)
    """The folder that has `train` and `test`. Classes are sorted by name, the same in both."""
    sha256: Sha256
    """What `cnntention fingerprint <path>` prints: a SHA-256 of the images' names and contents."""
    size: int | None = Field(None, ge=5, le=1024)
    """Cut images to their central square, and resize that to this side, px; if empty, all must have one size."""
    channels: Literal[1, 3] = 3
    """Convert images to RGB (3) or grey (1)."""
    licence: str = "not stated by its authors"
    """The dataset's licence, as far as known; copied to its card."""

    archives: ClassVar[dict[str, Archive]] = {}

    @model_validator(mode="before")
    @classmethod
    def say_who_prints_it(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" in data and "sha256" not in data:
            raise ValueError("the key sha256 is missing; `cnntention fingerprint <path>` prints it")
        return data

    @field_validator("path")
    @classmethod
    def is_printable(cls, path: str) -> str:
        if not path.isprintable():
            raise ValueError("give the path of a folder")
        return path

    @property
    def places(self) -> list[str]:
        return [self.path]

    @property
    def hashes(self) -> list[str]:
        return [self.sha256]

    def identity(self) -> dict:
        return self.model_dump(mode="json", include={"format", "sha256", "size", "channels"})


class CueMatchSource(Strict):
    """The generated dataset: find the candidate that matches a cue elsewhere in the image (docs/cuematch.md)."""

    format: Literal["cuematch"]
    """Generated by this project; nothing is downloaded."""
    track: Literal["relation-colour", "relation-shape", "local"]
    """What the label is; the images are the same for all three."""
    candidates: int = Field(4, ge=1, le=6)
    """Candidates in an image; a model that cannot relate distant places reaches 1/candidates."""
    noise: float = Field(0.15, ge=0, le=0.3)
    """Standard deviation of the background noise, as a share of the full range."""
    glyph_size: Literal[5, 7] = 7
    """Side of a glyph's box, px."""
    jitter: int = Field(0, ge=0, le=1)
    """Largest shift of a glyph inside its box, px."""
    dropout: float = Field(0.0, ge=0, le=0.5)
    """Chance that a pixel of a glyph's stroke is missing."""
    distances: tuple[Literal["near", "mid", "far"], ...] = ("near", "mid", "far")
    """Distance bins from cue to match (8-12, 12-18, 18-34 px) in train and val."""
    test_distances: tuple[Literal["near", "mid", "far"], ...] = ("near", "mid", "far")
    """The same in test."""
    held_out_pairs: int = Field(0, ge=0, le=50)
    """(shape, colour) pairs, of 100, that train and val never show."""
    size: Literal[24, 32] = 32
    """Side of an image, px; in the smaller one distances are near and mid."""
    vocabulary: int = Field(10, ge=2, le=10)
    """How many of the ten shapes and of the ten colours are used; fewer are quicker to learn."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of the images."""

    @model_validator(mode="after")
    def can_be_drawn(self) -> "CueMatchSource":
        """As `data.cuematch.knobs` demands when the images are drawn."""
        for key in ("distances", "test_distances"):
            bins = getattr(self, key)
            if not bins or len(set(bins)) < len(bins):
                raise ValueError(f"{key}: give at least one of near, mid, far, each once")
            if self.size < 32 and "far" in bins:
                raise ValueError(f"{key}: give near, mid, for in {self.size} px few candidates find a far place")
        if self.candidates > self.vocabulary:
            raise ValueError(f"candidates: give at most {self.vocabulary}, the vocabulary, for all candidates differ")
        if self.held_out_pairs and self.vocabulary < 10:
            raise ValueError("held_out_pairs: needs a vocabulary of 10")
        return self

    licence: ClassVar[str] = "generated by this project (MIT)"
    archives: ClassVar[dict[str, Archive]] = {}
    places: ClassVar[list[str]] = ["generated"]
    hashes: ClassVar[list[str]] = []

    @property
    def solved_from(self) -> float:
        """Test accuracy from which a run counts as solved: half way between 1/candidates and 1."""
        return (1 / self.candidates + 1) / 2

    def identity(self) -> dict:
        # Added later: left out at their defaults, so that keys of older data and runs stay the same.
        later = {
            name for name in ("size", "vocabulary") if getattr(self, name) == type(self).model_fields[name].default
        }
        return self.model_dump(mode="json", exclude=later)


Kinds = IdxSource | CifarBinarySource | SvhnMatSource | NpzSource | FolderSource | CueMatchSource
Source = Annotated[Kinds, Field(discriminator="format")]
FORMATS = {get_args(kind.model_fields["format"].annotation)[0] for kind in get_args(Kinds)}
