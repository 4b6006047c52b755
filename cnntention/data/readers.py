"""Read published archives in memory: IDX, CIFAR's binary version, SVHN's .mat, .npz.

A damaged or unsuitable archive raises a UserError that names the file, and unpacks to LARGEST bytes at most.
"""

import gzip
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnntention import files
from cnntention.config import Dataset
from cnntention.data.archives import LARGEST
from cnntention.data.mats import read_svhn
from cnntention.data.published import TOO_LARGE, Published, bad, check, reading
from cnntention.data.tars import CHUNK, read_cifar
from cnntention.errors import UserError


def read_archives(name: str, dataset: Dataset, raw: Mapping[str, Path]) -> Published:
    """Read and check the source's archives; UserError names a bad file."""
    source = dataset.source
    for key, archive in source.archives.items():
        if key not in raw:
            raise UserError(f"datasets.{name}.source.{key}: its file is not given; fetch it first.")
        with reading(raw[key]):
            actual = files.sha256(raw[key])
        if actual != archive.sha256:
            raise UserError(
                f"{raw[key]}: its SHA-256 is {actual[:8]}…, not the {archive.sha256[:8]}… of "
                f"datasets.{name}.source.{key}; delete it and fetch it again."
            )
    if source.format == "idx":
        published = Published({split: idx_pair(raw, split) for split in ("train", "test")})
    elif source.format == "cifar-binary":
        published = read_cifar(raw["archive"], source)
    elif source.format == "svhn-mat":
        digits = [str(digit) for digit in range(10)]
        published = Published({split: read_svhn(raw[split]) for split in ("train", "test")}, digits)
    else:
        published = read_npz(raw["archive"])
    check(published, raw)
    return published


def idx_pair(raw: Mapping[str, Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (read_idx(raw[f"{split}_{what}"], dims) for what, dims in (("images", 3), ("labels", 1)))
    return images[:, None], labels  # one channel


def read_idx(path: Path, dims: int) -> np.ndarray:
    """A gzipped IDX file of uint8 in `dims` dimensions: 0, 0, 8, dims; sizes as big-endian uint32; data."""
    start = 4 + 4 * dims
    with reading(path), gzip.open(path) as file:
        head = file.read(start)
        magic, expected = head[:4].hex(), bytes([0, 0, 8, dims]).hex()
        if magic != expected:
            raise bad(path, f"is not an IDX file of bytes in {dims} dimensions (magic {magic}, not {expected})")
        shape = [int.from_bytes(head[i : i + 4], "big") for i in range(4, start, 4)]
        size, sizes, data = math.prod(shape), " x ".join(map(str, shape)), bytearray()
        if size > LARGEST:
            raise bad(path, f"says {sizes}, which {TOO_LARGE}")
        while len(data) <= size and (chunk := file.read(CHUNK)):  # to the end, where gzip checks its checksum
            data += chunk
        if len(head) < start or len(data) != size:
            raise bad(path, f"says {sizes} but holds {'more' if len(data) > size else len(data)} bytes of data")
        return np.frombuffer(data, np.uint8).reshape(shape)


def read_npz(path: Path) -> Published:
    """An .npz with train_images, train_labels, test_images, test_labels; pickled arrays are refused."""
    names = [f"{split}_{what}" for split in ("train", "test") for what in ("images", "labels")]
    with reading(path), zipfile.ZipFile(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        if missing := [name for name in names if name not in members]:
            raise bad(path, f"has no {', '.join(missing)} (it has {', '.join(members) or 'nothing'})")
        if sum(members[name].file_size for name in names) > LARGEST:
            raise bad(path, TOO_LARGE)
        arrays = {name: read_npy(archive, members[name]) for name in names}
    for name, array in arrays.items():
        if name.endswith("labels") and (array.dtype.kind not in "iu" or array.ndim != 1):
            raise bad(path, f"{name} must be integers (N,), not {array.dtype} {array.shape}")
        if name.endswith("images") and (array.dtype != np.uint8 or array.ndim not in (3, 4)):
            raise bad(path, f"{name} must be uint8 (N, C, H, W) or (N, H, W), not {array.dtype} {array.shape}")
        if array.ndim == 4 and array.shape[1] > 4 >= array.shape[3]:
            raise bad(path, f"{name} is {array.shape}, channels last; transpose it to (N, C, H, W)")
        if array.ndim == 3:
            arrays[name] = array[:, None]
    return Published({split: (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in ("train", "test")})


def read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile unpacks the others unlimited
        raise ValueError(f"{member.filename} is not compressed as by np.savez_compressed")
    with archive.open(member) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # at the end zipfile checks the checksum
            raise ValueError(f"{member.filename} is longer than its shape {array.shape}")
    return array
