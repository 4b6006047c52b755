"""Modules of timm, told apart by what they do to their input, and the controls of any kind."""

import re
from typing import get_args

import pytest
import torch
from conftest import small_study
from torch import nn

from cnntention.config import Diagnostics, Model, parse_study
from cnntention.config.attention import TimmName
from cnntention.config.models import timm_version
from cnntention.errors import UserError
from cnntention.evaluation.ablation import ablate
from cnntention.evaluation.diagnose import diagnose
from cnntention.evaluation.diagnostics import measure, state
from cnntention.evaluation.effective import EffectiveGate
from cnntention.models.attention import KINDS, Attention
from cnntention.models.controls import Constant, Shut, uncontrolled
from cnntention.models.registry import attention_modules, attention_state, build, check, has_deterministic_form
from cnntention.profiling.measure import attention_bytes, count_macs

NAMES = get_args(TimmName)
NEEDED = {"ge": {"use_mlp": False}, "bat": {"block_size": 4}}  # else they do not work, here or at all
ADDING = {"gca", "lambda", "bottleneck", "halo", "nl", "bat"}  # by reading their code
OWN = {
    "self-attention": {"gate_init": 0.0},
    "multi-head": {"heads": 4, "residual": "plain"},
    "cbam": {"reduction": 4},
    "simam": {},
    "triplet": {},
    "bam": {"reduction": 4},
}
MULTIPLYING = {"cbam", "simam", "triplet", "bam"}
ALL = {name: {"kind": "timm", "name": name} | NEEDED.get(name, {}) for name in NAMES}
ALL |= {f"own {kind}": {"kind": kind} | options for kind, options in OWN.items()}


def network(name: str, placement: str = "stage", **more) -> nn.Module:
    options = ALL[name] | more
    return build(Model(depth=8, width=8, attention={"stage1": options, "stage3": options}, placement=placement), 3, 10)


def module_of(name: str, **more) -> nn.Module:
    return dict(attention_modules(network(name, **more)))["stage3"]  # (32, 8, 8) features


def features(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 32, 8, 8, generator=torch.Generator().manual_seed(0)).relu()


@pytest.fixture
def images():
    return torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_own_kinds_are_all_tested():
    assert set(OWN) | {"timm"} == set(KINDS)


# --- built, tried, told apart -----------------------------------------------------------------------------------


@pytest.mark.parametrize("placement", ["stage", "block"])
@pytest.mark.parametrize("name", NAMES)
def test_each_module_of_timm_learns_and_is_evaluated(name, placement, images):
    torch.use_deterministic_algorithms(True)
    try:
        net = network(name, placement)
        logits = net(images[:2].contiguous(memory_format=torch.channels_last))
        logits.logsumexp(1).sum().backward()
        assert logits.shape == (2, 10)
        own = [p for _, module in attention_modules(net) for p in module.parameters()]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in own)
        with torch.no_grad():
            assert torch.equal(net.eval()(images[:2]), net(images[:2]))
    finally:
        torch.use_deterministic_algorithms(False)
    assert has_deterministic_form(Model(attention={"stage1": ALL[name]})) == (name != "bat")


@pytest.mark.parametrize("residual", ["none", "plain", "gated"])
@pytest.mark.parametrize("name", ALL)
def test_modules_that_multiply_are_told_from_those_that_add(name, residual):
    """With gates of 0 and norms without scale too; by their code, x + f(x) multiplies if f does."""
    for placement in ("stage", "block"):
        for _, module in attention_modules(network(name, placement, residual=residual, gate_init=0.0)):
            expected = name.removeprefix("own ") in MULTIPLYING if name.startswith("own") else name not in ADDING
            assert module.multiplies == expected


def test_telling_apart_draws_nothing_from_the_initialization(monkeypatch):
    def weights():
        model = Model(depth=8, width=8, attention={"stage1": ALL["se"], "stage2": ALL["cbam"]})
        return build(model, 3, 10).state_dict()

    before = weights()
    monkeypatch.setattr("cnntention.models.registry.multiplies", lambda *_: True)
    assert all(torch.equal(before[name], value) for name, value in weights().items())


