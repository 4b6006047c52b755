"""Grad-CAM against the published equation, the choice of images, and the step from run to tables."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import small_study

from cnntention import files, plan
from cnntention.cli import main
from cnntention.config import STAGES, Model, Run, parse_study
from cnntention.data.augment import Batches
from cnntention.explanation.cam import both_targets, choose_images, explain, grad_cam, sample, summary
from cnntention.models.registry import build
from cnntention.report.explanation_tables import agreement, explanation_tables, run_columns
from cnntention.report.records import Record

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
    assert set(summary(result)) == {f"{stage}.{target}" for stage in STAGES for target in ("predicted", "label")}


def test_empty_maps_are_counted():
    maps = np.zeros((3, 4, 4), np.uint8)
    maps[1, 2, 2] = 255
    assert summary({"cam.stage3.label": maps})["stage3.label"]["empty"] == 2


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
    """Runs of the small study on a relation track, with two models, explained by the command."""
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
        assert main(["prepare", *config, "--dataset", "cues", "--out", plan.data_folder(study, "cues")]) == 0
        for run in study.runs():
            assert main(["train", *config, "--run", run.folder, "--state", "state/a.pt"]) == 0
            assert main(["explain", *config, "--run", run.folder]) == 0
        yield study


def test_the_command_scores_what_applies(explained):
    plain, looking = explained.runs()
    made = files.read_json(f"{looking.folder}/explanations.json")
    sha256 = files.read_json(f"{looking.folder}/run.json")["weights_sha256"]
    assert made["key"] == plan.explanation_key(explained, looking, sha256)
    assert made["scores"]["images"] == made["lookup"]["images"] == 12
    assert made["scores"]["region"] == "match+cue"
    assert made["scores"]["road"]["images"] == 3
    assert made["sanity"]["images"] == 4
    uniform = made["scores"]["localisation"]["stage3"]["label"]["match+cue"]["uniform"]
    assert uniform["mass"] == pytest.approx(98 / 1024)
    assert list(made["lookup"]["modules"]) == ["stage3"]
    assert files.read_json(f"{plain.folder}/explanations.json")["lookup"]["modules"] == {}
    stored = files.read_tensors(f"{looking.folder}/explanations.safetensors")
    assert made["queries"] == ["match", "cue"]
    assert stored["cam.stage3.label"].shape == (5, 32, 32)
    assert stored["attention.stage3"].shape == (5, 2, 1, 8, 8)
    assert stored["attention.stage3.queries"].max() < 8


def test_explaining_again_gives_the_same_bytes(explained):
    run = explained.runs()[1]
    names = [f"{run.folder}/explanations.{end}" for end in ("json", "safetensors")]
    before = [files.sha256(name) for name in names]
    assert main(["explain", "--config", "config.yaml", "--run", run.folder]) == 0
    assert [files.sha256(name) for name in names] == before


def test_tables_have_a_row_for_every_score(explained):
    records = [Record(run) for run in explained.runs()]
    tables = explanation_tables(records)
    found = tables["explanations"]
    assert len(found) == 2 * 3 * 2 * 3 * 6  # runs, stages, targets, regions, methods
    assert len(tables["faithfulness"]) == 2 * 5
    assert len(tables["sanity"]) == 2 * 3 * 5
    assert len(tables["lookup"]) == 2  # one module with one head, two directions
    for record in records:
        run, row = record.run, run_columns(record)
        of_run = found[(found[["dataset", "model", "seed"]] == [run.dataset, run.model, run.seed]).all(axis=1)]
        primary = of_run.query(
            "stage == 'stage3' and target == 'predicted' and region == 'match+cue' and method == 'gradcam'"
        )
        assert [row["cam_mass"], row["cam_auc"]] == primary[["mass", "auc"]].to_numpy()[0].tolist()
        assert row["cam_sane"] == primary["reportable"].item()
        assert (row["lookup"] is None) == (run.model == "tiny")


def test_tables_have_their_columns_when_nothing_applies(explained):
    records = [Record(run) for run in explained.runs()]
    for name, table in explanation_tables([]).items():
        assert len(table) == 0
        assert list(table) == list(explanation_tables(records)[name]), name


def test_a_foreground_threshold_is_part_of_its_datasets_key_alone(small):
    key = lambda study: plan.explanation_key(parse_study(study), run, "0")  # noqa: E731
    small["datasets"]["others"] = small["datasets"]["cues"]
    run = parse_study(small).runs()[0]
    before = key(small)
    usual = small["explanation"]
    assert key(small | {"explanation": usual | {"foreground": {"cues": 9}}}) != before
    assert key(small | {"explanation": usual | {"foreground": {"others": 9}}}) == before
    assert key(small | {"explanation": usual | {"road_images": 9}}) != before


# --- agreement over seeds ---------------------------------------------------------------------------------------


def write_maps(model: str, seed: int, maps: np.ndarray) -> Run:
    run = Run("d", model, "r", seed, "0123456789")
    files.write_tensors(f"{run.folder}/explanations.safetensors", {"cam.stage3.predicted": maps})
    files.write_json(f"{run.folder}/explanations.json", {"showcase": 1})
    return run


def test_agreement_of_maps_that_are_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ramp = np.tile(np.arange(16, dtype=np.uint8).reshape(4, 4), (4, 1, 1))
    empty = ramp.copy()
    empty[2] = 0  # one of three images that count: the first is the showcase
    falling = 15 - ramp
    falling[0] = ramp[0]
    runs = [write_maps("same", seed, maps) for seed, maps in enumerate((ramp, 2 * ramp, empty))]
    runs += [write_maps("inverse", seed, falling) for seed in (0, 1)] + [write_maps("lone", 0, ramp)]
    found = agreement([Record(run) for run in runs]).set_index(["model", "other"])
    assert found.loc[("same", "same"), "agreement"] == pytest.approx(1)
    assert found.loc[("same", "same"), ["pairs", "images"]].tolist() == pytest.approx([3, (3 + 2 + 2) / 3])
    assert found.loc[("same", "inverse"), ["agreement", "of_seeds"]].tolist() == pytest.approx([-1, 1])
    assert found.loc[("same", "inverse"), "pairs"] == 4  # of six, two have equal seeds
    assert found.loc[("lone", "lone"), "pairs"] == 0
    assert pd.isna(found.loc[("same", "lone"), "of_seeds"])
    assert found.loc[("same", "lone"), "agreement"] == pytest.approx(1)


def test_agreement_of_unrelated_maps_is_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    runs = [write_maps(m, s, draws.integers(0, 256, (20, 16, 16), dtype=np.uint8)) for m in "ab" for s in range(3)]
    found = agreement([Record(run) for run in runs])["agreement"].to_numpy()
    assert found == pytest.approx(0, abs=0.03)  # se of 57 images x 256 pixels: 0.008
