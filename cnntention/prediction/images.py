"""Any image as the pixels that a network was trained on: its channels, its size, uint8."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from cnntention.errors import UserError

SHADES = {1: "L", 3: "RGB"}  # Pillow's modes by number of channels
DEEP = ("I", "F")  # 32 bits, whose range nobody states


class Fitted(NamedTuple):
    """An image as the network sees it."""

    name: str
    """Its file's name, or image 1, image 2, …"""
    pixels: np.ndarray
    """(C, H, W) uint8."""
    size: tuple[int, int]
    """(H, W) that it had."""

    @property
    def note(self) -> str:
        """Whether it was resized, for people; empty if not."""
        (h, w), (height, width) = self.size, self.pixels.shape[1:]
        return "" if self.size == (height, width) else f"resized from {w} x {h} to {width} x {height} px"


def fit(images: Any, shape: tuple[int, int, int]) -> list[Fitted]:
    """One image or several as (C, H, W) uint8 of this shape; UserError names the first that cannot be.

    An image is a path, a PIL image, or an array or tensor as `channels_first` takes it; arrays of four axes are several
    images. Colour becomes grey by luma (ITU-R 601-2), grey becomes equal channels, transparency white. Another size is
    resized to the network's, bilinearly with antialiasing; the ratio of the sides is not kept.
    """
    fitted = []
    for i, image in enumerate(each(images), start=1):
        name = str(image) if isinstance(image, str | Path) else f"image {i}"
        try:
            pixels = in_channels(image, shape[0])
        except ValueError as error:
            raise UserError(f"{name}: {error}.") from None
        fitted.append(Fitted(name, resized(pixels, shape[1:]), pixels.shape[1:]))
    if not fitted:
        raise UserError("images: there is none; give at least one.")
    return fitted


def each(images: Any) -> Iterator[Any]:
    several = isinstance(images, list | tuple) or getattr(images, "ndim", 0) == 4
    yield from images if several else [images]


def in_channels(image: Any, channels: int) -> np.ndarray:
    """An image as (channels, H, W) uint8; ValueError if it has none such."""
    if isinstance(image, str | Path):
        image = opened(Path(image))
    pixels = pixels_of(image) if isinstance(image, Image.Image) else channels_first(image, channels)
    if len(pixels) == channels:
        return pixels
    if channels not in SHADES or len(pixels) not in SHADES:
        raise ValueError(f"has {len(pixels)} channels, and the network's images have {channels}")
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    return pixels_of(picture.convert(SHADES[channels]))


def opened(path: Path) -> Image.Image:
    """The file's image, turned as its EXIF orientation says; ValueError if it holds none."""
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image)
    except FileNotFoundError:
        raise ValueError("there is no such file") from None
    except Exception as error:  # of Pillow's many readers, each of which raises something else
        unknown = isinstance(error, Image.UnidentifiedImageError)
        reason = "" if unknown else f" ({(str(error) or type(error).__name__).splitlines()[0]})"
        raise ValueError(f"is no image that can be read{reason}; give a whole PNG, JPEG or the like") from None


def pixels_of(image: Image.Image) -> np.ndarray:
    """A PIL image as (1 or 3, H, W) uint8."""
    if not all(image.size):
        raise ValueError("has no pixels")
    if image.mode in DEEP:
        raise ValueError("has 32 bits a pixel; save it with 8 bits")
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)[None]
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), clear)
        image = image.convert("L" if image.mode == "LA" else "RGB")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))[None]
    return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def channels_first(image: Any, channels: int) -> np.ndarray:
    """An array or tensor as (C, H, W) uint8.

    Takes (H, W), (C, H, W) or (H, W, C), where C is 1, 3 or the network's; uint8, or floats in [0, 1].
    """
    if isinstance(image, Tensor):
        image = image.detach().cpu()
        image = (image.float() if image.is_floating_point() else image).numpy()
    if not isinstance(image, np.ndarray):
        raise ValueError(f"is a {type(image).__name__}; give a path, a PIL image, an array or a tensor")
    array = image[None] if image.ndim == 2 else image
    if array.ndim != 3 or not array.size:
        raise ValueError(f"has shape {array.shape}; give (H, W), (C, H, W) or (H, W, C)")
    known = {1, 3, channels}
    if array.shape[0] not in known:
        if array.shape[2] not in known:
            raise ValueError(
                f"has shape {array.shape}, where no axis has {' or '.join(map(str, sorted(known)))} channels"
            )
        array = array.transpose(2, 0, 1)
    if np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"has values from {low:.3g} to {high:.3g}; give uint8, or floats in [0, 1]")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"has values of type {array.dtype}; give uint8, or floats in [0, 1]")
    return np.ascontiguousarray(array)


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(C, H, W) uint8 at another size, bilinearly, with antialiasing; itself if it has that size."""
    if pixels.shape[1:] == size:
        return pixels
    plain = torch.from_numpy(np.array(pixels))[None].float()
    made = F.interpolate(plain, size, mode="bilinear", align_corners=False, antialias=True)
    return made[0].round().clamp(0, 255).byte().numpy()
