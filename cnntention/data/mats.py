"""Read SVHN's MATLAB 5 files: only arrays of numbers. Not by scipy, which damaged files make crash."""

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cnntention.data.archives import LARGEST
from cnntention.data.published import TOO_LARGE, bad, reading

HEADER, MARK = 128, b"\x00\x01IM"  # bytes before the first element; they end with version 1, little-endian
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
CLASSES = range(6, 16)  # arrays of numbers; others are text, cells, structures, objects, sparse
COMPLEX = 1 << 11


def read_svhn(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, H, W) uint8 and labels (N,) of `X`, uint8 (H, W, 3, N), and `y`, 1 to 10; 10 stands for the 0."""
    with reading(path):
        arrays = read_mat(path.read_bytes())
    if missing := [name for name in ("X", "y") if name not in arrays]:
        raise bad(path, f"has no {', '.join(missing)} (it has {', '.join(arrays) or 'nothing'})")
    images, labels = arrays["X"], arrays["y"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != 3:
        raise bad(path, f"X must be uint8 (H, W, 3, N), not {images.dtype} {images.shape}")
    if labels.size != max(labels.shape):
        raise bad(path, f"y must be numbers (N, 1), not {labels.dtype} {labels.shape}")
    if not np.isin(labels, range(1, 11)).all():
        raise bad(path, "y has labels other than 1 to 10, where 10 stands for the digit 0")
    return images.transpose(3, 2, 0, 1), labels.ravel().astype(np.int64) % 10


def read_mat(content: bytes) -> dict[str, np.ndarray]:
    """Name -> array. Raises ValueError, also for a file with anything but arrays of real numbers."""
    if content[HEADER - len(MARK) : HEADER] != MARK:
        raise ValueError("it is not a MATLAB 5 file of a little-endian machine")
    arrays: dict[str, np.ndarray] = {}
    left = LARGEST
    for kind, data in elements(content[HEADER:]):
        if kind == COMPRESSED:
            data = unpacked(data, left)
            ((kind, data),) = elements(data)
        left -= len(data)
        if left < 0:
            raise ValueError(TOO_LARGE)
        if kind != MATRIX:
            raise ValueError(f"it has an element of type {kind}")
        name, array = read_array(data)
        if name in arrays:
            raise ValueError(f"it has more than one {name}")
        arrays[name] = array
    return arrays


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, content) of each element: a tag of 8 bytes and its content, or up to 4 bytes inside the tag."""
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise ValueError("it is cut off")
        kind, size = struct.unpack_from("<II", data, at)
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            if size > 4:
                raise ValueError("it has a damaged tag")
        if size > len(data) - start:
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        end = start + size
        at = end if kind == COMPRESSED else end + -end % 8


def unpacked(data: bytes, most: int) -> bytes:
    stream = zlib.decompressobj()
    plain = stream.decompress(data, most + 1)
    if len(plain) > most:
        raise ValueError(TOO_LARGE)
    if not stream.eof or stream.unused_data:  # only at the end zlib checks its checksum
        raise ValueError("it is cut off")
    return plain


def read_array(data: bytes) -> tuple[str, np.ndarray]:
    """A matrix's flags, shape, name and numbers, column by column."""
    parts = list(elements(data))
    if len(parts) < 4 or [len(parts[0][1]), parts[0][0], parts[1][0], parts[2][0]] != [8, 6, 5, 1]:
        raise ValueError("it has a damaged array")
    (flags, _), name = struct.unpack("<II", parts[0][1]), parts[2][1].decode()
    if flags & 0xFF not in CLASSES or flags & COMPLEX or len(parts) > 4 or parts[3][0] not in NUMBERS:
        raise ValueError(f"{name} is no array of real numbers")
    shape = np.frombuffer(parts[1][1], "<i4").tolist()
    numbers = np.frombuffer(parts[3][1], NUMBERS[parts[3][0]])
    if min(shape, default=-1) < 0 or math.prod(shape) != len(numbers):
        raise ValueError(f"{name} has {len(numbers)} numbers, not {' x '.join(map(str, shape))}")
    return name, numbers.reshape(shape, order="F")
