"""Read a folder of images: PNG or JPEG in `train/<class>/` and `test/<class>/`."""

import hashlib
import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cnntention.config import FolderSource
from cnntention.data.archives import LARGEST
from cnntention.data.published import Published
from cnntention.errors import UserError

SPLITS = ("train", "test")
SUFFIXES = {".png", ".jpg", ".jpeg"}
MOST_PIXELS = 50_000_000  # of one image; more are a decompression bomb, or a mistake


def listed(folder: Path) -> dict[str, dict[str, list[Path]]]:
    """Split -> class -> its images, sorted by name; names that begin with a dot do not count.

    Raises UserError for anything that is not train/<class>/<image>, an empty class, or splits with other classes.
    """
    found = {split: {place.name: images_in(place) for place in entries(folder / split)} for split in SPLITS}
    train, test = (set(found[split]) for split in SPLITS)
    if train != test:
        odd = min(train ^ test)
        has, lacks = SPLITS if odd in train else SPLITS[::-1]
        raise UserError(f"{folder / has / odd}: {lacks} has no class of this name; both need the same classes.")
    if not train:
        raise UserError(f"{folder / 'train'}: has no classes; put images into train/<class>/ and test/<class>/.")
    return found


def images_in(place: Path) -> list[Path]:
    if not place.is_dir():
        raise UserError(f"{place}: is not a folder; put images into {place.parent.name}/<class>/.")
    images = entries(place)
    for path in images:
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            raise UserError(f"{path}: is no PNG or JPEG file; take it out of the folder.")
    if not images:
        raise UserError(f"{place}: has no images; add some, or take this class out of train and test.")
    return images


def entries(place: Path) -> list[Path]:
    try:
        paths = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"{place}: cannot be read ({error.strerror}); give a folder with train/ and test/.") from None
    for path in paths:
        if not path.name.isprintable():
            raise UserError(f"{place}: the name {path.name!a} cannot be printed; rename it.")
    return paths


def fingerprint(folder: Path) -> str:
    """SHA-256 of a line for each image, sorted by name: the SHA-256 of its content, two spaces, train/<class>/<name>.

    So it is what `sha256sum` prints for `sha256sum`'s list of all images. UserError as `listed`.
    """
    whole = hashlib.sha256()
    paths = (path for classes in listed(folder).values() for images in classes.values() for path in images)
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in paths):
        whole.update(f"{hashlib.sha256(content_of(path)).hexdigest()}  {name}\n".encode())
    return whole.hexdigest()


def content_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); allow it, or take it out of the folder.") from None


def read_folder(name: str, source: FolderSource) -> Published:
    """Read all images; UserError if one is damaged or has another size, or if they are not those of `source.sha256`."""
    folder = Path(source.path)
    if (actual := fingerprint(folder)) != source.sha256:
        raise UserError(
            f"{folder}: its images are others than those of datasets.{name}.source.sha256; put those back, or write "
            f"{actual} there."
        )
    found = listed(folder)
    splits, shape = {}, None
    for split, classes in found.items():
        labels = np.repeat(np.arange(len(classes)), [len(images) for images in classes.values()])
        pixels = None
        for i, path in enumerate(path for images in classes.values() for path in images):
            image = decoded(path, source)
            shape = shape or image.shape
            if image.shape != shape:
                raise UserError(
                    f"{path}: has {px(image.shape)}, the images before it {px(shape)}; "
                    f"say datasets.{name}.source.size, to which all are resized."
                )
            if pixels is None:
                if len(labels) * math.prod(shape) > LARGEST:
                    raise UserError(f"{folder / split}: takes more than {LARGEST:,} bytes; give a smaller size.")
                pixels = np.empty((len(labels), *shape), np.uint8)
            pixels[i] = image
        splits[split] = pixels, labels
    return Published(splits, list(found["train"]))


def px(shape: tuple[int, int, int]) -> str:
    return f"{shape[2]} x {shape[1]} px"


def decoded(path: Path, source: FolderSource) -> np.ndarray:
    """(C, H, W) uint8; UserError if it is no whole image of 8 bits a channel, or larger than MOST_PIXELS."""
    from PIL import Image, ImageOps

    with reading(path), Image.open(io.BytesIO(content_of(path)), formats=("PNG", "JPEG")) as image:
        if math.prod(image.size) > MOST_PIXELS:
            raise ValueError(f"it has more than {MOST_PIXELS:,} pixels")
        if image.mode.startswith(("I", "F")):
            raise ValueError("it has 16 bits a channel; save it with 8")
        image = image.convert("RGB" if source.channels == 3 else "L")
        if source.size:
            image = ImageOps.fit(image, (source.size, source.size), Image.Resampling.BICUBIC)
        return np.asarray(image).reshape(image.height, image.width, source.channels).transpose(2, 0, 1)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises for damaged bytes into a UserError that names the file."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) and "BytesIO" not in str(error) else "no whole image"
        raise UserError(f"{path}: cannot be read as PNG or JPEG ({reason}); mend it or take it out.") from None
