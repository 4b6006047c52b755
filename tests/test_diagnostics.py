"""Attention's diagnosis: planted modules whose answers are known, and naive reimplementations of each ablation."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import small_study
from scipy.spatial.distance import jensenshannon
from torch import nn

from cnntention.cli import main
from cnntention.config import STAGES, Alive, Diagnostics, Model, parse_study
from cnntention.data.augment import Batches
from cnntention.evaluation.ablation import INTACT, WITHOUT_ALL, ablate, compare
from cnntention.evaluation.diagnose import diagnose, diagnose_run, sample
from cnntention.evaluation.diagnostics import Measured, attention_measures, describe, grid_distances, measure, state
from cnntention.models.attention import KINDS
from cnntention.models.registry import attention_modules, build
from cnntention.results import paths
from cnntention.results.records import Diagnosis, RunRecord
from cnntention.results.tables import ModuleState
from cnntention.storage import open_run

SETTINGS = Diagnostics(images=60, map_images=25)
SELF_ATTENTION = {"kind": "self-attention", "gate_init": 0.5}
MULTI_HEAD = {"kind": "multi-head", "heads": 4, "gate_init": 0.8}
CBAM = {"kind": "cbam", "reduction": 4}


def network(**options):
    """A small untrained network with one attention module, stage2, on 16 channels and 8 x 8 positions."""
    return build(Model(depth=8, width=8, attention={"stage2": options}), 3, 10, seed=1).eval()


MODELS = {
    "self-attention": Model(depth=8, width=8, attention=dict.fromkeys(STAGES, SELF_ATTENTION)),
    "multi-head": Model(depth=8, width=8, attention=dict.fromkeys(STAGES, MULTI_HEAD)),
    "cbam": Model(depth=8, width=8, attention=dict.fromkeys(STAGES, CBAM)),
    "in blocks": Model(depth=14, width=8, attention={"stage2": CBAM, "stage3": MULTI_HEAD}, placement="block"),
    "two in a slot": Model(depth=8, width=8, attention={"stage1": [CBAM, MULTI_HEAD], "stage3": MULTI_HEAD}),
}


@pytest.fixture(scope="module")
def images():
    return torch.randn(60, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def answers(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    return net(images).argmax(1)


def labelled(net: nn.Module, images: torch.Tensor) -> list:
    """Batches labelled by the net itself: intact it is right, and every answer that an ablation changes counts."""
    labels = answers(net, images)
    return list(zip(images.split(25), labels.split(25), strict=True))


def diagnosed(net: nn.Module, images: torch.Tensor, settings: Diagnostics = SETTINGS) -> ModuleState:
    """What is said of the network's one attention module."""
    (module,) = diagnose(net, labelled(net, images), settings)["modules"]
    return module


def measured(net: nn.Module, images: torch.Tensor) -> Measured:
    """The same before it is put into plain numbers."""
    (found,) = measure(net, labelled(net, images), map_images=25).values()
    return found


def planted(gates: dict | None = None, attention: dict | None = None) -> Measured:
    """A module that changes the features."""
    return Measured(0.3, torch.zeros(1), gates or {}, attention or {})


# --- attention maps ---------------------------------------------------------------------------------------------


def test_a_map_by_hand():
    """Two by two positions. Head 0 looks at itself; head 1 half at itself, half at the opposite corner."""
    itself = torch.eye(4)
    maps = torch.stack([itself, (itself + itself.flip(0)) / 2])[None]
    found = attention_measures(maps, grid_distances(2, 2))
    assert found["entropy"].tolist() == [[0.0, 0.5]]  # ln 2 / ln 4
    assert found["distance"].tolist() == [[0.0, 0.5]]
    bits = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5  # H(3/4, 1/4) - (0 + 1) / 2
    assert found["divergence"].item() == pytest.approx(bits, rel=1e-6)
    attention = {name: values.mean(0) for name, values in found.items()} | {"uniform_distance": torch.tensor([0.5])}
    described = describe(planted(attention=attention), Alive())
    assert described["effective_heads"] == pytest.approx(2**bits, rel=1e-6)
    assert described["head_diversity"] == pytest.approx(bits, rel=1e-6)
    assert described["entropy"] == described["distance"] == 0.25


def test_head_diversity_against_scipy():
    maps = torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(3)).mul(2).softmax(-1)
    found = attention_measures(maps, grid_distances(3, 4))
    a = maps.double().numpy()
    pairs = [jensenshannon(a[:, i], a[:, j], axis=-1, base=2) ** 2 for i in range(4) for j in range(i)]
    np.testing.assert_allclose(found["divergence"], np.mean(pairs, axis=(0, 2)), rtol=1e-5)
    rows, columns = np.divmod(np.arange(12), 4)
    d = np.hypot(rows[:, None] - rows, columns[:, None] - columns) / np.hypot(2, 3)
    np.testing.assert_allclose(found["distance"], (a * d).sum(-1).mean(-1), rtol=1e-5)


