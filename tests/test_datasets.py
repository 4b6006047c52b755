"""Preparing datasets: from archives built here byte by byte to splits and cards, and what breaks them."""

import errno
import gzip
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tarfile
import unittest.mock
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from cnntention import files
from cnntention.config import Dataset, digest, parse_study
from cnntention.data import datasets, mats, readers, tars
from cnntention.errors import UserError

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def images(count, *shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (count, *shape)).astype(np.uint8)


def labels(count, classes, seed=1):
    """Every class at least once, unevenly."""
    drawn = (np.random.RandomState(seed).rand(count) ** 2 * classes).astype(np.uint8)
    drawn[:classes] = np.arange(classes)
    return drawn


def idx(array) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes(), 1, mtime=0)


def tar(members: dict[str, bytes | tarfile.TarInfo]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def npz(**arrays) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def records(pixels, *label_columns) -> bytes:
    columns = [column[:, None] for column in label_columns]
    return np.concatenate([*columns, pixels.reshape(len(pixels), -1)], axis=1).tobytes()


def source(folder: Path, form: str, contents: dict[str, bytes], **options) -> tuple[dict, dict[str, Path]]:
    """Write the archives; return the configuration's `source` and `prepare`'s `raw`."""
    folder.mkdir(exist_ok=True)
    raw, config = {}, {"format": form, **options}
    for key, content in contents.items():
        raw[key] = folder / IDX_FILES.get(key, f"{key}.mat" if form == "svhn-mat" else f"source.{form}")
        raw[key].write_bytes(content)
        config[key] = {"urls": raw[key].name, "sha256": hashlib.sha256(content).hexdigest()}
    return config, raw


def idx_contents(train=200, test=40):
    return {
        "train_images": idx(images(train, 8, 9)),
        "train_labels": idx(labels(train, 4)),
        "test_images": idx(images(test, 8, 9, seed=2)),
        "test_labels": idx(labels(test, 4, seed=3)),
    }


GOLDEN = [[0, 2, 1, 5, 4, 3, 6, 7], [0, 6, 5, 3, 4, 7, 2, 1]]
CIFAR_TRAIN = images(50, 3, 32, 32)
CIFAR_LABELS = labels(50, 3)
CIFAR_TEST = images(7, 3, 32, 32, seed=5)


def cifar10_members():
    parts = zip(np.split(CIFAR_TRAIN, 5), np.split(CIFAR_LABELS, 5), strict=True)
    members = {f"some/folder/data_batch_{i}.bin": records(*part) for i, part in enumerate(parts, 1)}
    members = dict(reversed(members.items()))  # the order in the archive must not matter
    members["some/folder/test_batch.bin"] = records(CIFAR_TEST, labels(7, 3))
    return members | {"batches.meta.txt": b"cat\nsea horse\ndog\n\n"}


def npz_arrays():
    arrays = {"train_images": images(60, 2, 5, 4), "train_labels": labels(60, 5)}
    return arrays | {"test_images": images(9, 2, 5, 4, seed=7), "test_labels": labels(9, 5).astype(np.int32)}


def prepare(folder, form, contents, *, val=10, out="out", name="mine", options=(), **keys):
    """Prepare a dataset; returns its card and its splits."""
    config, raw = source(folder / "raw", form, contents, **dict(options))
    dataset = Dataset.model_validate({"source": config, "validation_images": val, **keys})
    card = datasets.prepare(name, dataset, raw, folder / out)
    assert datasets.read_card(folder / out) == card
    assert card["key"] == digest(dataset.preparation())
    return card, {split: datasets.read_split(folder / out, split) for split in datasets.SPLITS}


def whole(splits) -> tuple[np.ndarray, np.ndarray]:
    """Train and val put together again, in the published order."""
    order = np.argsort(np.concatenate([splits["train"].extras["index"], splits["val"].extras["index"]]))
    parts = [splits["train"], splits["val"]]
    return tuple(np.concatenate([getattr(p, what) for p in parts])[order] for what in ("images", "labels"))


# --- formats ------------------------------------------------------------------------------------------------


def test_idx(tmp_path):
    card, splits = prepare(tmp_path, "idx", idx_contents())
    pixels, targets = whole(splits)
    np.testing.assert_array_equal(pixels, images(200, 8, 9)[:, None], strict=True)
    np.testing.assert_array_equal(targets, labels(200, 4).astype(np.int64), strict=True)
    np.testing.assert_array_equal(splits["test"].images, images(40, 8, 9, seed=2)[:, None], strict=True)
    assert card["image"] == {"channels": 1, "height": 8, "width": 9}
    assert card["images"] == {"train": 190, "val": 10, "test": 40}
    assert (card["classes"], card["class_names"]) == (4, None)


def test_cifar10(tmp_path):
    card, splits = prepare(tmp_path, "cifar-binary", {"archive": tar(cifar10_members())})
    pixels, targets = whole(splits)
    np.testing.assert_array_equal(pixels, CIFAR_TRAIN, strict=True)
    np.testing.assert_array_equal(targets, CIFAR_LABELS)
    np.testing.assert_array_equal(splits["test"].images, CIFAR_TEST, strict=True)
    assert card["class_names"] == ["cat", "sea horse", "dog"]


@pytest.mark.parametrize("coarse", [False, True])
def test_cifar100(tmp_path, coarse):
    other = np.zeros(50, np.uint8)
    columns = [(CIFAR_LABELS, other), (labels(7, 3), other[:7])]
    if not coarse:
        columns = [pair[::-1] for pair in columns]
    names = {"coarse" if coarse else "fine": b"a\nb\nc\nd\n", "fine" if coarse else "coarse": b"all\n"}
    members = {
        "cifar-100-binary/train.bin": records(CIFAR_TRAIN, *columns[0]),
        "cifar-100-binary/test.bin": records(CIFAR_TEST, *columns[1]),
        **{f"cifar-100-binary/{kind}_label_names.txt": text for kind, text in names.items()},
    }
    options = {"label_bytes": 2, "coarse": coarse}
    card, splits = prepare(tmp_path, "cifar-binary", {"archive": tar(members)}, options=options)
    pixels, targets = whole(splits)
    np.testing.assert_array_equal(pixels, CIFAR_TRAIN)
    np.testing.assert_array_equal(targets, CIFAR_LABELS)
    assert card["class_names"] == ["a", "b", "c", "d"]
    assert card["images_per_class"]["test"][3] == 0, "a named class may be empty"


def test_coarse_labels_are_other_data():
    source = {"format": "cifar-binary", "label_bytes": 2, "archive": {"urls": "a.gz", "sha256": "a" * 64}}
    fine, coarse = (Dataset.model_validate({"source": source | {"coarse": of}}) for of in (False, True))
    assert fine.preparation()["source"] == {"format": "cifar-binary", "archive": "a" * 64}, "as before there was coarse"
    assert fine.preparation() != coarse.preparation()
    with pytest.raises(ValueError, match="coarse: only CIFAR-100 has coarse labels; say label_bytes: 2"):
        Dataset.model_validate({"source": source | {"coarse": True, "label_bytes": 1}})


def mat(pixels, digits, compressed=True, **more) -> bytes:
    """As SVHN's: images (N, 3, H, W) of digits, where 10 stands for the 0."""
    out = io.BytesIO()
    named = np.where(digits == 0, 10, digits).astype(np.uint8)
    savemat(out, {"X": pixels.transpose(2, 3, 1, 0), "y": named[:, None], **more}, do_compression=compressed)
    return b"MATLAB 5.0 MAT-file".ljust(116) + out.getvalue()[116:]  # without the time


def svhn_contents(**more):
    return {
        "train": mat(images(60, 3, 8, 8), labels(60, 10), **more),
        "test": mat(images(9, 3, 8, 8, seed=5), labels(9, 4), **more),
    }


@pytest.mark.parametrize("compressed", [True, False])
def test_svhn(tmp_path, compressed):
    card, splits = prepare(tmp_path, "svhn-mat", svhn_contents(compressed=compressed))
    pixels, targets = whole(splits)
    np.testing.assert_array_equal(pixels, images(60, 3, 8, 8), strict=True)
    np.testing.assert_array_equal(targets, labels(60, 10))
    np.testing.assert_array_equal(splits["test"].images, images(9, 3, 8, 8, seed=5), strict=True)
    np.testing.assert_array_equal(splits["test"].labels, labels(9, 4))
    assert card["class_names"] == list("0123456789")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"X": None}, ["has no X (it has y)"]),
        ({"X": np.zeros((8, 8, 3, 60))}, ["X must be uint8 (H, W, 3, N), not float64 (8, 8, 3, 60)"]),
        ({"X": np.zeros((8, 8, 60), np.uint8)}, ["X must be uint8 (H, W, 3, N), not uint8 (8, 8, 60)"]),
        ({"X": np.zeros((8, 8, 3, 2_000), np.uint8)}, ["unpacks to more than 300,000 bytes"]),
        ({"X": np.zeros((8, 8, 3, 9), np.uint8)}, ["has 60 train labels for 9 train images"]),
        ({"y": np.zeros((60, 1))}, ["y has labels other than 1 to 10"]),
        ({"y": np.full((60, 1), 1.5)}, ["y has labels other than 1 to 10"]),
        ({"y": np.full((60, 1), np.nan)}, ["y has labels other than 1 to 10"]),
        ({"y": np.ones((60, 2))}, ["y must be numbers (N, 1), not float64 (60, 2)"]),
        ({"y": np.array(["a", {}], object)}, ["cannot be read (y is no array of real numbers)"]),
        ({"y": "digits"}, ["y is no array of real numbers"]),
        ({"y": np.ones((60, 1)) * 1j}, ["y is no array of real numbers"]),
        (None, ["cannot be read (it is cut off)"]),
    ],
)
def test_broken_svhn(tmp_path, monkeypatch, change, words):
    limited(monkeypatch, 300_000)
    contents, held = svhn_contents(), {"X": np.zeros((8, 8, 3, 60), np.uint8), "y": np.ones((60, 1), np.uint8)}
    out = io.BytesIO()
    savemat(out, {name: value for name, value in (held | (change or {})).items() if value is not None})
    contents["train"] = out.getvalue() if change else contents["train"][:-9]
    refused(tmp_path, "svhn-mat", contents, *words, "train.mat")


