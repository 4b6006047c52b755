"""Grad-CAM against the published equation, the choice of images, and the step from run to tables."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import STAGES, Model, parse_study
from cnntention.data.augment import Batches
from cnntention.explanation.cam import both_targets, choose_images, explain, grad_cam, sample
from cnntention.models.registry import build
from cnntention.results import paths
from cnntention.results.agreement import agreement_rows
from cnntention.results.records import Explanations, RunRecord
from cnntention.results.tables import MapScore

MODELS = {
    "plain": Model(depth=8, width=8),
    "self-attention": Model(depth=8, width=8, attention={"stage3": {"kind": "self-attention", "gate_init": 0.5}}),
}


def plain_grad_cam(net, image, target, stage):
    """Selvaraju et al. 2017, eq. 1 and 2, for one image; scaled to [0, 1] and resized as pytorch-grad-cam does."""
    kept = []
    hook = net.end(stage).register_forward_hook(lambda _, __, out: kept.append(out))
    score = net(image[None])[0, target]
    hook.remove()
    (features,) = kept
    (gradient,) = torch.autograd.grad(score, features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    cam = F.relu((weights * features).sum(1, keepdim=True)).detach()
    cam = F.interpolate(cam, image.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    cam = cam - cam.min()
    return (cam / (1e-7 + cam.max())).numpy()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stage", STAGES)
def test_maps_equal_the_equation(name, stage):
    net = build(MODELS[name], 3, 10, seed=2).eval()
    torch.manual_seed(0)
    images, targets = torch.randn(3, 3, 32, 32), torch.tensor([1, 5, 9])
    maps = grad_cam(net, images, targets, batch_size=2)[stage]
    assert maps.shape == (3, 32, 32)
    for found, image, target in zip(maps, images, targets, strict=True):
        np.testing.assert_allclose(found, plain_grad_cam(net, image, int(target), stage), atol=0.02)


def test_maps_leave_the_network_as_it_was():
    net = build(MODELS["self-attention"], 3, 10).eval()
    net.attention["stage3"].query.requires_grad_(False)  # as query_key: frozen has it
    before = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    with pytest.raises(IndexError):
        grad_cam(net, torch.randn(2, 3, 16, 16), torch.tensor([0, 99]))
    grad_cam(net, torch.randn(2, 3, 16, 16), torch.tensor([0, 1]))
    assert {name: parameter.requires_grad for name, parameter in net.named_parameters()} == before
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(part._forward_hooks for part in net.modules())


def test_explain_uses_the_chosen_images_as_the_test_split_has_them():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    data = Batches(images, draws.integers(0, 10, 40), [0.5] * 3, [0.3] * 3, torch.device("cpu"))
    net = build(MODELS["plain"], 3, 10)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    result = explain(net, data, [7, 3, 39])
    assert np.array_equal(result["images"], images[[7, 3, 39]])
    assert np.array_equal(result["labels"], data.labels[[7, 3, 39]])
    assert result["cam.stage3.predicted"].shape == (3, 16, 16)
    same = result["predicted"] == result["labels"]
    assert np.array_equal(result["cam.stage2.predicted"][same], result["cam.stage2.label"][same])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_sample_is_seeded_and_the_showcase_comes_first():
    chosen = choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[:2] == [7, 98]
    assert len(chosen) == len(set(chosen)) == 7
    assert chosen == choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[2:] != choose_images(5, 100, seed=1, showcase=(7, 98))[2:]
    assert len(choose_images(500, 20, seed=0, showcase=())) == 20


def test_the_label_has_maps_of_its_own_where_the_prediction_is_wrong():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
    data = Batches(images, draws.integers(0, 10, 12), [0.5] * 3, [0.3] * 3, torch.device("cpu"))
    net = build(MODELS["self-attention"], 3, 10)
    data.labels[:6] = sample(net, data, list(range(12))).predicted[:6]
    found = sample(net, data, list(range(12)))
    maps = both_targets(net, found)
    for target, classes in (("predicted", found.predicted), ("label", data.labels)):
        for stage, expected in grad_cam(net, found.images, classes).items():
            np.testing.assert_allclose(maps[target][stage], expected, atol=1e-5)
    assert not np.array_equal(maps["predicted"]["stage3"][6:], maps["label"]["stage3"][6:])


# --- the step ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Runs of the small study on a relation track, with two models, explained by the command; gives the study."""
    study = small_study() | {
        "explanation": {"images": 4, "scored_images": 12, "road_images": 3, "showcase": {"cues": [5]}}
    }
    study["datasets"]["cues"] |= {"source": {"format": "cuematch", "track": "relation-shape"}, "test_images": 40}
    folder = tmp_path_factory.mktemp("explained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "config.yaml").write_text(yaml.safe_dump(study))
        study = parse_study(study)
        config = ["--config", "config.yaml"]
        assert main(["prepare", *config, "--dataset", "cues", "--out", paths.data_folder(study, "cues")]) == 0
        for run in study.runs():
            assert main(["train", *config, "--run", run.folder, "--state", "state/a.pt"]) == 0
            assert main(["explain", *config, "--run", run.folder]) == 0
        yield study


def explanations(study, run) -> Explanations:
    return Explanations.read(f"{paths.examination_folder(study, run)}/explanations.json")


def test_the_command_scores_what_applies(explained):
    plain, looking = explained.runs()
    made = explanations(explained, looking)
    assert made.weights_sha256 == RunRecord.read(f"{looking.folder}/run.json").weights_sha256
    assert (made.region, made.queries, made.showcase, len(made.test_images)) == ("match+cue", ["match", "cue"], 1, 5)
    assert len(made.localisation) == 3 * 2 * 3 * 6  # stages, targets, regions, methods
    scored = {(s.stage, s.target, s.region, s.method): s for s in made.localisation}
    uniform = scored["stage3", "label", "match+cue", "uniform"]
    assert isinstance(uniform, MapScore)
    assert uniform.mass == pytest.approx(98 / 1024)
    assert [(row.method, row.images) for row in made.road] == [
        (method, 3) for method in ("gradcam", "untrained", "uniform", "centre", "edges")
    ]
    assert {(row.stage, row.level) for row in made.sanity.correlation} == {
        (stage, level) for stage in STAGES for level in ("fc", "stage3", "stage2", "stage1", "all")
    }
    assert {row.images for row in made.sanity.correlation} == {4}
    assert [(row.module, row.direction, row.images) for row in made.lookup] == [
        ("stage3", direction, 12) for direction in ("match_to_cue", "cue_to_match")
    ]
    assert explanations(explained, plain).lookup == []
    path = f"{paths.examination_folder(explained, looking)}/explanations.safetensors"
    assert made.sha256 == files.sha256(path)
    stored = files.read_tensors(path)
    assert stored["cam.stage3.label"].shape == (5, 32, 32)
    assert stored["attention.stage3"].shape == (5, 2, 1, 8, 8)
    assert stored["attention.stage3.queries"].max() < 8


def test_explaining_again_gives_the_same_bytes(explained):
    run = explained.runs()[1]
    names = [f"{paths.examination_folder(explained, run)}/explanations.{end}" for end in ("json", "safetensors")]
    before = [files.sha256(name) for name in names]
    assert main(["explain", "--config", "config.yaml", "--run", run.folder]) == 0
    assert [files.sha256(name) for name in names] == before


# --- agreement over seeds ---------------------------------------------------------------------------------------


class Mapped:
    """A run whose maps are known, in a folder of its own."""

    def __init__(self, folder, model: str, seed: int, maps: np.ndarray):
        self.run = SimpleNamespace(dataset="d", model=model, recipe="r", seed=seed)
        self.examination, self.explanations = folder / f"{model}{seed}", SimpleNamespace(showcase=1)
        files.write_tensors(self.examination / "explanations.safetensors", {"cam.stage3.predicted": maps})


def test_agreement_of_maps_that_are_known(tmp_path):
    ramp = np.tile(np.arange(16, dtype=np.uint8).reshape(4, 4), (4, 1, 1))
    empty = ramp.copy()
    empty[2] = 0  # one of three images that count: the first is the showcase
    falling = 15 - ramp
    falling[0] = ramp[0]
    runs = [Mapped(tmp_path, "same", seed, maps) for seed, maps in enumerate((ramp, 2 * ramp, empty))]
    runs += [Mapped(tmp_path, "inverse", seed, falling) for seed in (0, 1)] + [Mapped(tmp_path, "lone", 0, ramp)]
    found = {(row.model, row.other): row for row in agreement_rows(runs)}
    assert (found["same", "same"].agreement, found["same", "same"].pairs) == (pytest.approx(1), 3)
    inverse = found["same", "inverse"]
    assert (inverse.agreement, inverse.of_seeds) == (pytest.approx(-1), pytest.approx(1))
    assert inverse.pairs == 4  # of six, two have equal seeds
    assert (found["lone", "lone"].agreement, found["lone", "lone"].pairs) == (None, 0)
    assert found["same", "lone"].of_seeds is None
    assert found["same", "lone"].agreement == pytest.approx(1)


def test_agreement_of_unrelated_maps_is_none(tmp_path):
    draws = np.random.default_rng(0)
    unrelated = lambda: draws.integers(0, 256, (20, 16, 16), dtype=np.uint8)  # noqa: E731
    runs = [Mapped(tmp_path, model, seed, unrelated()) for model in "ab" for seed in range(3)]
    found = [row.agreement for row in agreement_rows(runs)]
    assert found == pytest.approx([0] * 3, abs=0.03)  # se of 57 images x 256 pixels: 0.008