@pytest.mark.parametrize("heads", [2, 3, 4])
def test_disjoint_heads_count_fully(heads):
    maps = torch.eye(4)[:heads, None, :].expand(heads, 4, 4)[None]  # head h looks at position h alone
    found = attention_measures(maps, grid_distances(2, 2))
    assert found["divergence"].item() == pytest.approx(1)
    assert found["information"].exp().item() == pytest.approx(heads)


@pytest.mark.parametrize(("side", "share"), [(32, 0.380), (16, 0.392), (8, 0.418)])
def test_mean_distance_of_uniform_attention(side, share):
    assert grid_distances(side, side).mean().item() == pytest.approx(share, abs=6e-4)


# --- planted modules --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [MULTI_HEAD | {"gate_init": 0}, {"kind": "self-attention"}])
def test_a_closed_gate_is_off(images, options):
    net = network(**options)
    found = diagnose(net, labelled(net, images), SETTINGS)
    (module,) = found["modules"]
    assert module.state == "off"
    assert module.gate == module.relative_change == 0
    assert module.drop_head == (0 if "heads" in options else None)
    assert module.drop_identity == module.drop_identity_se == module.drop_mean == module.drop_mean_se == 0
    assert found["without_all"] == {"accuracy": 1.0, "drop": 0.0, "drop_se": 0.0}


def test_without_queries_and_keys_attention_is_uniform(images):
    net = network(**MULTI_HEAD)
    for layer in (net.attention["stage2"].query, net.attention["stage2"].key):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    module = diagnosed(net, images)
    assert module.state == "uniform"
    assert module.norm_query == module.norm_key == 0
    weight = net.attention["stage2"].value.weight
    assert module.norm_value == pytest.approx(weight.square().sum().sqrt().item(), rel=1e-5)
    assert module.entropy == pytest.approx(1, abs=1e-6)
    assert module.distance == pytest.approx(module.uniform_distance, rel=1e-5)
    assert module.uniform_distance == pytest.approx(0.4178, abs=1e-4)  # 8 x 8 positions
    assert module.head_diversity == pytest.approx(0, abs=1e-6)
    assert module.effective_heads == pytest.approx(1, abs=1e-5)


def test_one_head_that_is_not_uniform_is_alive(images):
    net = network(**MULTI_HEAD)
    nn.init.zeros_(net.attention["stage2"].query.weight[:12])  # of 16 channels: all but the last head's
    nn.init.zeros_(net.attention["stage2"].query.bias)
    found = measured(net, images)
    assert (found.attention["entropy"] > 0.999).tolist() == [True, True, True, False]
    assert state(found, Alive()) == "alive"


def test_identical_heads_are_one(images):
    net = network(kind="multi-head", heads=2, gate_init=0.8)
    with torch.no_grad():
        for layer in (net.attention["stage2"].query, net.attention["stage2"].key):
            layer.weight[8:], layer.bias[8:] = layer.weight[:8].clone(), layer.bias[:8].clone()
    module = diagnosed(net, images)
    assert module.head_diversity == pytest.approx(0, abs=1e-6)
    assert module.effective_heads == pytest.approx(1, abs=1e-6)
    assert 0 < module.entropy < 0.999


def test_cbam_without_weights_is_a_constant_factor(images):
    net = network(**CBAM)
    for parameter in net.attention["stage2"].parameters():
        nn.init.zeros_(parameter)
    module = diagnosed(net, images)
    assert (module.channel_spread, module.spatial_spread, module.drop_mean) == (0, 0, 0)
    assert module.relative_change == pytest.approx(0.25)  # x + x / 4
    assert module.state == "constant"
    assert (module.gate, module.entropy, module.norm_query) == (None, None, None)


def test_one_gate_that_varies_is_enough(images):
    net = network(**CBAM)
    for parameter in net.attention["stage2"].mlp.parameters():
        nn.init.zeros_(parameter)
    module = diagnosed(net, images)
    assert module.channel_spread == 0 < 0.01 < module.spatial_spread
    assert module.state == "alive"


@pytest.mark.parametrize(("amount", "expected"), [(0.0, "constant"), (0.004, "constant"), (0.1, "alive")])
def test_a_fixed_mask_is_a_constant_factor(amount, expected):
    """Half of the places shut, half open; on every second image the open ones are a little less so."""
    mask = torch.tensor([[0.0, 1.0]]).repeat(10, 1)
    mask[::2, 1] -= amount
    found = describe(planted({"spatial": mask}), Alive())
    assert found["spatial_spread"] == pytest.approx(0.5, abs=0.03)
    assert found["state"] == expected