@pytest.mark.parametrize("channels", [True, False])
def test_npz(tmp_path, channels):
    arrays = npz_arrays()
    if not channels:
        arrays |= {name: array[:, 0] for name, array in arrays.items() if array.ndim == 4}
    card, splits = prepare(tmp_path, "npz", {"archive": npz(**arrays)})
    pixels, targets = whole(splits)
    np.testing.assert_array_equal(pixels.squeeze(1) if not channels else pixels, arrays["train_images"])
    np.testing.assert_array_equal(targets, arrays["train_labels"])
    assert card["image"]["channels"] == (2 if channels else 1)


# --- splits -------------------------------------------------------------------------------------------------


def test_split_is_stratified_exact_and_disjoint(tmp_path):
    _, splits = prepare(tmp_path, "idx", idx_contents(), val=37)
    train, val = splits["train"].extras["index"], splits["val"].extras["index"]
    assert (len(train), len(val)) == (163, 37)
    assert not np.intersect1d(train, val).size
    assert (np.diff(train) > 0).all(), "the published order is kept"
    sizes = np.bincount(labels(200, 4))
    assert abs(np.bincount(splits["val"].labels) - 37 * sizes / 200).max() < 1


def test_largest_remainder_by_hand():
    # 5 of sizes 5, 3, 2: shares 2.5, 1.5, 1.0; the one left over goes to the first equal remainder
    chosen = datasets.stratified(np.repeat([0, 1, 2], [5, 3, 2]), 5, seed=0, purpose=0)
    assert np.bincount(np.repeat([0, 1, 2], [5, 3, 2])[chosen]).tolist() == [3, 1, 1]


