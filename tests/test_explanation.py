"""Grad-CAM against the published equation, the choice of images, and the step from run to tables."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import small_study

from cnntention import files
from cnntention.cli import main
from cnntention.config import Model, parse_study
from cnntention.data.augment import Batches
from cnntention.explanation.cam import choose_images, grad_cam, sample, stored
from cnntention.explanation.command import explain_run
from cnntention.models.registry import build
from cnntention.results import paths
from cnntention.results.records import Explanations, RunRecord
from cnntention.results.tables import MapScore
from cnntention.storage import open_run

MODELS = {
    "plain": Model(depth=8, width=8),
    "self-attention": Model(depth=8, width=8, attention={"stage3": {"kind": "self-attention", "gate_init": 0.5}}),
}


def plain_grad_cam(net, image, target):
    """Selvaraju et al. 2017, eq. 1 and 2, for one image; scaled to [0, 1] and resized as pytorch-grad-cam does."""
    kept = []
    hook = net.end("stage3").register_forward_hook(lambda _, __, out: kept.append(out))
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
def test_maps_equal_the_equation(name):
    net = build(MODELS[name], 3, 10, seed=2).eval()
    torch.manual_seed(0)
    images, targets = torch.randn(3, 3, 32, 32), torch.tensor([1, 5, 9])
    maps = grad_cam(net, images, targets, batch_size=2)
    assert maps.shape == (3, 32, 32)
    for found, image, target in zip(maps, images, targets, strict=True):
        np.testing.assert_allclose(found, plain_grad_cam(net, image, int(target)), atol=0.02)


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


def test_what_is_stored_are_the_chosen_images_as_the_test_split_has_them():
    draws = np.random.default_rng(0)
    images = draws.integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)
    data = Batches(images, draws.integers(0, 10, 40), [0.5] * 3, [0.3] * 3, torch.device("cpu"))
    net = build(MODELS["plain"], 3, 10)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    chosen = sample(net, data, [7, 3, 39])
    result = stored(chosen, grad_cam(net, chosen.images, chosen.predicted))
    assert np.array_equal(result["images"], images[[7, 3, 39]])
    assert np.array_equal(result["labels"], data.labels[[7, 3, 39]])
    assert (result["cam"].shape, result["cam"].dtype) == ((3, 16, 16), np.uint8)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_sample_is_seeded_and_the_showcase_comes_first():
    chosen = choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[:2] == [7, 98]
    assert len(chosen) == len(set(chosen)) == 7
    assert chosen == choose_images(5, 100, seed=0, showcase=(7, 98, 2000, 7))
    assert chosen[2:] != choose_images(5, 100, seed=1, showcase=(7, 98))[2:]
    assert len(choose_images(500, 20, seed=0, showcase=())) == 20


# --- the step ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """Runs of the small study on a relation track, with two models, explained; gives the study."""
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
            explain_run(study, run, open_run(study, run, 1, "auto"))
        yield study


def explanations(study, run) -> Explanations:
    return Explanations.read(f"{paths.examination_folder(study, run)}/explanations.json")


def test_the_step_scores_what_applies(explained):
    plain, looking = explained.runs()
    made = explanations(explained, looking)
    assert made.weights_sha256 == RunRecord.read(f"{looking.folder}/run.json").weights_sha256
    assert (made.region, made.queries, made.showcase, len(made.test_images)) == ("match+cue", ["match", "cue"], 1, 5)
    scored = {score.method: score for score in made.localisation}
    assert list(scored) == ["gradcam", "untrained", "uniform", "centre", "edges", "ceiling"]
    assert isinstance(scored["uniform"], MapScore)
    assert scored["uniform"].mass == pytest.approx(98 / 1024)
    assert [(row.method, row.images) for row in made.road] == [(method, 3) for method in list(scored)[:-1]]
    assert (made.sanity.images, made.sanity.draws) == (4, 3)
    assert [(row.module, row.direction, row.images) for row in made.lookup] == [
        ("stage3", direction, 12) for direction in ("match_to_cue", "cue_to_match")
    ]
    assert explanations(explained, plain).lookup == []
    path = f"{paths.examination_folder(explained, looking)}/explanations.safetensors"
    assert made.sha256 == files.sha256(path)
    arrays = files.read_tensors(path)
    assert arrays["cam"].shape == (5, 32, 32)
    assert arrays["attention.stage3"].shape == (5, 2, 1, 8, 8)
    assert arrays["attention.stage3.queries"].max() < 8


def test_explaining_again_gives_the_same_bytes(explained):
    run = explained.runs()[1]
    names = [f"{paths.examination_folder(explained, run)}/explanations.{end}" for end in ("json", "safetensors")]
    before = [files.sha256(name) for name in names]
    explain_run(explained, run, open_run(explained, run, 1, "auto"))
    assert [files.sha256(name) for name in names] == before
