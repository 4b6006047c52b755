"""Prepare a dataset: read its archives (or generate it), split it, measure it, write it; and read it back.

A prepared dataset is a folder of `train.safetensors`, `val.safetensors`, `test.safetensors` and `card.json`,
which is written last. Each split holds `images` uint8 (N, C, H, W), `labels` int64 (N,) and `index` int64
(N,): the image's place in the published training or test set. The same source gives the same bytes, always.
"""

import gzip
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnntention import files, versions
from cnntention.config import CifarBinarySource, CueMatchSource, Dataset, digest
from cnntention.errors import UserError

SPLITS = ("train", "val", "test")
VALIDATION, SUBSET = 0, 1  # purposes: each draws its own random words
CIFAR_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
CIFAR_SHAPE = (3, 32, 32)
MASK_CODES = {"background": 0, "match": 1, "cue": 2, "other": 3}  # of cuematch.Scenes.mask
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, C, H, W), labels int64 (N,); extras: index and, of CueMatch, mask and factors.*"""

    images: np.ndarray
    labels: np.ndarray
    extras: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Published:
    """A dataset as its authors publish it: {"train": (images, labels), "test": …} and the classes' names."""

    splits: dict[str, tuple[np.ndarray, np.ndarray]]
    class_names: list[str] | None = None


def prepare(name: str, dataset: Dataset, raw: Mapping[str, Path], out: Path) -> dict:
    """Write the dataset's splits and card to the folder `out`; return the card.

    `raw` has the path of each of the source's archives, by field name (none for CueMatch). Raises UserError
    if an archive is damaged, is not the file that the configuration names, or has too few images.
    """
    out = Path(out)
    (out / "card.json").unlink(missing_ok=True)  # so that a card never stands beside another preparation's splits
    if isinstance(dataset.source, CueMatchSource):
        splits, facts = generate(name, dataset)
    else:
        published = read_archives(name, dataset, {key: Path(path) for key, path in raw.items()})
        splits = divide(name, dataset, published)
        class_names = published.class_names
        count = len(class_names) if class_names else int(published.splits["train"][1].max()) + 1
        facts = {"classes": count, "class_names": class_names}
    for split, arrays in splits.items():
        files.write_tensors(out / f"{split}.safetensors", arrays)
    card = describe(name, dataset, splits, facts)
    card["files"] = {f"{split}.safetensors": files.sha256(out / f"{split}.safetensors") for split in splits}
    files.write_json(out / "card.json", card)
    return card


def read_split(folder: Path, split: str) -> Split:
    """One of the splits that `prepare` wrote; UserError if it is missing or broken."""
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; use {', '.join(SPLITS)}.")
    path = Path(folder) / f"{split}.safetensors"
    arrays = files.read_tensors(path)
    if not {"images", "labels"} <= arrays.keys():
        raise UserError(f"{path}: has no images and labels; delete it and prepare the dataset again.")
    return Split(arrays.pop("images"), arrays.pop("labels"), arrays)


def read_card(folder: Path) -> dict:
    """The card that `prepare` wrote; UserError if it is missing or broken."""
    return files.read_json(Path(folder) / "card.json")


# --- reading archives ---------------------------------------------------------------------------------------