def test_shuffle_is_the_same_for_ever():
    # Stored splits and published numbers hang on it. numpy does not define raw Philox words, its authors do.
    assert datasets.shuffled(8, 0, 0).tolist() == GOLDEN[0]
    assert datasets.shuffled(8, 1, 1).tolist() == GOLDEN[1]


@pytest.mark.parametrize("key", ["split_seed", "train_images"])
def test_what_changes_with(tmp_path, key):
    _, one = prepare(tmp_path, "idx", idx_contents(), out="one")
    _, two = prepare(tmp_path, "idx", idx_contents(), out="two", **{key: 60})
    same = np.array_equal(one["val"].extras["index"], two["val"].extras["index"])
    assert same == (key == "train_images"), "fewer training images must leave val as it is"
    if key == "train_images":
        kept = two["train"].extras["index"]
        assert len(kept) == 60
        assert np.isin(kept, one["train"].extras["index"]).all()
        assert (np.diff(kept) > 0).all()
        assert abs(np.bincount(two["train"].labels) - 60 * np.bincount(one["train"].labels) / 190).max() < 1


def test_first_test_images_are_kept(tmp_path):
    card, splits = prepare(tmp_path, "idx", idx_contents(), test_images=11)
    np.testing.assert_array_equal(splits["test"].images, images(40, 8, 9, seed=2)[:11, None])
    assert card["images"]["test"] == 11


