"""A folder of images: its fingerprint, what is read, and what is refused."""

import io
import os
import shutil
import subprocess
import zlib

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image, PngImagePlugin
from test_datasets import images, whole

from cnntention import cli, files
from cnntention.config import Dataset, digest, parse_study
from cnntention.data import datasets, folder
from cnntention.errors import UserError
from cnntention.verification.hashes import Checked, check_folder

COUNTS = {"train": {"cat": 4, "dog": 7}, "test": {"dog": 2, "cat": 3}}


def pixels(split: str, name: str) -> np.ndarray:
    """(N, 8, 9, 3)"""
    return images(COUNTS[split][name], 8, 9, 3, seed=len(split) * 10 + len(name) + ord(name[0]))


@pytest.fixture
def pets(tmp_path):
    for split, classes in COUNTS.items():
        for name in classes:
            place = tmp_path / "pets" / split / name
            place.mkdir(parents=True)
            for i, image in enumerate(pixels(split, name)):
                Image.fromarray(image).save(place / f"{i}.png")
    (tmp_path / "pets/train/cat/.DS_Store").write_text("hidden")
    return tmp_path / "pets"


def dataset(pets, sha256=None, **options) -> Dataset:
    config = {"format": "folder", "path": str(pets), "sha256": sha256 or folder.fingerprint(pets), **options}
    return Dataset.model_validate({"source": config, "validation_images": 3})


def prepared(pets, **options) -> tuple[dict, dict]:
    card = datasets.prepare("pets", dataset(pets, **options), {}, pets.parent / "out")
    return card, {split: datasets.read_split(pets.parent / "out", split) for split in datasets.SPLITS}


def test_pngs_to_splits(pets):
    card, splits = prepared(pets)
    trained, targets = whole(splits)
    expected = np.concatenate([pixels("train", name) for name in ("cat", "dog")])
    np.testing.assert_array_equal(trained, expected.transpose(0, 3, 1, 2), strict=True)
    assert targets.tolist() == [0] * 4 + [1] * 7
    expected = np.concatenate([pixels("test", name) for name in ("cat", "dog")])
    np.testing.assert_array_equal(splits["test"].images, expected.transpose(0, 3, 1, 2), strict=True)
    assert splits["test"].labels.tolist() == [0] * 3 + [1] * 2
    assert card["class_names"] == ["cat", "dog"]
    assert card["source"] == dataset(pets).source.identity()


