"""Read published archives in memory: IDX, CIFAR's binary version, .npz.

A damaged or unsuitable archive raises a UserError that names the file, and unpacks to LARGEST bytes at most.
"""

import gzip
import math
import tarfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnntention import files
from cnntention.config import CifarBinarySource, Dataset
from cnntention.data.archives import LARGEST
from cnntention.errors import UserError

CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_SHAPE = (3, 32, 32)
CHUNK, METADATA = 1 << 20, 1 << 16  # bytes that are unpacked at once; largest extended header of a tar's member
MEMBERS = 1000  # of a tar, at most
TOO_LARGE = f"unpacks to more than {LARGEST:,} bytes"


@dataclass(frozen=True)
class Published:
    """A dataset as published: {"train": (images, labels), "test": …} and the names of the classes."""

    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    class_names: list[str] | None = None


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
    else:
        published = read_npz(raw["archive"])
    check(published, raw)
    return published


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


def read_cifar(path: Path, source: CifarBinarySource) -> Published:
    """CIFAR's tar.gz of binary records, each `label_bytes` and then 3x32x32 pixels."""
    names_file = "batches.meta.txt" if source.label_bytes == 1 else "fine_label_names.txt"
    members = read_members(path, {*CIFAR_TRAIN, "train.bin", "test_batch.bin", "test.bin", names_file})
    train = ["train.bin"] if "train.bin" in members else list(CIFAR_TRAIN)
    test = ["test.bin"] if "test.bin" in members else ["test_batch.bin"]
    missing = [member for member in train + test if member not in members]
    if missing:
        wanted = "data_batch_1.bin to data_batch_5.bin or train.bin, and test_batch.bin or test.bin"
        raise bad(path, f"has no {', '.join(missing)} (CIFAR's binary version has {wanted})")
    record = source.label_bytes + math.prod(CIFAR_SHAPE)
    for member in train + test:
        if len(members[member]) % record:
            raise bad(
                path,
                f"{member} has {len(members[member])} bytes, no multiple of the {record} of a record with "
                f"label_bytes {source.label_bytes} (1 in CIFAR-10, 2 in CIFAR-100)",
            )
    splits = {}
    for split, parts in (("train", train), ("test", test)):
        records = np.frombuffer(b"".join(members[part] for part in parts), np.uint8).reshape(-1, record)
        images = records[:, source.label_bytes :].reshape(-1, *CIFAR_SHAPE)
        splits[split] = (images, records[:, source.label_bytes - 1])
    with reading(path):
        lines = members.get(names_file, b"").decode().splitlines()
    return Published(splits, [line.strip() for line in lines if line.strip()] or None)


class Capped:
    """A file to read from, of LARGEST bytes at most."""

    def __init__(self, file: BinaryIO):
        self.file, self.left = file, LARGEST

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(TOO_LARGE)
        return data


class Header(tarfile.TarInfo):
    """A tar header; refuses those for which tarfile would read much more, or a sparse file's list of holes."""

    @classmethod
    def frombuf(cls, *args) -> tarfile.TarInfo:
        header = super().frombuf(*args)
        if header.size > LARGEST:
            raise tarfile.ReadError(TOO_LARGE)
        if header.type == tarfile.GNUTYPE_SPARSE or (header.size > METADATA and not header.isreg()):
            raise tarfile.ReadError(f"{header.name} is sparse, or has an extended header of {header.size:,} bytes")
        return header

    def _proc_gnusparse_10(self, *args) -> None:
        raise tarfile.ReadError(f"{self.name} is sparse")


def read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """The wanted files of a tar.gz by name, from any of its folders, read in memory.

    Raises UserError if one is a link, a device or sparse, or is there twice.
    """
    members: dict[str, bytes] = {}
    # read as a stream to the end, so that gzip checks its checksum too
    with reading(path), gzip.open(path) as unzipped:
        capped = Capped(unzipped)
        with tarfile.open(fileobj=capped, mode="r|", bufsize=CHUNK, tarinfo=Header) as tar:
            for count, member in enumerate(tar):
                if count == MEMBERS:
                    raise bad(path, f"has more than {MEMBERS} members")
                name = member.name.rpartition("/")[2]
                if name not in wanted:
                    continue
                if not member.isreg() or member.issparse():
                    raise bad(path, f"{member.name} is not a regular file in it")
                if name in members:
                    raise bad(path, f"has more than one {name}")
                members[name] = tar.extractfile(member).read()
            while chunk := tar.fileobj.read(CHUNK):
                if chunk.strip(b"\0"):  # tarfile takes a damaged header for the end
                    raise bad(path, "has a damaged tar header")
    return members


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


def check(published: Published, raw: Mapping[str, Path]) -> None:
    """Raise UserError if labels do not match the images, are not 0..K-1, or leave a class without training images.

    If the archive names its classes, K is their number, and a class may be empty.
    """
    named = published.class_names
    shape = published.splits["train"][0].shape[1:]
    seen = np.unique(published.splits["train"][1])
    classes = len(named) if named else int(seen.max()) + 1 if len(seen) else 0
    for split, (images, labels) in published.splits.items():
        images_path, labels_path = (raw.get(f"{split}_{what}", raw.get("archive")) for what in ("images", "labels"))
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
        labels_path = raw.get("train_labels", raw.get("archive"))
        raise bad(labels_path, f"has no training image of class {gap}; labels must be 0 to K-1 without gaps")