@pytest.mark.parametrize("form", ["idx", "cifar-binary", "npz"])
def test_same_bytes_again(tmp_path, form):
    contents = {
        "idx": idx_contents(),
        "cifar-binary": {"archive": tar(cifar10_members())},
        "npz": {"archive": npz(**npz_arrays())},
    }[form]
    for out in ("one", "two"):
        prepare(tmp_path, form, contents, out=out)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    assert len(list((tmp_path / "one").iterdir())) == 4


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"val": 200}, ["mine.validation_images: 200 asked, 199 available"]),
        ({"val": 20, "train_images": 181}, ["mine.train_images: 181 asked, 180 available"]),
        ({"test_images": 41}, ["mine.test_images: 41 asked, 40 available"]),
    ],
)
def test_too_many_asked_for(tmp_path, keys, words):
    refused(tmp_path, "idx", idx_contents(), *words, **keys)


# --- the card -----------------------------------------------------------------------------------------------


def test_card(tmp_path):
    card, splits = prepare(tmp_path, "npz", {"archive": npz(**npz_arrays())}, options={"licence": "CC0"})
    scaled = splits["train"].images / 255
    np.testing.assert_allclose(card["mean"], scaled.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(card["sd"], scaled.std((0, 2, 3)), rtol=1e-12)
    assert card["images_per_class"] == {s: np.bincount(d.labels).tolist() for s, d in splits.items()}
    assert card["files"] == {
        f"{split}.safetensors": files.sha256(tmp_path / "out" / f"{split}.safetensors") for split in splits
    }
    sha256 = files.sha256(tmp_path / "raw" / "source.npz")
    assert card["source"] == {"archive": {"filename": "source.npz", "sha256": sha256, "urls": ["source.npz"]}}
    assert (card["name"], card["format"], card["licence"]) == ("mine", "npz", "CC0")


def test_nothing_published_has_credentials(tmp_path, monkeypatch, small):
    from cnntention.models.registry import build
    from cnntention.results import gather
    from cnntention.results.aggregate import dataset_rows
    from cnntention.results.paths import data_folder
    from cnntention.training import command

    monkeypatch.chdir(tmp_path)
    config, raw = source(tmp_path / "raw", "npz", {"archive": npz(**npz_arrays())})
    config["archive"]["urls"] = ["https://me:secret@host/a.npz?token=secret", "file.npz"]
    small["datasets"]["cues"] = {"source": config, "validation_images": 10}
    study = parse_study(small)
    run, folder = study.runs()[0], data_folder(study, "cues")
    card = datasets.prepare("cues", study.datasets["cues"], raw, Path(folder))
    assert card["source"]["archive"]["urls"] == ["https://host/a.npz", "file.npz"]
    assert [row.source for row in dataset_rows(study)] == ["https://host/a.npz"]
    row = dict.fromkeys(["train_loss", "train_accuracy", "val_loss", "val_accuracy", "images_per_s", "seconds"], 1.0)
    told = command.describe(study, run, build(study.models[run.model], 2, 5, 0), card, [row | {"epoch": 1}])
    assert told["dataset"]["source"]["archive"]["urls"] == ["https://host/a.npz", "file.npz"]
    written = []
    monkeypatch.setattr(gather.files, "write_json", lambda path, value: written.append(value))
    for name in (
        "ExaminedRun",
        "frame",
        "cost_rows",
        "round_rows",
        "cell_rows",
        "published_rows",
        "shown_maps",
        "write_card",
    ):
        monkeypatch.setattr(gather, name, unittest.mock.MagicMock())
    for name in ("write_csv", "write_tensors"):
        monkeypatch.setattr(gather.files, name, lambda path, value: None)
    monkeypatch.setattr(gather, "run_row", lambda study, run: None)
    gather.write_tables(study, tmp_path / "tables")
    assert written
    assert "secret" not in str([card, told, written])


def test_moments_of_more_than_one_chunk():
    pixels = images(2300, 3, 4, 4)
    mean, sd = datasets.moments(pixels)
    np.testing.assert_allclose(mean, (pixels / 255).mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(sd, (pixels / 255).std((0, 2, 3)), rtol=1e-12)
    assert datasets.moments(np.full((5, 1, 2, 2), 255, np.uint8)) == ([1.0], [0.0])


# --- broken sources -----------------------------------------------------------------------------------------


def refused(tmp_path, form, contents, *words, **keys) -> None:
    """Preparing must end in one sentence with these words, and leave what was there."""
    files.write_record(tmp_path / "out" / "card.json", {"preparation_version": 0})
    with pytest.raises(UserError) as caught:
        prepare(tmp_path, form, contents, **keys)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert datasets.read_card(tmp_path / "out") == {"preparation_version": 0}


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("train_images", idx(labels(200, 4)), ["magic 00000801, not 00000803"]),
        ("train_images", b"plain", ["cannot be read", "Not a gzipped file"]),
        ("train_images", b"", ["is not an IDX file"]),
        ("test_images", idx(images(40, 8, 9))[:-300], ["cannot be read"]),
        ("test_images", gzip.compress(gzip.decompress(idx(images(40, 8, 9)))[:-5], mtime=0), ["says 40 x 8 x 9 but"]),
        ("test_images", gzip.compress(bytes([0, 0, 8, 3, 1]), mtime=0), ["holds 0 bytes"]),
        ("test_images", idx(images(40, 9, 9)), ["its test images are (1, 9, 9), those of train (1, 8, 9)"]),
        ("test_labels", idx(labels(39, 4)), ["39 test labels for 40 test images"]),
        ("test_labels", idx(labels(40, 5)), ["has the test label 4; 4 classes have labels 0 to 3"]),
        ("train_labels", idx(labels(200, 4) + 1), ["no training image of class 0"]),
        ("train_labels", idx(labels(0, 0)), ["0 train labels for 200"]),
    ],
)
def test_broken_idx(tmp_path, key, content, words):
    refused(tmp_path, "idx", idx_contents() | {key: content}, *words, IDX_FILES[key])