def test_maps_are_measured_on_the_first_images_alone(images):
    net = network(**MULTI_HEAD)
    found, first = (diagnosed(net, x, Diagnostics(map_images=30)) for x in (images, images[:30]))
    assert found.entropy == pytest.approx(first.entropy, rel=1e-5)
    assert found.effective_heads == pytest.approx(first.effective_heads, rel=1e-5)
    assert found.entropy != pytest.approx(diagnosed(net, images, Diagnostics(map_images=60)).entropy, rel=1e-5)


def test_untrained_open_attention_is_alive(images):
    for model in MODELS.values():
        net = build(model, 3, 10, seed=1).eval()
        found = measure(net, labelled(net, images[:10]), map_images=10)
        assert list(found) == [name for name, _ in attention_modules(net)]
        assert {state(module, Alive()) for module in found.values()} == {"alive"}


def test_the_thresholds_decide(images):
    found = measured(network(**CBAM), images)
    assert state(found, Alive(relative_change=9)) == "off"
    assert state(found, Alive(gate_spread=0.5)) == "constant"
    assert state(measured(network(**MULTI_HEAD), images), Alive(entropy=0.1)) == "uniform"


def test_a_plugin_without_maps_is_off_or_alive(images, monkeypatch):
    class Doubling(nn.Module):
        def forward(self, x):
            return 2 * x

    monkeypatch.setitem(KINDS, "doubling", Doubling)
    net = network(**CBAM)
    net.attention["stage2"] = Doubling()
    module = diagnosed(net, images)
    assert (module.kind, module.state, module.relative_change) == ("doubling", "alive", 1.0)
    assert (module.entropy, module.channel_spread, module.gate, module.norm_value) == (None,) * 4


# --- ablations --------------------------------------------------------------------------------------------------


def changed(net: nn.Module, name: str, module: nn.Module) -> nn.Module:
    """A copy of the net with another module in place of the attention module of that name."""
    copied, paths = copy.deepcopy(net), {part: path for path, part in net.named_modules()}
    copied.set_submodule(paths[dict(attention_modules(net))[name]], module)
    return copied


