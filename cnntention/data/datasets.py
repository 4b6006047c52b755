"""Prepare a dataset: read its files or generate it, split it, and write it with a card; read it back.

A prepared dataset is a folder with `train.safetensors`, `val.safetensors`, `test.safetensors` and `card.json`,
which is written last. A split has `images` uint8 (N, C, H, W), `labels` int64 (N,) and `index` int64 (N,), the
image's position in the published training or test set. The same source always gives the same bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnntention import files, versions
from cnntention.config import CueMatchSource, Dataset, FolderSource, digest
from cnntention.data.archives import bare
from cnntention.data.folder import read_folder
from cnntention.data.published import Published
from cnntention.data.readers import read_archives
from cnntention.errors import UserError

SPLITS = ("train", "val", "test")
VALIDATION, SUBSET = 0, 1  # purposes: each has its own random stream
MASK_CODES = {"background": 0, "match": 1, "cue": 2, "other": 3}  # of cuematch.Scenes.mask
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Split:
    """images uint8 (N, C, H, W), labels int64 (N,); extras: index, and for CueMatch mask and factors.*"""

    images: np.ndarray
    labels: np.ndarray
    extras: Arrays = field(default_factory=dict)


def prepare(name: str, dataset: Dataset, raw: Mapping[str, Path], out: Path) -> dict:
    """Write the dataset's splits and card to the folder `out`; return the card.

    `raw`: field name -> path of each of the source's archives, if it has any. Raises UserError if a file is damaged,
    has another hash than the configuration says, or if there are too few images, or if `out` holds anything else.
    """
    out = Path(out)
    refuse_another(out)
    if isinstance(dataset.source, CueMatchSource):
        splits, facts = generate(name, dataset)
    else:
        if isinstance(dataset.source, FolderSource):
            published = read_folder(name, dataset.source)
        else:
            published = read_archives(name, dataset, {key: Path(path) for key, path in raw.items()})
        splits = divide(name, dataset, published)
        class_names = published.class_names
        count = len(class_names) if class_names else int(published.splits["train"][1].max()) + 1
        facts = {"classes": count, "class_names": class_names}
    if max(size := splits["train"]["images"].shape[2:]) < 5:  # stage 3 would have one place, too few for BatchNorm
        raise UserError(f"datasets.{name}.source: its images have {size[0]} x {size[1]} px; use 5 x 5 or larger ones.")
    for split, arrays in splits.items():
        files.write_tensors(out / f"{split}.safetensors", arrays)
    card = describe(name, dataset, splits, facts)
    card["files"] = {f"{split}.safetensors": files.sha256(out / f"{split}.safetensors") for split in splits}
    files.write_record(out / "card.json", card)
    return card


def refuse_another(folder: Path) -> None:
    """Raise UserError if the folder holds what `prepare` does not write; hidden files do not count."""
    with files.readable(folder):
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    known = {"card.json", *(f"{split}.safetensors" for split in SPLITS)}
    other = [name for name in names if name not in known and not name.startswith(".")]
    if other or ("card.json" in names and "preparation_version" not in read_card(folder)):
        raise UserError(
            f"{folder}: is not the folder of a prepared dataset ({(other or ['card.json'])[0]} is of another kind); "
            "give another one."
        )


def read_split(folder: Path, split: str) -> Split:
    """A split that `prepare` wrote; UserError if it is missing, broken, or not the one that the card describes."""
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; use {', '.join(SPLITS)}.")
    path = Path(folder) / f"{split}.safetensors"
    arrays = files.read_tensors(path, read_card(folder)["files"][path.name])
    return Split(arrays.pop("images"), arrays.pop("labels"), arrays)


def read_card(folder: str | Path, dataset: Dataset | None = None) -> dict:
    """The card that `prepare` wrote; UserError if it is missing, broken or changed, or not of this dataset."""
    path = Path(folder) / "card.json"
    card = files.read_record(path)
    if dataset and card["key"] != digest(dataset.preparation()):
        raise UserError(f"{path}: is of other data, of key {card['key']}; delete it and run snakemake again.")
    return card


# --- splitting ----------------------------------------------------------------------------------------------


def divide(name: str, dataset: Dataset, published: Published) -> dict[str, Arrays]:
    """Split the published training images into train and val; keep as many train and test images as configured."""
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
    """0..count-1 in a random order, the same in every numpy version: the argsort of raw Philox words."""
    key = np.array([seed % 2**64, purpose], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable")


# --- generating ---------------------------------------------------------------------------------------------


def generate(name: str, dataset: Dataset) -> tuple[dict[str, Arrays], dict]:
    """CueMatch's splits, and the further fields of its card."""
    from cnntention.data import cuematch

    source = dataset.source
    counts = (dataset.train_images, dataset.validation_images, dataset.test_images)
    knobs = ("seed", "candidates", "noise", "glyph_size", "jitter", "dropout", "held_out_pairs", "size", "vocabulary")
    splits = {}
    for split, count in zip(SPLITS, counts, strict=True):
        distances = source.test_distances if split == "test" else source.distances
        options = {knob: getattr(source, knob) for knob in knobs}
        try:
            scenes = cuematch.generate(split, count, distances=distances, **options)
        except ValueError as error:  # its message names the key and the valid values
            raise UserError(f"datasets.{name}.source: {error}") from None
        splits[split] = {
            "images": scenes.images,
            "labels": scenes.labels(source.track),
            "index": np.arange(count, dtype=np.int64),
            "mask": scenes.mask(source.track),
        }
        splits[split] |= {f"factors.{key}": value for key, value in scenes.factors(source.track).items()}
    words = cuematch.SHAPES if source.track == "relation-colour" else cuematch.COLOURS
    names = [words[i] for i in cuematch.vocabulary(source.vocabulary)]
    facts = {"classes": len(names), "class_names": names, "mask_codes": MASK_CODES}
    return splits, facts | {"generator_version": cuematch.VERSION}


# --- the card -----------------------------------------------------------------------------------------------


def describe(name: str, dataset: Dataset, splits: dict[str, Arrays], facts: dict) -> dict:
    """The card, without the hashes of the files."""
    source = dataset.source
    channels, height, width = splits["train"]["images"].shape[1:]
    mean, sd = moments(splits["train"]["images"])
    archives = {
        key: {"filename": archive.filename, "sha256": archive.sha256, "urls": [bare(url) for url in archive.urls]}
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
    mean = [s / (255 * n) for s in total.tolist()]  # Python integers from here: no overflow
    sd = [math.sqrt((n * q - s * s) / (255 * n) ** 2) for s, q in zip(total.tolist(), squares.tolist(), strict=True)]
    return mean, sd