def link(name, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"some/folder/data_batch_3.bin": None}, ["has no data_batch_3.bin", "or train.bin"]),
        ({"some/folder/test_batch.bin": None}, ["has no test_batch.bin"]),
        ({"some/folder/data_batch_2.bin": bytes(3072)}, ["3072 bytes, no multiple of the 3073"]),
        ({"some/folder/data_batch_2.bin": link("../data_batch_2.bin")}, ["is not a regular file"]),
        ({"some/folder/data_batch_2.bin": link("data_batch_2.bin", tarfile.CHRTYPE)}, ["not a regular"]),
        ({"other/data_batch_1.bin": bytes(3073)}, ["more than one data_batch_1.bin"]),
        ({"batches.meta.txt": b"cat\ndog\n"}, ["has the train label 2; 2 classes have labels 0 to 1"]),
        ({"batches.meta.txt": b"\xff\xfe\n"}, ["cannot be read"]),
        ({f"some/folder/data_batch_{i}.bin": b"" for i in range(1, 6)}, ["has no train images"]),
    ],
)
def test_broken_cifar(tmp_path, change, words):
    members = {name: content for name, content in (cifar10_members() | change).items() if content is not None}
    refused(tmp_path, "cifar-binary", {"archive": tar(members)}, *words, "source.cifar-binary", val=1)


