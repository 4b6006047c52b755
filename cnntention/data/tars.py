"""Read CIFAR's binary version: a tar.gz of records."""

import gzip
import math
import tarfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnntention.config import CifarBinarySource
from cnntention.data.archives import LARGEST
from cnntention.data.published import TOO_LARGE, Published, bad, reading

CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_SHAPE = (3, 32, 32)
CHUNK, METADATA = 1 << 20, 1 << 16  # bytes that are unpacked at once; largest extended header of a tar's member
MEMBERS = 1000  # of a tar, at most


def read_cifar(path: Path, source: CifarBinarySource) -> Published:
    """CIFAR's tar.gz of binary records, each `label_bytes` and then 3x32x32 pixels."""
    hundred = "coarse_label_names.txt" if source.coarse else "fine_label_names.txt"
    names_file = "batches.meta.txt" if source.label_bytes == 1 else hundred
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
        splits[split] = (images, records[:, 0 if source.coarse else source.label_bytes - 1])
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
