"""Damaged archives of every format: the same arrays, or one sentence."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from test_datasets import (
    CIFAR_LABELS,
    CIFAR_TRAIN,
    cifar10_members,
    idx_contents,
    labels,
    npz_arrays,
    records,
    svhn_contents,
    tar,
)

from cnntention.config import Dataset
from cnntention.data import datasets, readers
from cnntention.errors import UserError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
SMALL = cifar10_members() | {f"some/folder/data_batch_{i}.bin": records(CIFAR_TRAIN[:3], labels(3, 3)) for i in (2, 4)}
FINE = {
    "train.bin": records(CIFAR_TRAIN[:6], labels(6, 1), CIFAR_LABELS[:6]),
    "test.bin": records(CIFAR_TRAIN[:3], labels(3, 1), CIFAR_LABELS[:3]),
    "fine_label_names.txt": b"a\nb\nc\n",
}


def unpacked_npz() -> dict[str, bytes]:
    parts = {}
    for name, array in npz_arrays().items():
        out = io.BytesIO()
        np.save(out, array)
        parts[f"{name}.npy"] = out.getvalue()
    return parts


def zipped(parts: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return out.getvalue()


PARTS = {
    "idx": {key: gzip.decompress(content) for key, content in idx_contents(30, 9).items()},
    "cifar-binary": SMALL,
    "cifar-100": FINE,
    "npz": unpacked_npz(),
    "svhn-mat": svhn_contents(compressed=False),
}


def pack(form: str, parts: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a dataset, by their key in its source."""
    if form == "idx":
        return {key: gzip.compress(content, 1, mtime=0) for key, content in parts.items()}
    if form == "svhn-mat":
        return dict(parts)
    return {"archive": zipped(parts) if form == "npz" else tar(parts)}


def read(form: str, files: dict[str, bytes]) -> readers.Published:
    source = {"format": "cifar-binary", "label_bytes": 2} if form == "cifar-100" else {"format": form}
    with tempfile.TemporaryDirectory() as folder:
        raw = {key: Path(folder, f"{key}.raw") for key in files}
        for key, content in files.items():
            raw[key].write_bytes(content)
            source[key] = {"urls": "here", "sha256": hashlib.sha256(content).hexdigest()}
        dataset = Dataset.model_validate({"source": source, "validation_images": 1})
        published = readers.read_archives("mine", dataset, raw)
    splits = datasets.divide("mine", dataset, published)
    count = len(published.class_names or []) or int(published.splits["train"][1].max()) + 1
    datasets.describe("mine", dataset, splits, {"classes": count})
    return published


@cache
def intact(form: str) -> readers.Published:
    return read(form, pack(form, PARTS[form]))


@st.composite
def damaged(draw, content: bytes) -> bytes:
    """Bytes changed, cut off, put in, taken out or doubled; half the time near the start or the end."""
    middle = st.integers(0, len(content))
    near = st.one_of(st.integers(0, min(600, len(content))), st.integers(max(0, len(content) - 400), len(content)))
    at, size = draw(st.one_of(near, middle)), draw(st.integers(1, 12))
    kind = draw(st.sampled_from(["flip", "bytes", "cut", "insert", "delete", "double"]))
    if kind == "flip":
        at = min(at, len(content) - 1)
        return content[:at] + bytes([content[at] ^ (1 << draw(st.integers(0, 7)))]) + content[at + 1 :]
    if kind == "bytes":
        return content[:at] + draw(st.binary(min_size=size, max_size=size)) + content[at + size :]
    if kind == "cut":
        return content[:at]
    if kind == "insert":
        return content[:at] + draw(st.binary(min_size=1, max_size=40)) + content[at:]
    size *= draw(st.sampled_from([1, 64, 512]))
    return content[:at] + (content[at + size :] if kind == "delete" else content[max(0, at - size) :])


@st.composite
def cases(draw) -> tuple[str, dict[str, bytes], bool]:
    """A format, its damaged files, and whether their checksums still are the intact content's."""
    form = draw(st.sampled_from(list(PARTS)))
    parts, files = dict(PARTS[form]), pack(form, PARTS[form])
    key, part = draw(st.sampled_from(list(files))), draw(st.sampled_from(list(parts)))
    where = draw(st.sampled_from(["file", "part", "stream", "swap", "drop", "name", "compression"]))
    if where == "file":
        whole = svhn_contents()[key] if form == "svhn-mat" else files[key]  # compressed
        files[key] = draw(damaged(whole))
        return form, files, True
    if where == "compression" and form != "svhn-mat":
        if form == "npz":
            kind = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
            return form, {"archive": zipped(parts, kind)}, True
        inner = gzip.decompress(files[key])
        packer = draw(st.sampled_from([bytes, bz2.compress, lzma.compress, lambda data: gzip.compress(files[key])]))
        return form, files | {key: packer(inner)}, True
    if where == "stream" and form in ("cifar-binary", "cifar-100"):
        return form, {"archive": gzip.compress(draw(damaged(gzip.decompress(files[key]))), 1)}, False
    other = draw(st.sampled_from(list(parts)))
    if where == "swap":
        parts[part], parts[other] = parts[other], parts[part]
    elif where == "drop" and form not in ("idx", "svhn-mat"):
        del parts[part]
    elif where == "name" and form not in ("idx", "svhn-mat"):
        name = draw(st.sampled_from([other, f"x/{part}", part.upper(), part.removesuffix(".npy"), "ä" * 120, ""]))
        parts = {name if each == part else each: content for each, content in parts.items()}
    else:
        parts[part] = draw(damaged(parts[part]))
    return form, pack(form, parts), False


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_same_arrays_or_one_sentence(case):
    form, files, checked = case
    try:
        published = read(form, files)
    except UserError as error:
        message = str(error)
    else:
        message = "read."
        for split, (images, targets) in published.splits.items():
            assert (images.dtype, images.ndim, targets.ndim, len(images)) == (np.uint8, 4, 1, len(targets))
            assert targets.dtype.kind in "iu"
            if checked:  # by gzip's or zip's checksum
                for ours, theirs in zip((images, targets), intact(form).splits[split], strict=True):
                    np.testing.assert_array_equal(ours, theirs, strict=True)
    event(f"{form}: {'read' if message == 'read.' else 'refused'}")
    assert "\n" not in message
    assert message.endswith(".")