@pytest.mark.parametrize("damage", ["cut", "short", "flipped", "no tar"])
def test_damaged_tar(tmp_path, damage):
    good = tar(cifar10_members())
    flipped = bytes([good[-6] ^ 1])  # in gzip's checksum: every member can still be read
    content = {
        "cut": good[: len(good) // 2],
        "short": good[:-4],
        "flipped": good[:-6] + flipped + good[-5:],
        "no tar": gzip.compress(b"hello" * 500, mtime=0),
    }[damage]
    refused(tmp_path, "cifar-binary", {"archive": content}, "cannot be read", "delete it and fetch it again")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"test_labels": None}, ["has no test_labels (it has train_images"]),
        ({"test_images": images(9, 2, 5, 4).astype(float)}, ["test_images must be uint8", "float64"]),
        ({"test_images": images(9, 20)}, ["test_images must be uint8 (N, C, H, W)", "(9, 20)"]),
        ({"train_images": images(60, 32, 32, 3)}, ["channels last; transpose it"]),
        ({"train_labels": np.ones(60)}, ["train_labels must be integers (N,), not float64"]),
        ({"train_labels": labels(60, 5)[:, None]}, ["train_labels must be integers (N,)"]),
        ({"train_labels": labels(60, 5).astype(np.int64) - 1}, ["has the train label -1"]),
        ({"train_labels": labels(60, 5).astype(np.int64) * 10**12}, ["no training image of class 1"]),
        ({"train_labels": np.array([{"an": "object"}] * 60)}, ["cannot be read", "allow_pickle=False"]),
    ],
)
def test_broken_npz(tmp_path, change, words):
    arrays = {name: array for name, array in (npz_arrays() | change).items() if array is not None}
    refused(tmp_path, "npz", {"archive": npz(**arrays)}, *words, "source.npz")


def test_damaged_npz(tmp_path):
    refused(tmp_path, "npz", {"archive": npz(**npz_arrays())[:-50]}, "source.npz: cannot be read")


def test_npy_is_no_npz(tmp_path):
    out = io.BytesIO()
    np.save(out, np.zeros(3))
    refused(tmp_path, "npz", {"archive": out.getvalue()}, "File is not a zip file")