def read_archives(name: str, dataset: Dataset, raw: Mapping[str, Path]) -> Published:
    """What the source's archives hold, checked; UserError names the file that is wrong."""
    source = dataset.source
    for key, archive in source.archives.items():
        if key not in raw:
            raise UserError(f"datasets.{name}.source.{key}: its file is not given; fetch it first.")
        with reading(raw[key]):
            found = files.sha256(raw[key])
        if found != archive.sha256:
            raise UserError(
                f"{raw[key]}: its SHA-256 is {found[:8]}…, not the {archive.sha256[:8]}… of "
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
    """Turn what readers raise on a damaged archive into a sentence that names it."""
    try:
        yield
    except (
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        zlib.error,
        tarfile.TarError,
        zipfile.BadZipFile,
    ) as error:
        raise bad(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def bad(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}; delete it and fetch it again, or correct the dataset's source.")


def idx_pair(raw: Mapping[str, Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    images, labels = (read_idx(raw[f"{split}_{what}"], dims) for what, dims in (("images", 3), ("labels", 1)))
    return images[:, None], labels  # one channel


def read_idx(path: Path, dims: int) -> np.ndarray:
    """A gzipped IDX file of uint8 in `dims` dimensions: 0, 0, 8, dims; sizes as big-endian uint32; data."""
    with reading(path), gzip.open(path) as file:
        data = file.read()
    start = 4 + 4 * dims
    if data[:4] != bytes([0, 0, 8, dims]):
        expected = bytes([0, 0, 8, dims]).hex()
        raise bad(path, f"is not an IDX file of bytes in {dims} dimensions (magic {data[:4].hex()}, not {expected})")
    shape = [int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4)]
    if len(data) - start != math.prod(shape):
        sizes = " x ".join(map(str, shape))
        raise bad(path, f"says {sizes} but holds {max(len(data) - start, 0)} bytes of data")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


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


def read_members(path: Path, wanted: set[str]) -> dict[str, bytes]:
    """The tar.gz's wanted files by name, in whatever folder of it; read in memory, nothing is unpacked.

    A link or a device of a wanted name is refused.
    """
    found: dict[str, bytes] = {}
    # Read as a stream to its very end, so that gzip's own checksum is checked as well.
    with reading(path), gzip.open(path) as unzipped:
        with tarfile.open(fileobj=unzipped, mode="r|", bufsize=1 << 20) as tar:
            for member in tar:
                name = member.name.rpartition("/")[2]
                if name not in wanted:
                    continue
                if not member.isreg():
                    raise bad(path, f"{member.name} is not a regular file in it")
                if name in found:
                    raise bad(path, f"has more than one {name}")
                found[name] = tar.extractfile(member).read()
        while unzipped.read(1 << 20):
            pass
    return found


def read_npz(path: Path) -> Published:
    """An .npz with train_images, train_labels, test_images, test_labels; nothing is unpickled."""
    names = [f"{split}_{what}" for split in ("train", "test") for what in ("images", "labels")]
    with reading(path):
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("one array, not an .npz")
        with archive:
            missing = [name for name in names if name not in archive.files]
            arrays = {} if missing else {name: archive[name] for name in names}
    if missing:
        raise bad(path, f"has no {', '.join(missing)} (it has {', '.join(archive.files) or 'nothing'})")
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


def check(published: Published, raw: Mapping[str, Path]) -> None:
    """Refuse labels that do not fit the images or the classes 0..K-1, of which none may be empty in train.

    Where the archive names its classes, their number is K, and a class may be empty.
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


# --- splitting ----------------------------------------------------------------------------------------------


def divide(name: str, dataset: Dataset, published: Published) -> dict[str, Arrays]:
    """Take val out of the published training images; keep as many train and test images as are asked for."""
    labels = published.splits["train"][1].astype(np.int64)
    available, seed = len(labels), dataset.split_seed

    def enough(key: str, limit: int, why: str) -> None:
        asked = getattr(dataset, key)
        if asked is not None and asked > limit:
            raise UserError(f"datasets.{name}.{key}: {asked} asked, {limit} available ({why}); ask for fewer.")

    enough("validation_images", available - 1, f"one of {available} training images must be left to train on")
    val = stratified(labels, dataset.validation_images, seed, VALIDATION)
    train = np.setdiff1d(np.arange(available), val)
    enough("train_images", len(train), f"{available} training images less {len(val)} for validation")
    if dataset.train_images is not None:
        train = train[stratified(labels[train], dataset.train_images, seed, SUBSET)]
    tested = len(published.splits["test"][1])
    enough("test_images", tested, "all test images")
    test = np.arange(tested if dataset.test_images is None else dataset.test_images)

    splits = {}
    for split, origin, index in (("train", "train", train), ("val", "train", val), ("test", "test", test)):
        images, targets = published.splits[origin]
        splits[split] = {"images": images[index], "labels": targets[index].astype(np.int64), "index": index}
    return splits


def stratified(labels: np.ndarray, count: int, seed: int, purpose: int) -> np.ndarray:
    """`count` indices of `labels` (N,), ascending: a random share of each class, by largest remainder."""
    sizes = np.bincount(labels)
    quotas, remainders = np.divmod(count * sizes, len(labels))
    rounded_up = np.argsort(-remainders, kind="stable")[: count - quotas.sum()]
    quotas[rounded_up] += 1
    order = shuffled(len(labels), seed, purpose)
    chosen = [order[labels[order] == label][:quota] for label, quota in enumerate(quotas)]
    return np.sort(np.concatenate(chosen))


def shuffled(count: int, seed: int, purpose: int) -> np.ndarray:
    """0..count-1 in a random order that no numpy version changes: raw Philox words, sorted."""
    key = np.array([seed % 2**64, purpose], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable")


# --- generating ---------------------------------------------------------------------------------------------


def generate(name: str, dataset: Dataset) -> tuple[dict[str, Arrays], dict]:
    """CueMatch's splits, and what its card says besides what every card says."""
    from cnntention.data import cuematch

    source = dataset.source
    counts = (dataset.train_images, dataset.validation_images, dataset.test_images)
    knobs = ("seed", "candidates", "noise", "glyph_size", "jitter", "dropout", "held_out_pairs")
    splits = {}
    for split, count in zip(SPLITS, counts, strict=True):
        distances = source.test_distances if split == "test" else source.distances
        options = {knob: getattr(source, knob) for knob in knobs}
        try:
            scenes = cuematch.generate(split, count, distances=distances, **options)
        except ValueError as error:  # names the knob and what would do
            raise UserError(f"datasets.{name}.source: {error}") from None
        splits[split] = {
            "images": scenes.images,
            "labels": scenes.labels(source.track),
            "index": np.arange(count, dtype=np.int64),
            "mask": scenes.mask(source.track),
        }
        splits[split] |= {f"factors.{key}": value for key, value in scenes.factors(source.track).items()}
    names = cuematch.SHAPES if source.track == "relation-colour" else cuematch.COLOURS
    facts = {"classes": len(names), "class_names": list(names), "mask_codes": MASK_CODES}
    return splits, facts | {"generator_version": cuematch.VERSION}


# --- the card -----------------------------------------------------------------------------------------------


def describe(name: str, dataset: Dataset, splits: dict[str, Arrays], facts: dict) -> dict:
    """The card, all but the hashes of the files."""
    source = dataset.source
    channels, height, width = splits["train"]["images"].shape[1:]
    mean, sd = moments(splits["train"]["images"])
    archives = {
        key: {"filename": archive.filename, "sha256": archive.sha256, "urls": list(archive.urls)}
        for key, archive in source.archives.items()
    }
    return {
        "name": name,
        "key": digest(dataset.preparation()),
        "preparation_version": versions.PREPARATION,
        "format": source.format,
        "licence": source.licence,
        "source": archives or source.identity(),
        "split_seed": dataset.split_seed,
        **facts,
        "image": {"channels": channels, "height": height, "width": width},
        "images": {split: len(arrays["labels"]) for split, arrays in splits.items()},
        "images_per_class": {
            split: np.bincount(arrays["labels"], minlength=facts["classes"]).tolist()
            for split, arrays in splits.items()
        },
        "mean": mean,
        "sd": sd,
    }


def moments(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and population sd of each channel of uint8 (N, C, H, W), for pixels in [0, 1]; sums are exact."""
    total = np.zeros(images.shape[1], np.int64)
    squares = np.zeros(images.shape[1], np.int64)
    for start in range(0, len(images), 1000):
        chunk = images[start : start + 1000].astype(np.int64)
        total += chunk.sum(axis=(0, 2, 3))
        squares += np.einsum("nchw,nchw->c", chunk, chunk)
    n = images.size // images.shape[1]
    mean = [s / (255 * n) for s in total.tolist()]  # Python integers from here on: they do not overflow
    sd = [math.sqrt((n * q - s * s) / (255 * n) ** 2) for s, q in zip(total.tolist(), squares.tolist(), strict=True)]
    return mean, sd