def test_features_of_other_sizes(images):
    """What needs the size gets it; what cannot work at a size says so before training."""
    rectangle = Model(depth=8, width=8, attention=dict.fromkeys(("stage1", "stage3"), ALL["bottleneck"]))
    assert build(rectangle, 3, 10, size=(32, 24))(images[:2, :, :, :24]).shape == (2, 10)
    relative = {"kind": "timm", "name": "lambda", "r": None}
    assert build(Model(depth=8, width=8, attention={"stage2": relative}), 1, 10, size=(28, 28))
    for name, options, words in (
        ("halo", {}, "timm's halo: block_size 8 does not divide the features' 14 x 14."),
        ("halo", {"block_size": 7, "num_heads": 3}, "timm's halo: num_heads 3 does not divide the 16 channels."),
        ("bat", {"block_size": 8}, "timm's bat: block_size 8 does not divide the features' 14 x 14."),
        ("ge", {"use_mlp": True}, "attention.stage2 does not work on features (16, 14, 14) (TypeError: "),
        ("lambda", {"r": 2}, "attention.stage2 does not work on features (16, 14, 14) (RuntimeError: "),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            build(Model(depth=8, width=8, attention={"stage2": ALL[name] | options}), 1, 10, size=(28, 28))


def test_options_are_those_of_timm():
    config = small_study()

    def tried(**options) -> None:
        config["models"]["looking"]["attention"]["stage3"] = {"kind": "timm"} | options
        study = parse_study(config)
        assert study.foreign
        check(study)

    tried(name="se", rd_ratio=0.25)
    where = r"^configuration: models\.looking\.attention\.stage3"
    for options, words in (
        ({"name": "se", "rd_rato": 0.25}, r": unknown key 'rd_rato'; did you mean 'rd_ratio'"),
        ({"name": "eca", "kernel_size": 5}, r": unknown key 'kernel_size'; Known"),
        ({"name": "ecam", "use_mlp": False}, r": unknown key 'use_mlp'; Known"),
        ({"name": "lambda", "stride": 2}, r": unknown key 'stride'; Known"),
        ({"name": "see"}, r"\.name: unknown module of timm 'see'; did you mean 'se'"),
        ({}, r"\.name: this key is missing"),
        ({"name": "se", "rd_ratio": "half"}, r": Timm\(16, name='se', .* cannot be made \(TypeError"),
        ({"name": "se", "control": "frosen"}, r"\.control: "),
    ):
        with pytest.raises(UserError, match=where + words):
            tried(**options)
    unchecked = Model(attention={"stage1": ALL["se"] | {"rd_rato": 1}})
    with pytest.raises(UserError, match="timm's se: unknown option 'rd_rato'; did you mean 'rd_ratio'"):
        build(unchecked, 3, 10)


def test_keys_hold_timms_version_and_the_control():
    def identity(**options) -> dict:
        return Model(attention={"stage1": options}).identity()

    assert identity(**ALL["se"])["timm"] == timm_version()
    assert "timm" not in identity(kind="cbam")
    assert "control" not in str(identity(kind="cbam")) + str(identity(**ALL["se"])) + str(identity(kind="mine"))
    for options in ({"kind": "cbam"}, {"kind": "mine"}, ALL["se"]):
        assert identity(**options, control="frozen")["attention"]["stage1"][0]["control"] == "frozen"


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_counted(name):
    assert count_macs(network(name), (3, 32, 32)) > count_macs(build(Model(depth=8, width=8), 3, 10), (3, 32, 32)) - 1
    heads = {"bottleneck": 4, "nl": 1}.get(name, 0)
    assert attention_bytes(network(name), (3, 32, 32)) == 4 * heads * (1024**2 + 64**2)


# --- diagnosed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_each_module_is_diagnosed(name, images):
    net = network(name, residual="plain").eval()
    batches = [(part, net(part).argmax(1)) for part in images.split(6)]
    for module in diagnose(net, batches, Diagnostics(images=12, map_images=2))["modules"]:
        assert module.kind == ALL[name]["kind"]
        multiplies = dict(attention_modules(net))[module.module].multiplies
        assert (module.channel_spread is not None) == (module.spatial_spread is not None) == multiplies
        assert module.state in ("alive", "constant")


class Gated(Attention):
    """y = x * gate, gates of (B, C, H, W) or less."""

    multiplies = True

    def __init__(self, gate):
        super().__init__("none")
        self.values = gate

    def attend(self, x):
        return x * self.values[: len(x)]


@pytest.mark.parametrize(("amount", "expected"), [(0.0, "constant"), (0.005, "constant"), (0.1, "alive")])
def test_the_gate_in_effect_is_found_where_features_are_zero_and_gates_negative(amount, expected, monkeypatch):
    """A fixed mask is constant whatever the features are; its mean gate is the mask."""
    draws = torch.Generator().manual_seed(0)
    mask, moving = torch.randn(32, 8, 8, generator=draws), torch.randn(40, 32, 8, 8, generator=draws)
    x, found = features(40), EffectiveGate()
    x[3] = 0
    x[:, 5] = 0
    y = x * (mask + amount * moving)
    for part in zip(x.split(13), y.split(13), strict=True):
        found.add(*part)
    assert found.spread() == pytest.approx(amount, rel=0.1, abs=1e-6)
    assert (found.spread() < 0.01) == (expected == "constant")
    seen = (x != 0).any(0)
    assert (found.mean() - mask)[seen].abs().max() <= 5 * amount + 1e-5
    assert (found.mean()[~seen] == 1).all()
    gates = found.gates()
    assert gates["channel"].shape == (40, 32)
    assert gates["spatial"].shape == (40, 8, 8)
    by_hand = (y * x.sign()).sum((2, 3))[0, 0] / x.abs().sum((2, 3))[0, 0]
    assert gates["channel"][0, 0].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert all(values.isfinite().all() for values in gates.values())


def test_the_mean_ablation_of_a_module_that_multiplies_is_its_mean_gate(images):
    """A module whose gate is the same for all images loses nothing by it; one that adds would."""
    net = network("ge").eval()
    net.attention["stage3"] = Gated(torch.rand(32, 8, 8, generator=torch.Generator().manual_seed(0))[None])
    batches = [(images, net(images).argmax(1))]
    found = measure(net, batches, map_images=1)
    assert state(found["stage3"], Diagnostics().alive) == "constant"
    assert ablate(net, batches, found)["stage3", "mean"].all()
    x = features()
    gate = found["stage1"].gate
    assert gate.shape == (8, 32, 32)
    assert not torch.allclose(gate, torch.ones_like(gate), atol=0.01)
    assert torch.allclose(found["stage3"].gate, net.attention["stage3"].values[0], atol=1e-5) or (x == 0).any()


# --- controls ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_frozen_starts_alike_and_learns_its_gate_alone(name):
    free, frozen = (module_of(name, residual="gated", gate_init=0.5, **more) for more in ({}, {"control": "frozen"}))
    x = features().requires_grad_()
    torch.testing.assert_close(free.eval()(x), frozen.eval()(x))
    assert all(torch.equal(value, frozen.state_dict()[name]) for name, value in free.state_dict().items())
    frozen.train()(x).square().mean().backward()
    assert x.grad.abs().sum() > 0
    assert {name for name, p in frozen.named_parameters() if p.requires_grad} == {"gate"}
    assert all((p.grad is None) == (name != "gate") for name, p in frozen.named_parameters())


@pytest.mark.parametrize("name", ALL)
def test_shut_is_the_identity_with_all_parameters(name):
    shut, x = module_of(name, control="shut"), features()
    assert isinstance(shut, Shut)
    assert torch.equal(shut(x), x)
    assert torch.equal(shut.eval()(x), x)
    ours, theirs = ({n: p.shape for n, p in m.named_parameters()} for m in (uncontrolled(shut), module_of(name)))
    assert ours == theirs


@pytest.mark.parametrize("name", ALL)
def test_constant_is_the_mean_effect_and_the_same_for_all_images(name):
    module, x = module_of(name, control="constant", residual="plain"), features(6).requires_grad_()
    assert isinstance(module, Constant)
    inner = uncontrolled(module)
    torch.manual_seed(0)
    y = module.train()(x)
    torch.manual_seed(0)
    full = inner(x)
    y.square().mean().backward()
    learned = [p for p in inner.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in learned)
    assert x.grad.isfinite().all()
    if inner.multiplies:  # the total over the batch is kept, of each channel and place
        torch.testing.assert_close(y.abs().sum(0), (full * x.sign()).sum(0).abs(), rtol=1e-4, atol=1e-4)
        other = features(6).add(0.1)
        gates = module.eval()(other) / other
        same = gates
    else:
        torch.testing.assert_close((y - x).mean(0), (full - x).mean(0), rtol=1e-4, atol=1e-4)
        other = torch.randn_like(x)
        same = module.eval()(other) - other
        torch.testing.assert_close(same[0], (full - x).mean(0), rtol=1e-3, atol=1e-4)  # one batch is all there was
    torch.testing.assert_close(same, same[:1].expand_as(same), rtol=1e-4, atol=1e-5)


def test_the_running_mean_of_constant_converges_to_that_of_all_images():
    module = module_of("se", control="constant").train()
    x = torch.rand(40, 32, 8, 8)
    with torch.no_grad():
        for _ in range(20):
            for part in x.split(8):
                module(part)
        gate = module.eval()(x[:1])[0] / x[0]
        full = uncontrolled(module)(x).sum(0) / x.sum(0)
    torch.testing.assert_close(gate, full, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("name", ["own self-attention", "own cbam", "se", "nl"])
def test_networks_under_control_are_diagnosed_and_named_as_the_modules_are(name, images):
    more = {"residual": "gated", "gate_init": 0.5}
    for control, expected in (("shut", "off"), ("constant", "constant")):
        net = network(name, control=control, **more)
        with torch.no_grad():
            net.train()(images)
        assert set(attention_state(net)) == set(attention_state(network(name, **more)))
        net.eval()
        batches = [(images, net(images).argmax(1))]
        found = diagnose(net, batches, Diagnostics(images=12, map_images=2))["modules"]
        assert [module.kind for module in found] == [ALL[name]["kind"]] * 2
        assert {module.gate for module in found} == {0.5}
        if name != "nl" or control == "shut":  # its norm's scale starts at 0, so it adds nothing yet
            assert {module.state for module in found} == {expected}
        assert {module.drop_mean for module in found} == {0}