class Fixed(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@torch.no_grad()
def mean_of(net: nn.Module, name: str, images: torch.Tensor) -> nn.Module:
    """The module's mean effect, from its inputs on all images at once."""
    inputs, module = [], dict(attention_modules(net))[name]
    with module.register_forward_pre_hook(lambda _, args: inputs.append(args[0])):
        net(images)
    (x,) = inputs
    if type(module).__name__ == "CBAM":
        channel, spatial = (gate.mean(0) for gate in module.maps(x).values())
        return Fixed(lambda x: x + x * torch.einsum("c,hw->chw", channel, spatial))
    effect = (module(x) - x).mean(0)
    return Fixed(lambda x: x + effect)


@pytest.mark.parametrize("name", MODELS)
def test_ablations_equal_networks_built_without(name, images):
    net, images = build(MODELS[name], 3, 10, seed=1).eval(), images[:30]
    batches = labelled(net, images)
    labels = answers(net, images)
    hits = ablate(net, batches, measure(net, batches, map_images=2))
    assert hits[INTACT].all()
    plain = copy.deepcopy(net)
    for slot, module in attention_modules(net):
        plain = changed(plain, slot, nn.Identity())
        for ablation, other in (("identity", nn.Identity()), ("mean", mean_of(net, slot, images))):
            expected = answers(changed(net, slot, other), images) == labels
            assert torch.equal(hits[slot, ablation], expected), (slot, ablation)
        for head in range(module.heads if getattr(module, "heads", 1) > 1 else 0):
            mute = copy.deepcopy(module)
            with torch.no_grad():
                for parameter in mute.value.parameters():
                    parameter.unflatten(0, (mute.heads, -1))[head] = 0
            assert torch.equal(hits[slot, f"head {head}"], answers(changed(net, slot, mute), images) == labels)
    assert torch.equal(hits[WITHOUT_ALL], answers(plain, images) == labels)
    assert not hits[WITHOUT_ALL].all()  # the ablation is seen at all
    assert torch.equal(answers(net, images), labels)  # and leaves nothing behind
    assert not any("forward" in vars(part) or "attend" in vars(part) for part in net.modules())


@pytest.mark.parametrize("name", MODELS)
def test_what_was_recorded_is_what_would_be_computed(name, images, monkeypatch):
    net, settings = build(MODELS[name], 3, 10, seed=1).eval(), Diagnostics(map_images=2)
    batches = [(part, answers(net, part)) for part in images[:12].split(2)]
    found = diagnose(net, batches, settings)
    monkeypatch.setattr("cnntention.evaluation.diagnose.RECORDED", 0)
    assert diagnose(net, batches, settings) == found


def test_without_all_is_the_baseline_of_the_same_seed(images):
    net, baseline = network(**MULTI_HEAD), build(Model(depth=8, width=8), 3, 10, seed=1).eval()
    expected = (answers(net, images) == answers(baseline, images)).double().mean().item()
    assert diagnose(net, labelled(net, images), SETTINGS)["without_all"]["accuracy"] == pytest.approx(expected)


def test_a_head_whose_value_is_zero_is_not_missed(images):
    net = network(**MULTI_HEAD)
    with torch.no_grad():
        value = net.attention["stage2"].value
        value.weight[4:8], value.bias[4:8] = 0, 0  # of 16 channels: head 1's
    batches = labelled(net, images)
    hits = ablate(net, batches, measure(net, batches, map_images=2))
    drops = [compare(hits["stage2", f"head {i}"], hits[INTACT])["drop"] for i in range(4)]
    assert drops[1] == 0 < max(drops)
    assert diagnosed(net, images).drop_head == max(drops)


def test_the_error_of_a_drop_is_mcnemars():
    intact = torch.tensor([1, 1, 1, 1, 1, 0, 0, 0, 1, 1]).bool()
    ablated = torch.tensor([0, 0, 0, 1, 1, 1, 0, 0, 1, 1]).bool()  # 3 lost, 1 won, of 10
    found = compare(ablated, intact)
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["drop"] == pytest.approx(0.2)
    assert found["drop_se"] == pytest.approx(np.sqrt(3 + 1 - (3 - 1) ** 2 / 10) / 10)


def test_features_that_are_zero_give_no_infinity(images):
    net = network(**MULTI_HEAD)
    nn.init.zeros_(net.conv1.weight)
    assert np.isfinite(diagnosed(net, images).relative_change)


# --- the sample, the step ------------------------------------------------------------------------------------


def test_the_sample_is_seeded_and_plain():
    draws = np.random.default_rng(0)
    pixels = draws.integers(0, 256, (250, 3, 8, 8), dtype=np.uint8)
    data = Batches(pixels, np.arange(250), [0.5] * 3, [0.25] * 3, torch.device("cpu"))
    batches = sample(data, Diagnostics(images=120))
    assert [len(labels) for _, labels in batches] == [100, 20]
    chosen = torch.cat([labels for _, labels in batches])
    assert len(chosen.unique()) == 120
    expected = (pixels[chosen] / 255 - 0.5) / 0.25
    np.testing.assert_allclose(torch.cat([images for images, _ in batches]), expected, atol=1e-5)
    assert torch.equal(chosen, torch.cat([labels for _, labels in sample(data, Diagnostics(images=120))]))
    assert not torch.equal(chosen, torch.cat([labels for _, labels in sample(data, Diagnostics(images=120, seed=1))]))
    assert sum(len(labels) for _, labels in sample(data, Diagnostics())) == 250


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small study's two runs, trained and diagnosed, in a folder where it goes; gives the study."""
    config = small_study()
    config["models"]["looking"]["attention"] = {"stage2": CBAM, "stage3": SELF_ATTENTION}
    config["diagnostics"] = {"images": 80, "map_images": 8}
    study = parse_study(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("diagnosed"))
        Path("config.yaml").write_text(yaml.safe_dump(config))
        words = ["--config", "config.yaml"]
        assert main(["prepare", *words, "--dataset", "cues", "--out", paths.data_folder(study, "cues")]) == 0
        for run in study.runs():
            assert main(["train", *words, "--run", run.folder, "--state", "state/a.pt"]) == 0
            diagnose_run(study, run, open_run(study, run, 1, "auto"))
        yield study


def test_the_step(finished):
    tiny, looking = finished.runs()
    found = Diagnosis.read(f"{paths.examination_folder(finished, looking)}/attention.json")
    assert (found.images, found.map_images) == (80, 8)
    assert found.thresholds == {"relative_change": 0.01, "entropy": 0.999, "gate_spread": 0.01}
    assert [(module.module, module.kind) for module in found.modules] == [
        ("stage2", "cbam"),
        ("stage3", "self-attention"),
    ]
    record = RunRecord.read(f"{looking.folder}/run.json")
    assert found.weights_sha256 == record.weights_sha256
    assert found.modules[1].gate == pytest.approx(record.gates["stage3"], rel=1e-5)
    baseline = Diagnosis.read(f"{paths.examination_folder(finished, tiny)}/attention.json")
    assert (baseline.modules, baseline.without_all) == ([], None)
    assert 0 <= baseline.accuracy <= 1


def test_the_step_shows_how_far_it_is_and_repeats_itself(finished, capsys):
    _, looking = finished.runs()
    path = Path(paths.examination_folder(finished, looking), "attention.json")
    before = path.read_bytes()
    diagnose_run(finished, looking, open_run(finished, looking, 1, "auto"))
    assert "cues/looking/brief/seed0: ablated 80/80 images" in capsys.readouterr().out
    assert path.read_bytes() == before
