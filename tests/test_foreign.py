"""Modules of timm: built, tried, and told apart by what they do to their input, as those of all kinds."""

import re

import pytest
import torch
from conftest import small_study
from every import ADDING, ALL, MULTIPLYING, NAMES, OWN, network

from cnntention.config import Model, parse_study
from cnntention.config.models import timm_version
from cnntention.errors import UserError
from cnntention.models.attention import KINDS
from cnntention.models.controls import uncontrolled
from cnntention.models.registry import attention_modules, build, check, has_deterministic_form
from cnntention.models.resnet import channels_last
from cnntention.profiling.measure import attention_bytes, count_macs
from cnntention.training.command import made


@pytest.fixture
def images():
    return torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def test_own_kinds_are_all_tested():
    own = {name for name, kind in KINDS.items() if kind.__module__.startswith("cnntention.")}  # other tests add theirs
    assert set(OWN) | {"timm"} == own


@pytest.mark.parametrize("placement", ["stage", "block"])
@pytest.mark.parametrize("name", NAMES)
def test_each_module_of_timm_learns_and_is_evaluated(name, placement, images):
    torch.use_deterministic_algorithms(True)
    try:
        net = channels_last(network(name, placement))
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
        net = network(name, placement, residual=residual, gate_init=0.0, control="constant")
        for module in map(uncontrolled, net.attention.values()):
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
    assert build(rectangle, 3, 10, image=(32, 24))(images[:2, :, :, :24]).shape == (2, 10)
    relative = {"kind": "timm", "name": "lambda", "r": None}
    assert build(Model(depth=8, width=8, attention={"stage2": relative}), 1, 10, image=(28, 28))
    for name, options, words in (
        (
            "halo",
            {},
            "timm's halo: block_size 8 does not divide the features' 14 x 14; of those that do, set one: 2, 7, 14.",
        ),
        ("halo", {"block_size": 7, "num_heads": 3}, "timm's halo: num_heads 3 does not divide the 16 channels."),
        (
            "bat",
            {"block_size": 8},
            "timm's bat: block_size 8 does not divide the features' 14 x 14; of those that do, ",
        ),
        ("ge", {"use_mlp": True}, "timm's ge: timm can make it only without parameters: set use_mlp: false"),
        ("ge", {"use_mlp": False, "extra_params": True}, "timm's ge: timm can make it only without parameters: "),
        ("lambda", {"r": 2}, "attention.stage2 does not work on features (16, 14, 14) (RuntimeError: "),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            build(Model(depth=8, width=8, attention={"stage2": ALL[name] | options}), 1, 10, image=(28, 28))


def test_crops_of_another_size_are_refused_where_the_size_is_fixed():
    card = {"name": "cues", "image": {"channels": 3, "height": 32, "width": 32}, "classes": 10}
    for options in (ALL["bottleneck"], ALL["own cbam"] | {"control": "constant"}):
        fixed = Model(depth=8, width=8, attention={"stage2": options})
        with pytest.raises(UserError, match=r"cues\.augment\.crop_size: the attention does not work on crops of 24 px"):
            made(fixed, card, 0, crop_size=24)
    assert made(Model(depth=8, width=8, attention={"stage2": ALL["se"]}), card, 0, crop_size=24).training


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
