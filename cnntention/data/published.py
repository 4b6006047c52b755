"""What every reader returns, how it is checked, and what a bad file raises."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntention.data.archives import LARGEST
from cnntention.errors import UserError

TOO_LARGE = f"unpacks to more than {LARGEST:,} bytes"


@dataclass(frozen=True)
class Published:
    """A dataset as published: {"train": (images, labels), "test": …} and the names of the classes."""

    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    class_names: list[str] | None = None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the exceptions of a damaged archive into a UserError that names it. Only for calls of the libraries."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except UserError:
        raise
    except Exception as error:  # the libraries raise nearly everything for damaged bytes
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise bad(path, f"cannot be read ({reason.splitlines()[0]})") from None


def bad(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}; delete it and fetch it again, or correct the dataset's source.")


def file_of(raw: Mapping[str, Path], split: str, what: str) -> Path:
    """The archive that holds a split's images or labels."""
    return next(raw[key] for key in (f"{split}_{what}", split, "archive") if key in raw)


def check(published: Published, raw: Mapping[str, Path]) -> None:
    """Raise UserError if labels do not match the images, are not 0..K-1, or leave a class without training images.

    If the archive names its classes, K is their number, and a class may be empty.
    """
    named = published.class_names
    shape = published.splits["train"][0].shape[1:]
    seen = np.unique(published.splits["train"][1])
    classes = len(named) if named else int(seen.max()) + 1 if len(seen) else 0
    for split, (images, labels) in published.splits.items():
        images_path, labels_path = (file_of(raw, split, what) for what in ("images", "labels"))
        if len(labels) != len(images):
            raise bad(labels_path, f"has {len(labels)} {split} labels for {len(images)} {split} images")
        if images.size == 0:
            raise bad(images_path, f"has no {split} images")
        if images.shape[1:] != shape:
            raise bad(images_path, f"its {split} images are {images.shape[1:]}, those of train {shape}")
        if labels.min() < 0 or labels.max() >= classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise bad(
                labels_path,
                f"has the {split} label {wrong}; {classes} classes have labels 0 to {classes - 1}",
            )
    if not named and len(seen) < classes:
        gap = int(np.argmax(seen != np.arange(len(seen))))
        raise bad(
            file_of(raw, "train", "labels"),
            f"has no training image of class {gap}; labels must be 0 to K-1 without gaps",
        )
