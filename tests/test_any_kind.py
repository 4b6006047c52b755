"""Diagnosis and controls of attention of any kind: what multiplies, what adds, ours, timm's or a plugin's."""

import pytest
import torch
from every import ALL, features, module_of, network

from cnntention.config import Diagnostics
from cnntention.evaluation.ablation import ablate
from cnntention.evaluation.diagnose import diagnose
from cnntention.evaluation.diagnostics import measure, state
from cnntention.evaluation.effective import EffectiveGate
from cnntention.models.attention import Attention
from cnntention.models.controls import Constant, Shut, uncontrolled
from cnntention.models.registry import attention_modules, attention_state


@pytest.fixture
def images():
    return torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(1))


# --- diagnosed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_each_module_is_diagnosed(name, images):
    net = network(name, residual="plain").eval()
    batches = [(part, net(part).argmax(1)) for part in images.split(6)]
    for module in diagnose(net, batches, Diagnostics(images=12, map_images=2))["modules"]:
        assert module.kind == ALL[name]["kind"]
        multiplies = name == "own cbam" or getattr(dict(attention_modules(net))[module.module], "multiplies", False)
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
def test_the_gate_in_effect_is_found_where_features_are_zero_and_gates_negative(amount, expected):
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
    gate, mask = found["stage3"].gate, net.attention["stage3"].values[0]
    right = (gate - mask).abs() < 1e-5
    assert (right | (gate == 1)).all()  # 1 where the features of all images are 0
    assert right.double().mean() > 0.5


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