def npy(shape, descr="|u1") -> bytes:
    """An .npy that says more than it holds."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + b"12345"


def zipped(members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no array", ["cannot be read", "magic string is not correct"]),
        (npy((10**12,)), ["cannot be read"]),
        (npy((2**40, 2**40)), ["cannot be read"]),
        (npy((2,)), ["test_labels.npy is longer than its shape (2,)"]),
        (npy((10**12,), "|V0"), ["is longer than its shape"]),
        (npy((2,)).replace(b"{", b"("), ["cannot be read"]),
        (bytes(1_500_000), ["unpacks to more than 1,000,000 bytes"]),
    ],
)
def test_npz_that_claims_much(tmp_path, monkeypatch, content, words):
    limited(monkeypatch)
    with zipfile.ZipFile(io.BytesIO(npz(**npz_arrays()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    refused(tmp_path, "npz", {"archive": zipped(members | {"test_labels.npy": content})}, *words)


def test_npz_compressed_in_another_way(tmp_path):
    archive = zipped({f"{name}.npy": b"" for name in npz_arrays()}, zipfile.ZIP_LZMA)
    refused(tmp_path, "npz", {"archive": archive}, "is not compressed as by np.savez_compressed")


def limited(monkeypatch, largest=1_000_000):
    for module in (mats, readers, tars):
        monkeypatch.setattr(module, "LARGEST", largest)
        monkeypatch.setattr(module, "TOO_LARGE", f"unpacks to more than {largest:,} bytes")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([10_000] * 3, ["says 10000 x 10000 x 10000, which unpacks to more than"]),
        ([1000, 10, 10], ["says 1000 x 10 x 10 but holds 1 bytes"]),
        ([0, 2**32 - 1, 2**32 - 1], ["says 0 x ", "but holds more bytes"]),
    ],
)
def test_idx_that_claims_much(tmp_path, sizes, words):
    header = bytes([0, 0, 8, 3]) + b"".join(size.to_bytes(4, "big") for size in sizes)
    refused(tmp_path, "idx", idx_contents() | {"train_images": gzip.compress(header + b"1", mtime=0)}, *words)


def odd_tar(kind: str) -> bytes:
    """A tar.gz that is small, and unpacks to much or for ever."""
    out, name = io.BytesIO(), "batches.meta.txt"
    with tarfile.open(fileobj=out, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for member, content in cifar10_members().items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            if member == name and kind == "sparse map":
                info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12}
            archive.addfile(info, io.BytesIO(content))
        info = tarfile.TarInfo(f"other/{name}x")
        if kind == "sparse":
            info.type = tarfile.GNUTYPE_SPARSE
        elif kind == "header":
            info.pax_headers = {"comment": "a" * 100_000}
        elif kind.startswith("large"):
            info.size = 1_000_000 if kind == "large" else 1_000_001
        for _ in range(1000 if kind == "many" else 1):
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sparse", "is sparse"),
        ("sparse map", "is sparse"),
        ("header", "extended header of 100"),
        ("larger", "unpacks to more than 1,000,000 bytes"),
        ("large", "unpacks to more than 1,000,000 bytes"),
        ("many", "has more than 1000 members"),
    ],
)
def test_tar_that_unpacks_to_much(tmp_path, monkeypatch, kind, words):
    limited(monkeypatch)
    refused(tmp_path, "cifar-binary", {"archive": odd_tar(kind)}, words)


def test_damaged_tar_header(tmp_path):
    content = bytearray(gzip.decompress(tar(cifar10_members())))
    content[content.index(b"batches.meta.txt")] ^= 1  # the last one: tarfile alone would take it for the end
    refused(tmp_path, "cifar-binary", {"archive": gzip.compress(bytes(content))}, "has a damaged tar header")


def test_another_file_than_configured(tmp_path):
    config, raw = source(tmp_path / "raw", "npz", {"archive": npz(**npz_arrays())})
    dataset = Dataset.model_validate({"source": config, "validation_images": 10})
    raw["archive"].write_bytes(npz(**npz_arrays() | {"test_labels": np.zeros(9, int)}))
    with pytest.raises(UserError, match=r"its SHA-256 is .* of datasets\.mine\.source\.archive"):
        datasets.prepare("mine", dataset, raw, tmp_path / "out")
    raw["archive"].unlink()
    with pytest.raises(UserError, match="No such file"):
        datasets.prepare("mine", dataset, raw, tmp_path / "out")
    with pytest.raises(UserError, match="its file is not given"):
        datasets.prepare("mine", dataset, {}, tmp_path / "out")


@pytest.mark.parametrize("name", ["notes.txt", "card.json"])
def test_a_folder_of_another_kind_is_left_alone(tmp_path, name):
    if name == "card.json":
        files.write_record(tmp_path / "out" / name, {"study": "small"})
    else:
        files.write_text(tmp_path / "out" / name, "mine")
    before = (tmp_path / "out" / name).read_bytes()
    with pytest.raises(UserError, match=f"not the folder of a prepared dataset .{name} is of another kind"):
        prepare(tmp_path, "npz", {"archive": npz(**npz_arrays())})
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    assert (tmp_path / "out" / name).read_bytes() == before


def test_a_full_disk_leaves_the_old_card(tmp_path, monkeypatch):
    prepare(tmp_path, "npz", {"archive": npz(**npz_arrays())})
    before = datasets.read_card(tmp_path / "out")

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(UserError, match=r"out/train\.safetensors: cannot be written \(No space left on device\)"):
        prepare(tmp_path, "npz", {"archive": npz(**npz_arrays())})
    assert datasets.read_card(tmp_path / "out") == before
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_broken_prepared_files(tmp_path):
    prepare(tmp_path, "npz", {"archive": npz(**npz_arrays())})
    path = tmp_path / "out" / "val.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # one bit of one pixel
    path.write_bytes(content)
    with pytest.raises(UserError, match="its SHA-256 is not the recorded one"):
        datasets.read_split(tmp_path / "out", "val")
    with pytest.raises(UserError, match="unknown split 'valid'; use train, val, test"):
        datasets.read_split(tmp_path / "out", "valid")
    with pytest.raises(UserError, match="is missing"):
        datasets.read_card(tmp_path)


# --- generated and real -------------------------------------------------------------------------------------


def cuematch(**keys):
    knobs = {"format": "cuematch", "track": "relation-colour", "test_distances": ["far"], "seed": 3, **keys}
    counts = {"train_images": 60, "validation_images": 20, "test_images": 10}
    return Dataset.model_validate({"source": knobs, **counts})


@pytest.mark.parametrize("track", ["relation-colour", "relation-shape", "local"])
def test_cuematch(tmp_path, track):
    from cnntention.data.cuematch import generate

    dataset = cuematch(track=track)
    card = datasets.prepare("cue", dataset, {}, tmp_path)
    knobs = {"seed": 3, "candidates": 4, "noise": 0.15, "glyph_size": 7, "jitter": 0, "dropout": 0.0}
    for split, count, bins in (("train", 60, 3), ("val", 20, 3), ("test", 10, 1)):
        distances = ("near", "mid", "far")[-bins:]
        scenes = generate(split, count, distances=distances, held_out_pairs=0, **knobs)
        stored = datasets.read_split(tmp_path, split)
        np.testing.assert_array_equal(stored.images, scenes.images, strict=True)
        np.testing.assert_array_equal(stored.labels, scenes.labels(track), strict=True)
        expected = {f"factors.{name}": value for name, value in scenes.factors(track).items()}
        expected |= {"mask": scenes.mask(track), "index": np.arange(count)}
        assert stored.extras.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(stored.extras[name], value, strict=True)
    assert card["images"] == {"train": 60, "val": 20, "test": 10}
    assert card["classes"] == len(card["class_names"]) == 10
    assert card["source"] == dataset.source.identity()
    assert set(np.unique(stored.extras["mask"])) <= set(card["mask_codes"].values())


def test_knobs_that_the_generator_refuses(tmp_path, monkeypatch):
    from cnntention.data import cuematch as generator

    def refuse(*args, **knobs):
        raise ValueError("candidates 9: use 1 to 6")

    monkeypatch.setattr(generator, "generate", refuse)
    with pytest.raises(UserError, match=r"datasets\.cue\.source: candidates 9: use 1 to 6"):
        datasets.prepare("cue", cuematch(), {}, tmp_path)


# 3 s: without the mirror's CIFAR-10, which alone takes 12 s to build.
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real data are not beside the repository")
def test_real_mnist(tmp_path, monkeypatch):
    pytest.importorskip("PIL", reason="the mirror's builder needs Pillow")
    spec = importlib.util.spec_from_file_location("build_archives", SHARED / "build_archives.py")
    builder = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(builder)
    monkeypatch.setattr(builder, "build_cifar10", lambda out: None)
    builder.main(tmp_path)
    contents = {key: (tmp_path / "mnist" / name).read_bytes() for key, name in IDX_FILES.items()}
    card, splits = prepare(tmp_path, "idx", contents, val=5000, name="mnist")
    assert card["images"] == {"train": 55000, "val": 5000, "test": 10000}
    assert card["image"] == {"channels": 1, "height": 28, "width": 28}
    assert card["mean"] == pytest.approx([0.1307], abs=1e-4)
    assert card["sd"] == pytest.approx([0.3081], abs=1e-4)
    published = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(whole(splits)[1]).tolist() == published
    assert card["images_per_class"]["test"] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    shutil.rmtree(tmp_path)


def test_no_torch():
    code = "import sys, cnntention.data.archives, cnntention.data.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