def test_the_commands(pets, tmp_path, monkeypatch, capsys, small):
    """As a user does: fingerprint, then prepare; from another path it is the same dataset."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["fingerprint", "pets"]) == 0
    sha256 = capsys.readouterr().out.strip()
    small["datasets"]["cues"] = {
        "source": {"format": "folder", "path": "pets", "sha256": sha256, "size": 8},
        "validation_images": 3,
    }
    files.write_json("study.json", small)
    key = digest(parse_study(small).datasets["cues"].preparation())
    assert cli.main(["prepare", "--config", "study.json", "--dataset", "cues", "--out", f"data/cues/{key}"]) == 0
    assert datasets.read_card(f"data/cues/{key}")["image"] == {"channels": 3, "height": 8, "width": 8}
    small["datasets"]["cues"]["source"]["path"] = str(pets)
    assert digest(parse_study(small).datasets["cues"].preparation()) == key
    assert cli.main(["fingerprint", "nowhere"]) == 1
    assert capsys.readouterr().err.endswith(
        "cannot be read (No such file or directory); give a folder with train/ and test/.\n"
    )


def test_verify_holds_the_images_against_their_fingerprint(pets):
    source, found = dataset(pets).source, Checked()
    check_folder(found, source)
    assert (found.right, found.wrong) == (1, {})
    Image.fromarray(pixels("train", "cat")[1]).save(pets / "train/cat/0.png")
    check_folder(found, source)
    assert found.wrong == {str(pets): "its images have changed"}
    shutil.rmtree(pets)
    check_folder(found, source)
    assert list(found.absent) == [str(pets)]


def test_the_fingerprint_is_sha256sums(pets):
    command = "find train test -name '[!.]*' -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    done = subprocess.run(command, shell=True, cwd=pets, capture_output=True, text=True, check=True)
    assert folder.fingerprint(pets) == done.stdout.split()[0]


@pytest.mark.parametrize("change", ["content", "name", "class", "split"])
def test_another_folder_is_refused(pets, change):
    before = folder.fingerprint(pets)
    cat = pets / "train/cat"
    if change == "content":
        shutil.copy(pets / "train/dog/0.png", cat / "0.png")
    elif change == "name":
        (cat / "0.png").rename(cat / "9.png")
    elif change == "class":
        (cat / "0.png").rename(pets / "train/dog/9.png")
    else:
        (cat / "0.png").rename(pets / "test/cat/9.png")
    after = folder.fingerprint(pets)
    assert after != before
    with pytest.raises(UserError, match=rf"others than those of datasets\.pets\.source\.sha256; .* {after} there\."):
        prepared(pets, sha256=before)


def test_conversions(pets):
    for i, mode in enumerate(["L", "P", "RGBA", "1"]):
        Image.fromarray(images(1, 8, 9, 3)[0]).convert(mode).save(pets / f"train/cat/{i}.png")
    Image.fromarray(images(1, 8, 9, 3)[0]).save(pets / "train/dog/photo.JPG", format="JPEG")
    assert prepared(pets)[0]["image"]["channels"] == 3
    card, splits = prepared(pets, channels=1)
    assert card["image"] == {"channels": 1, "height": 8, "width": 9}
    grey = np.asarray(Image.fromarray(pixels("test", "dog")[1]).convert("L"))
    np.testing.assert_array_equal(splits["test"].images[-1, 0], grey)


def test_sizes(pets):
    """The central square of a wide image, and of a tall one."""
    wide = np.full((20, 60, 3), 255, np.uint8)
    wide[:, 20:40] = 7
    for name, image in (("0.png", wide), ("1.png", wide.transpose(1, 0, 2))):
        Image.fromarray(image).save(pets / "train/cat" / name)
    with pytest.raises(UserError, match=r"cat/1\.png: has 20 x 60 px, the images before it 60 x 20 px; say datasets"):
        prepared(pets)
    card, splits = prepared(pets, size=10)
    assert card["image"] == {"channels": 3, "height": 10, "width": 10}
    assert (whole(splits)[0][:2, :, 2:-2, 2:-2] == 7).all()


def bomb(path):
    """A PNG that says 60,000 x 60,000."""
    content = bytearray(path.read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)


def long_text(path):
    info = PngImagePlugin.PngInfo()
    info.add_text("a", "b" * 3_000_000, zip=True)
    Image.fromarray(images(1, 8, 9, 3)[0]).save(path, pnginfo=info)


def deep(path):
    Image.fromarray(np.full((8, 9), 3000, np.uint16)).save(path)


def other_format(path):
    out = io.BytesIO()
    Image.fromarray(images(1, 8, 9, 3)[0]).save(out, format="BMP")
    path.write_bytes(out.getvalue())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cat: (cat / "0.png").write_bytes((cat / "0.png").read_bytes()[:-60]), "cannot be read as PNG or JPEG"),
        (lambda cat: (cat / "0.png").write_bytes(b""), "cannot be read as PNG or JPEG (no whole image)"),
        (lambda cat: other_format(cat / "0.png"), "cannot be read as PNG or JPEG (no whole image)"),
        (lambda cat: bomb(cat / "0.png"), "cannot be read as PNG or JPEG ("),
        (lambda cat: long_text(cat / "0.png"), "cannot be read as PNG or JPEG ("),
        (lambda cat: deep(cat / "0.png"), "(it has 16 bits a channel; save it with 8)"),
        (lambda cat: (cat / "notes.txt").write_text("x"), "notes.txt: is no PNG or JPEG file; take it out"),
        (lambda cat: (cat / "more").mkdir(), "cat/more: is no PNG or JPEG file"),
        (lambda cat: os.mkfifo(cat / "pipe.png"), "pipe.png: is no PNG or JPEG file"),
        (lambda cat: (cat.parent / "0.png").write_text("x"), "train/0.png: is not a folder; put images into train/"),
        (lambda cat: (cat.parent / "bird").mkdir(), "bird: has no images; add some, or take this class out"),
        (lambda cat: shutil.copytree(cat, cat.parent / "bird"), "train/bird: test has no class of this name"),
        (lambda cat: shutil.copytree(cat, cat.parents[1] / "test/bird"), "test/bird: train has no class of this name"),
        (lambda cat: shutil.rmtree(cat.parents[1] / "test"), "pets/test: cannot be read (No such file or directory)"),
        (lambda cat: [shutil.rmtree(cat.parents[1] / split / name) for split in COUNTS for name in ("cat", "dog")],
         "train: has no classes"),
        (lambda cat: (cat / "0.png").rename(cat / "a\nb.png"), r"the name 'a\nb.png' cannot be printed; rename it"),
    ],
)  # fmt: skip
def test_bad_folders(pets, change, words):
    change(pets / "train/cat")
    with pytest.raises(UserError) as caught:
        prepared(pets)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert not (pets.parent / "out/card.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"sha256": None},
            "datasets.cues.source: the key sha256 is missing; `cnntention fingerprint <path>` prints it",
        ),
        ({"sha256": "12"}, "datasets.cues.source.sha256: string should match"),
        ({"path": ""}, "datasets.cues.source.path: string should have at least 1"),
        ({"path": "a\nb"}, "datasets.cues.source.path: give the path of a folder"),
        ({"size": 4}, "datasets.cues.source.size: "),
        ({"channels": 2}, "datasets.cues.source.channels: "),
        ({"urls": "x"}, "datasets.cues.source: unknown key 'urls'"),
    ],
)
def test_bad_configurations(small, options, words):
    config = {"format": "folder", "path": "pets", "sha256": "a" * 64} | options
    small["datasets"]["cues"] = {"source": {key: value for key, value in config.items() if value is not None}}
    with pytest.raises(UserError) as caught:
        parse_study(small)
    assert words in str(caught.value)


def test_no_torch():
    code = "import sys, cnntention.data.folder; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    assert subprocess.run([shutil.which("python"), "-c", code], cwd=ROOT, check=False).returncode == 0
