"""A model taken away: predictions are the examination's, any image fits, and what is wrong is one sentence."""

import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, small_study
from PIL import Image

import cnntention
from cnntention import files
from cnntention.cli import main
from cnntention.config import Model, parse_study
from cnntention.errors import UserError
from cnntention.explanation.cam import grad_cam
from cnntention.models.attention import KINDS
from cnntention.models.registry import attention_maps, build
from cnntention.prediction.images import fit, resized
from cnntention.prediction.picture import explain
from cnntention.prediction.run import LoadedRun
from cnntention.results import paths

STUDY = parse_study(small_study())
TINY, LOOKING = STUDY.runs()
DRAWS = np.random.default_rng(0)
NOTEBOOK = ROOT / "examples/take_away.ipynb"
PLUGIN = """
from cnntention.models.attention import Attention, register

@register("halved")
class Halved(Attention):
    def __init__(self, channels, **residual):
        super().__init__(**residual)

    def attend(self, x):
        return x / 2
"""


@pytest.fixture
def here(finished, tmp_path, monkeypatch):
    """A copy of the finished small study's data and runs; the tests are in it."""
    for part in ("data", "results/runs"):
        shutil.copytree(finished / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images_and_labels() -> dict[str, np.ndarray]:
    """The test split."""
    return files.read_tensors(f"{paths.data_folder(STUDY, 'cues')}/test.safetensors")


def said(capsys, *words: str) -> str:
    """The one line on stderr of a command that must fail."""
    assert main(list(words)) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"cnntention {words[0]}: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("run", [TINY, LOOKING], ids=lambda run: run.model)
def test_predictions_are_those_of_the_examination_however_the_images_are_given(here, run):
    logits = files.read_tensors(f"{paths.examination_folder(STUDY, run)}/predictions.safetensors")["logits"]
    expected = torch.from_numpy(logits).softmax(1).numpy()
    loaded, images = cnntention.load_run(run.folder), images_and_labels()["images"]
    assert (loaded.image_size, len(loaded.class_names)) == ((3, 32, 32), 10)
    assert not loaded.model.training
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in images]
    for i, picture in enumerate(pictures):
        picture.save(f"{i}.png")
    ways = (
        images,
        list(images),
        images.transpose(0, 2, 3, 1),
        torch.from_numpy(images),
        torch.from_numpy(images) / 255,
        pictures,
        [f"{i}.png" for i in range(len(images))],
    )
    for way in ways:
        np.testing.assert_allclose(loaded.predict(way), expected, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(loaded.model(loaded.normalize(images)).softmax(1), expected, atol=1e-6)
    np.testing.assert_allclose(loaded.predict("3.png"), expected[3:4], atol=1e-6)


def test_a_run_goes_elsewhere_with_its_datasets_card(here, tmp_path_factory):
    away, images = tmp_path_factory.mktemp("away"), images_and_labels()["images"]
    expected = cnntention.load_run(LOOKING.folder).predict(images)
    for name in ("run.json", "model.safetensors"):
        shutil.copy(f"{LOOKING.folder}/{name}", away)
    with pytest.raises(UserError, match=f"the card of its dataset is missing.*{paths.data_folder(STUDY, 'cues')}/card"):
        cnntention.load_run(away)
    card = files.read_record(f"{paths.data_folder(STUDY, 'cues')}/card.json")
    files.write_record(away / "card.json", card | {"key": "0123456789"})
    with pytest.raises(UserError, match="is of other data than the run's"):
        cnntention.load_run(away)
    files.write_record(away / "card.json", card)
    assert np.array_equal(cnntention.load_run(away).predict(images), expected)
    with pytest.raises(UserError, match="device: PyTorch cannot use 'nonsense' here"):
        cnntention.load_run(away, device="nonsense")
    files.write_record(away / "run.json", files.read_record(away / "run.json") | {"version": 1})
    with pytest.raises(UserError, match="another version of the training step"):
        cnntention.load_run(away)


def test_a_module_of_ones_own_is_that_of_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(PLUGIN)
    mine = small_study() | {"plugins": ["own.py"]}
    mine["models"]["looking"]["attention"] = {"stage3": {"kind": "halved", "residual": "plain"}}
    Path("config.yaml").write_text(yaml.safe_dump(mine))
    study, config = parse_study(mine), ["--config", "config.yaml"]
    run = study.runs()[1]
    assert main(["prepare", *config, "--dataset", "cues", "--out", paths.data_folder(study, "cues")]) == 0
    assert main(["train", *config, "--run", run.folder, "--state", "a.pt"]) == 0
    with pytest.raises(UserError, match="'halved' is a module of your own; name the Python file"):
        cnntention.load_run(run.folder)
    image = images_and_labels()["images"][0]
    loaded = cnntention.load_run(run.folder, plugins=["own.py"])
    assert loaded.predict(image).sum() == pytest.approx(1)
    assert explain(loaded, image).notes[-1] == "Without a map of places: stage3."
    Path("own.py").write_text(PLUGIN.replace("x / 2", "x / 3"))
    with pytest.raises(UserError, match=r"'halved' was made with another content of own\.py"):
        cnntention.load_run(run.folder, plugins=["own.py"])
    KINDS.pop("halved")


# --- images ---------------------------------------------------------------------------------------------------------


def test_another_size_is_resized_as_pillow_does():
    pixels = DRAWS.integers(0, 256, (3, 50, 70), dtype=np.uint8)
    for size in ((32, 32), (20, 90), (100, 35)):
        bands = [Image.fromarray(band).resize(size[::-1], Image.Resampling.BILINEAR) for band in pixels]
        assert np.abs(resized(pixels, size).astype(int) - np.stack(bands)).max() <= 1
    assert (resized(np.full((1, 300, 200), 77, np.uint8), (28, 28)) == 77).all()
    assert resized(pixels, (50, 70)) is pixels


def test_any_colours_become_those_of_the_network(tmp_path):
    grey = DRAWS.integers(0, 256, (8, 6), dtype=np.uint8)
    colour = DRAWS.integers(0, 256, (3, 8, 6), dtype=np.uint8)

    def fitted(image, channels: int) -> np.ndarray:
        return fit(image, (channels, 8, 6))[0].pixels

    for given in (grey, grey[None], grey[..., None], Image.fromarray(grey)):
        assert np.array_equal(fitted(given, 3), np.stack([grey] * 3))
        assert np.array_equal(fitted(given, 1)[0], grey)
    luma = np.tensordot([0.299, 0.587, 0.114], colour.astype(float), 1)
    assert np.abs(fitted(colour, 1)[0] - luma).max() <= 1

    picture = Image.fromarray(colour.transpose(1, 2, 0))
    half = picture.copy()
    half.putalpha(Image.fromarray(np.where(np.arange(6) < 3, np.uint8(0), np.uint8(255))[None].repeat(8, axis=0)))
    half.save(tmp_path / "clear.png")
    assert (fitted(tmp_path / "clear.png", 3)[:, :, :3] == 255).all()
    assert np.array_equal(fitted(tmp_path / "clear.png", 3)[:, :, 3:], colour[:, :, 3:])

    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    assert np.array_equal(fitted(tmp_path / "deep.png", 1)[0], grey)

    turned = Image.Exif()
    turned[0x0112] = 6  # a camera held upright: the file's rows are the image's columns
    picture.rotate(90, expand=True).save(tmp_path / "turned.png", exif=turned)
    assert np.array_equal(fitted(tmp_path / "turned.png", 3), colour)

    four = DRAWS.integers(0, 256, (4, 8, 6), dtype=np.uint8)
    assert np.array_equal(fitted(four, 4), four)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([], "images: there is none"),
        (np.zeros((8, 8), np.int64), "image 1: has values of type int64"),
        (np.full((3, 8, 8), 1.5), "image 1: has values from 1.5 to 1.5; give uint8, or floats in"),
        (np.full((3, 8, 8), np.nan), "image 1: has values from nan"),
        (np.zeros((5, 8, 8), np.uint8), "where no axis has 1 or 3 channels"),
        (np.zeros(8, np.uint8), r"image 1: has shape \(8,\)"),
        ([np.zeros((8, 8), np.uint8), None], "image 2: is a NoneType"),
        (Image.new("F", (8, 8)), "image 1: has 32 bits a pixel"),
        (Image.new("RGB", (0, 8)), "image 1: has no pixels"),
        ("nowhere.png", "nowhere.png: there is no such file"),
        (".", "is no image that can be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_image_is_a_sentence(image, message):
    with pytest.raises(UserError, match=message):
        fit(image, (3, 8, 8))


# --- explanations -----------------------------------------------------------------------------------------------------


def test_the_panels_are_grad_cam_and_each_modules_maps_where_it_is_strongest():
    kinds = [{"kind": "multi-head", "heads": 2, "gate_init": 0.5}, {"kind": "cbam", "reduction": 2}]
    net = build(Model(depth=8, width=8, attention={"stage2": kinds, "stage3": kinds[0]}), 3, 4, seed=1).eval()
    run = LoadedRun(net, (3, 28, 32), tuple("abcd"), (0.5,) * 3, (0.2,) * 3, None, torch.device("cpu"))
    image = DRAWS.integers(0, 256, (3, 28, 32), dtype=np.uint8)
    found, ready = explain(run, image), run.normalize(image[None])
    cam, *modules = found.panels
    best = int(found.probabilities.argmax())
    assert np.array_equal(cam.heat, grad_cam(net, ready, torch.tensor([best]))[0])
    assert cam.title == f"Grad-CAM\n{'abcd'[best]}, {found.probabilities[best]:.1%}"
    assert [panel.title.split(":")[0] for panel in modules] == ["stage2_0", "stage2_1", "stage3"]
    row, column = np.unravel_index(cam.heat.argmax(), (28, 32))
    maps = attention_maps(net, ready)
    for panel, (name, scale) in zip((modules[0], modules[2]), (("stage2_0", 2), ("stage3", 4)), strict=True):
        cells, at = (28 // scale, 32 // scale), (row // scale, column // scale)
        expected = maps[name]["attention"][0].mean(0).reshape(*cells, *cells)[at]
        np.testing.assert_allclose(panel.heat, expected, rtol=2e-3, atol=1e-6)
        np.testing.assert_allclose(panel.query, (np.array(at) + 0.5) / cells)
        assert "gate 0.5" in panel.title
    spatial = maps["stage2_1"]["spatial"][0]
    np.testing.assert_allclose(modules[1].heat, spatial - spatial.min(), atol=1e-6)
    assert len(found.notes) == 3


def test_the_commands(here, capsys):
    image = Image.fromarray(images_and_labels()["images"][3].transpose(1, 2, 0))
    image.save("same.png")
    image.resize((300, 200)).save("large.png")
    run = ["--run", LOOKING.folder]
    capsys.readouterr()
    assert main(["predict", "same.png", "large.png", *run, "--top", "2"]) == 0
    same, large = capsys.readouterr().out.splitlines()
    row = cnntention.load_run(LOOKING.folder).predict("same.png")[0]
    names = cnntention.load_run(LOOKING.folder).class_names
    assert same == "same.png: " + ", ".join(f"{names[i]} {row[i]:.1%}" for i in np.argsort(-row)[:2])
    assert large.endswith(" (resized from 300 x 200 to 32 x 32 px)")
    assert main(["explain", "large.png", *run]) == 0
    assert capsys.readouterr().out == "explained.png: explains large.png (resized from 300 x 200 to 32 x 32 px)\n"
    with Image.open("explained.png") as drawn:
        assert min(drawn.size) > 300
    before = Path("explained.png").read_bytes()
    assert main(["explain", "large.png", *run, "--out", "again.png"]) == 0
    assert Path("again.png").read_bytes() == before

    Path("half.png").write_bytes(Path("large.png").read_bytes()[:2000])
    assert "half.png: is no image that can be read" in said(capsys, "predict", "same.png", "half.png", *run)
    assert "a.pdf: give a name that ends in .png or .svg" in said(capsys, "explain", "same.png", *run, "--out", "a.pdf")
    assert "nowhere/run.json: is missing" in said(capsys, "predict", "same.png", "--run", "nowhere")
    weights = Path(LOOKING.folder, "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    assert "its SHA-256 is not the recorded one" in said(capsys, "explain", "same.png", *run)


def test_the_notebook_runs(here):
    notebook = nbformat.reads(NOTEBOOK.read_text(), as_version=4)
    nbformat.validate(notebook)
    names = {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            exec(compile(cell.source, NOTEBOOK.name, "exec"), names)
    assert names["run"].record.model["name"] == "looking"
    assert Path("explained.png").stat().st_size > 10_000
