"""Attention modules as strangers write them: each works, or a sentence says before training what is wrong."""

import copy
import sys

import pytest
import torch
import yaml
from torch import nn

from cnntention.certificate import source
from cnntention.certificate.widths import wider
from cnntention.cli import main
from cnntention.config import Model
from cnntention.errors import UserError
from cnntention.models.attention import KINDS, make
from cnntention.models.inputs import Copying
from cnntention.models.registry import attention_modules, attention_state, build, check_model, parameter_counts
from cnntention.plan import load
from cnntention.profiling.measure import attention_bytes, count_macs
from cnntention.storage import read_weights, write_weights


class Gate(nn.Module):
    """A squeeze-and-excitation that calls its sigmoid `gate`, with dropout."""

    def __init__(self, in_channels=64, reduction=4):
        super().__init__()
        self.body = nn.Conv2d(in_channels, in_channels // reduction, 1)
        self.back = nn.Conv2d(in_channels // reduction, in_channels, 1)
        self.drop, self.gate = nn.Dropout(0.3), nn.Sigmoid()

    def forward(self, x):
        return x * self.gate(self.back(self.drop(self.body(x.mean((2, 3), keepdim=True)).relu())))


class Coordinates(nn.Module):
    """Two widths that must agree, pooling of rows and columns, a ReLU in place on the input."""

    def __init__(self, inp, oup, reduction=8):
        super().__init__()
        self.act = nn.ReLU(inplace=True)
        self.gate = nn.Conv2d(inp, oup, 1)

    def forward(self, x):
        x = self.act(x.sub_(0.1))
        return x * (self.gate(x.mean(2, keepdim=True)) + self.gate(x.mean(3, keepdim=True))).sigmoid()


class Groups(nn.Module):
    """Channels in groups, by a view that channels_last features do not have."""

    def __init__(self, channel, groups=4):
        super().__init__()
        self.groups, self.weight = groups, nn.Parameter(torch.zeros(1, channel // groups, 1, 1))
        self.bias = nn.Parameter(torch.ones(1, channel // groups, 1, 1))

    def forward(self, x):
        b, c, h, w = x.shape
        x = x.view(b * self.groups, -1, h, w)
        return (x * (x.mean((2, 3), keepdim=True) * self.weight + self.bias).sigmoid()).view(b, c, h, w)

    def maps(self, x):
        return {"spatial": x.view(len(x), -1, *x.shape[2:]).mean(1)}


class NoChannels(nn.Module):
    """Needs no number of channels: its first argument is another thing."""

    def __init__(self, e_lambda=1e-4):
        super().__init__()
        assert e_lambda < 1
        self.e_lambda = e_lambda

    def forward(self, x):
        d = (x - x.mean((2, 3), keepdim=True)).square()
        return x * (d / (4 * (d.mean((2, 3), keepdim=True) + self.e_lambda)) + 0.5).sigmoid()


class Closed(nn.Module):
    """Position attention as in DANet: a scale that starts at 0, heads in a list, a tensor that is no buffer, and a
    branch on values."""

    def __init__(self, in_dim, **_):
        super().__init__()
        self.heads = nn.ModuleList([nn.Conv2d(in_dim, in_dim, 1) for _ in range(2)])
        self.gamma, self.scale = nn.Parameter(torch.zeros(1)), torch.ones(1)

    def forward(self, x):
        y = self.heads[0](x) * self.scale if x.abs().mean() >= 0 else x
        keys = self.heads[1](x).flatten(2)
        return x + self.gamma * (y.flatten(2) @ (keys.mT @ y.flatten(2)).softmax(-1)).reshape(x.shape)


STRANGERS = [Gate, Coordinates, Groups, NoChannels, Closed]


@pytest.fixture(autouse=True)
def registered():
    before = dict(KINDS)
    KINDS.update({cls.__name__.lower(): cls for cls in (*STRANGERS, *REFUSED)})
    yield
    KINDS.clear()
    KINDS.update(before)


def model(cls: type, control: str | None = None, **options) -> Model:
    slot = {"kind": cls.__name__.lower(), **options} | ({"control": control} if control else {})
    return Model(depth=8, width=8, attention={"stage2": slot, "stage3": slot})


@pytest.mark.parametrize("cls", STRANGERS)
def test_it_is_trained_saved_measured_and_controlled(cls, tmp_path):
    check_model("", model(cls), [])
    net = build(model(cls), 3, 10).to(memory_format=torch.channels_last)
    images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    effects = []
    for _, module in attention_modules(net):
        module.register_forward_hook(lambda _, args, y: effects.append((y - args[0]).abs().mean().item()))
    net.train()(images).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
    assert all(effect > 0 for effect in effects) == (cls is not Closed)
    assert all(isinstance(value, float) for value in attention_state(net).values())
    assert len(attention_state(net)) == len({name for name, p in net.attention.named_parameters() if p.ndim > 1})

    sha256 = write_weights(tmp_path / "model.safetensors", net)
    again = build(model(cls), 3, 10, seed=1)
    read_weights(tmp_path / "model.safetensors", sha256, again)
    assert torch.allclose(again.eval()(images), net.eval()(images), atol=1e-5)

    macs = count_macs(net, (3, 32, 32))
    assert macs >= count_macs(build(Model(depth=8, width=8), 3, 10), (3, 32, 32)) == count_macs_of_backbone()
    assert attention_bytes(net, (3, 32, 32)) == 0
    for control in ("frozen", "constant", "shut"):
        assert torch.isfinite(build(model(cls, control), 3, 10).train()(images)).all()


def count_macs_of_backbone() -> int:
    """3x3 convolutions of ResNet-8 at width 8, the shortcuts have none, and the classifier."""
    first, stages = 3 * 8 * 9 * 1024, 2 * 8 * 8 * 9 * 1024
    stages += (8 * 16 + 16 * 16) * 9 * 256 + (16 * 32 + 32 * 32) * 9 * 64
    return first + stages + 32 * 10


def test_only_what_needs_it_gets_a_copy_of_its_input():
    copying = {
        cls for cls in STRANGERS for _, m in attention_modules(build(model(cls), 3, 10)) if isinstance(m, Copying)
    }
    assert copying == {Coordinates, Groups}
    (_, groups), *_ = attention_modules(build(model(Groups), 3, 10))
    x = torch.randn(2, 16, 16, 16).contiguous(memory_format=torch.channels_last)
    assert groups.maps(x)["spatial"].shape == (2, 16, 16)
    assert type(copy.deepcopy(groups)) is type(groups)


def test_channels_are_the_argument_that_means_them():
    def built(cls, **options):
        return make(cls, 16, (8, 8), options)

    assert built(NoChannels, e_lambda=0.5).e_lambda == 0.5
    assert built(NoChannels).e_lambda == 1e-4
    assert built(Gate).body.in_channels == 16
    assert built(Coordinates).gate.weight.shape == built(Coordinates, oup=16).gate.weight.shape == (16, 16, 1, 1)
    assert built(Coordinates, oup=8).gate.out_channels == 8

    class Later(nn.Module):
        def __init__(self, kernel=3, dim=64):
            super().__init__()
            self.asked = kernel, dim

    class Bare(nn.Module):
        pass

    class NoArguments(nn.Module):
        def __init__(self):
            super().__init__()

    assert type(built(Bare)) is Bare
    assert type(built(NoArguments)) is NoArguments
    assert built(Later).asked == (3, 16)
    assert built(Later, kernel=5).asked == (5, 16)


def test_a_frozen_module_still_has_an_effect():
    """What starts at 0 and scales all of the rest is learned, or the control would be the network without it."""
    for cls, learned in ((Closed, {"gamma"}), (Gate, set()), (Groups, set())):
        (_, module), *_ = attention_modules(build(model(cls, "frozen"), 3, 10))
        assert {name for name, p in module.named_parameters() if p.requires_grad} == learned


# --- refused ------------------------------------------------------------------------------------------------------


class Late(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("pos", None)

    def forward(self, x):
        self.pos = torch.ones(x.shape[1:]) if self.pos is None else self.pos
        return x * self.pos


class Lazy(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.LazyConv2d(channels, 1)

    def forward(self, x):
        return self.conv(x)


class Empty(nn.Module):
    def __init__(self, channels, reduction=64):
        super().__init__()
        self.conv, self.back = (
            nn.Conv2d(channels, channels // reduction, 1),
            nn.Conv2d(channels // reduction, channels, 1),
        )

    def forward(self, x):
        return x * self.back(self.conv(x)).sigmoid()


class OnlyGate(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return x.mean((2, 3), keepdim=True).sigmoid()


class Pair(nn.Module):
    def __init__(self, channels):
        super().__init__()

    def forward(self, x):
        return x, x


REFUSED = {
    Late: "gets parameters or buffers in its first forward pass",
    Lazy: "conv.weight gets its shape in the first forward pass; give it in the constructor",
    Empty: "conv.weight has the shape (0, 16, 1, 1), without a number; choose a smaller reduction",
    OnlyGate: "returns (2, 16, 1, 1) for features (2, 16, 16, 16); it must keep their shape",
    Pair: "returns tuple for features",
}


@pytest.mark.parametrize("cls", REFUSED)
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors", "ignore:Lazy modules")
def test_what_cannot_be_tested_is_told_in_a_sentence(cls):
    with pytest.raises(UserError) as error:
        wider(8, 8, {"depth": 8, "width": 8, "attention": {"stage2": {"kind": cls.__name__.lower()}}}, (3, 32, 32))
    assert REFUSED[cls] in str(error.value)
    assert "\n" not in str(error.value)


# --- from a file to a study -------------------------------------------------------------------------------------------

FILE = """
from torch import nn
from .attention import scaled


class CBAM(nn.Module):
    def __init__(self, planes=64, factor=1.0):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return scaled(x, self.factor)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "attention.py").write_text("def scaled(x, factor):\n    return x * factor\n")
    (tmp_path / "mine.py").write_text(FILE)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before


def test_a_file_with_a_known_name_and_a_relative_import_becomes_a_study(home, monkeypatch):
    """Its folder may be the study's; without parameters there is nothing to freeze, and nothing that costs."""
    assert main(["new", ".", "mine.py", "--option", "factor=5e-1"]) == 0
    config = yaml.safe_load((home / "config.yaml").read_text())
    assert config["models"]["own-cbam"]["attention"]["stage2"] == {"kind": "own-cbam", "factor": 0.5}
    assert set(config["models"]) == {"resnet8", "own-cbam", "own-cbam-constant"}
    assert config["claims"]["constant"]["against"] == ["own-cbam-constant"]
    assert "capacity" not in config["claims"]
    assert (home / "mine.py").read_text() == FILE
    assert load(["config.yaml"]).study.certificate == "own-cbam"


def test_options_are_python_or_yaml():
    for text, value in (
        ("1e-4", 1e-4),
        ("None", None),
        ("(3, 3)", [3, 3]),
        ("true", True),
        ("False", False),
        ("x", "x"),
    ):
        assert source.option(f"a={text}") == ("a", value)


def test_a_network_that_no_wider_one_matches_is_said_to_have_more():
    class Huge(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2_000_000))

        def forward(self, x):
            return x * self.weight.mean()

    KINDS["huge"] = Huge
    try:
        found = wider(8, 8, {"depth": 8, "width": 8, "attention": {"stage2": {"kind": "huge"}}}, (3, 32, 32))
    finally:
        del KINDS["huge"]
    assert found.fewer == ["parameters"]
    assert found.nearest["parameters"] == 32
    assert parameter_counts(build(Model(depth=8, width=32), 3, 10))["total"] < 0.9 * found.own
