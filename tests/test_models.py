"""The networks against plain reimplementations of the published equations, and their exact sizes."""

import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT

from cnntention.config import STAGES, Model, load
from cnntention.models.attention import KINDS
from cnntention.models.registry import attention_maps, attention_modules, build, parameter_counts

# Every model of config.yaml, on 3-channel images with 10 classes.
PARAMETERS = {
    "resnet20": 269_722,
    "resnet20-wide": 555_805,
    "self-attention": 286_189,
    "self-attention-gate01": 286_189,
    "self-attention-gate1": 286_189,
    "self-attention-bare": 286_186,
    "self-attention-plain": 286_186,
    "self-attention-stage1": 270_539,
    "self-attention-stage2": 272_891,
    "self-attention-stage3": 282_203,
    "self-attention-stage12": 273_708,
    "self-attention-stage13": 283_020,
    "self-attention-late": 285_372,
    "self-attention-blocks": 319_123,
    "self-attention-uniform": 286_189,
    "self-attention-frozen": 286_189,
    "self-attention-shut": 286_189,
    "self-attention-positions": 286_189,
    "multi-head": 291_677,
    "multi-head-1": 291_677,
    "multi-head-2": 291_677,
    "multi-head-4": 291_677,
    "multi-head-frozen": 291_677,
    "multi-head-late": 290_588,
    "cbam": 270_691,
    "cbam-r4": 272_707,
    "cbam-r8": 271_363,
    "cbam-late": 270_560,
    "cbam-blocks": 272_629,
    "cbam-blocks-plain": 272_629,
    "cbam-self-attention": 287_158,
}
MODELS = {n: m for n, m in load([ROOT / "config.yaml"]).models.items() if not n.startswith("zoo-")}


def everywhere(**options) -> Model:
    return Model(depth=8, width=8, attention=dict.fromkeys(STAGES, options))


SMALL = {
    "self-attention": everywhere(kind="self-attention", gate_init=0.5),
    "multi-head": everywhere(kind="multi-head", heads=4, gate_init=0.5),
    "cbam": everywhere(kind="cbam", reduction=4),
    "simam": everywhere(kind="simam"),
    "triplet": everywhere(kind="triplet"),
    "bam": everywhere(kind="bam", reduction=4),
    "timm": everywhere(kind="timm", name="se"),
    "plain": Model(depth=8, width=8),
}


@pytest.mark.parametrize("name", MODELS)
def test_exact_parameter_counts(name):
    assert parameter_counts(build(MODELS[name], 3, 10))["total"] == PARAMETERS[name]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_tested_small(kind):
    assert kind in SMALL


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("placement", ["stage", "block"])
@pytest.mark.parametrize("kind", KINDS)
def test_net_attention_holds_all_attention_and_nothing_else(kind, placement, several):
    """By slot, in the order in which the network uses them; several modules in one slot are numbered."""
    slot = SMALL[kind].modules["stage1"] * (2 if several else 1)
    model = Model(depth=14, width=8, attention={"stage1": slot, "stage3": slot}, placement=placement)
    net, used = build(model, 3, 10), []
    slots = [s for stage in ("stage1", "stage3") for s in ([stage] if placement == "stage" else net.slots(stage)[:-1])]
    assert list(net.attention) == slots
    found = dict(attention_modules(net))
    assert list(found) == [f"{slot}_{i}" for slot in slots for i in (0, 1)] if several else slots
    assert set(found.values()) == {module for module in net.modules() if type(module) is KINDS[kind]}
    for module in found.values():
        module.register_forward_hook(lambda module, *_: used.append(module))
    net(torch.randn(2, 3, 8, 8))
    assert used == list(found.values())
    own = {name for name, _ in net.named_parameters() if name.startswith("attention.")}
    plain = {name for name, _ in build(Model(depth=14, width=8), 3, 10).named_parameters()}
    assert {name for name, _ in net.named_parameters()} - plain == own


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28)])
def test_shape_and_every_parameter_gets_a_gradient(name, channels, size):
    torch.manual_seed(0)  # with some images no ReLU of a single channel is open
    net = build(SMALL[name], channels, 10)
    logits = net(torch.randn(3, channels, size, size))
    assert logits.shape == (3, 10)
    assert torch.isfinite(logits).all()
    logits.logsumexp(1).sum().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        # a key's bias shifts all logits of a query alike, which softmax does not see: its gradient is rounding
        if not parameter_name.endswith("key.bias"):
            assert parameter.grad.abs().sum() > 0, parameter_name


def test_names_follow_torchvision():
    from torchvision.models import resnet18

    ours = set(build(MODELS["resnet20"], 3, 10).state_dict())
    theirs = {name for name in resnet18().state_dict() if "downsample" not in name and not name.startswith("layer4")}
    assert {name for name in theirs if ".1." in name or ".0." in name} <= ours
    assert {name.split(".")[0] for name in ours} == {name.split(".")[0] for name in theirs}


# --- plain equations --------------------------------------------------------------------------------------------


def conv1x1(x, state, name):
    """(B, C, H, W) -> (B, C', HW), as a matrix product."""
    return state[f"{name}.weight"].flatten(1) @ x.flatten(2) + state[f"{name}.bias"][:, None]


def plain_self_attention(x, state):
    q, k, v = (conv1x1(x, state, name) for name in ("query", "key", "value"))
    weights = torch.softmax(q.mT @ k, dim=-1)  # (B, HW, HW)
    return x + state["gate"] * (v @ weights.mT).reshape(x.shape)


def plain_multi_head(x, state, heads):
    b, c, h, w = x.shape
    q, k, v = (conv1x1(x, state, name).reshape(b, heads, c // heads, h * w) for name in ("query", "key", "value"))
    outputs = []
    for head in range(heads):
        weights = torch.softmax(q[:, head].mT @ k[:, head] / (c // heads) ** 0.5, dim=-1)
        outputs.append(v[:, head] @ weights.mT)
    joined = torch.cat(outputs, dim=1).reshape(x.shape)
    return x + state["gate"] * conv1x1(joined, state, "out").reshape(x.shape)


def plain_cbam(x, state):
    def mlp(pooled):
        return F.relu(pooled @ state["mlp.0.weight"].flatten(1).T) @ state["mlp.2.weight"].flatten(1).T

    gate = torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.flatten(2).max(dim=2).values))
    y = x * gate[:, :, None, None]
    pooled = torch.stack([y.mean(1), y.max(1).values], dim=1)
    return x + y * torch.sigmoid(F.conv2d(pooled, state["spatial.weight"], state["spatial.bias"], padding=3))


PLAIN = {
    "self-attention": plain_self_attention,
    "multi-head": lambda x, state: plain_multi_head(x, state, heads=4),
    "cbam": plain_cbam,
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_outputs_and_gradients_equal_the_plain_equations(kind, stage, dtype, tolerance):
    torch.manual_seed(stage)
    module = build(SMALL[kind], 3, 10).attention[f"stage{stage}"].to(dtype)
    for parameter in module.parameters():  # biases too: they start at 0 or tiny
        torch.nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 8 * 2 ** (stage - 1), 16, 12, dtype=dtype, requires_grad=True)
    cotangent = torch.randn_like(x)
    inputs = [x, *module.parameters()]
    ours = module(x)
    state = dict(module.named_parameters())
    plain = PLAIN[kind](x, state)
    assert (ours - plain).abs().max() < tolerance * plain.abs().max()
    mine = torch.autograd.grad(ours, inputs, cotangent)
    reference = torch.autograd.grad(plain, inputs, cotangent)
    largest = max(gradient.abs().max() for gradient in reference)
    for one, other in zip(mine, reference, strict=True):
        assert (one - other).abs().max() < tolerance * largest


@pytest.mark.parametrize("kind", ["self-attention", "multi-head"])
@pytest.mark.parametrize("size", [8, 16, 20])
def test_bf16_is_the_same_up_to_its_rounding(kind, size):
    """Short sequences take another way on the CPU; 24 images make several pieces of it."""
    torch.manual_seed(0)
    module = build(SMALL[kind], 3, 10).attention["stage1"]
    x = torch.randn(24, 8, size, size)
    exact = module(x) - x
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = module(x) - x
    assert (rounded - exact).norm() < 0.02 * exact.norm()


def plain_resnet(x, state, blocks):
    """The whole backbone, by functional calls on the state dict, in evaluation mode."""

    def bn(x, name):
        stats = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *stats)

    x = F.relu(bn(F.conv2d(x, state["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = F.relu(bn(F.conv2d(x, state[f"{name}.conv1.weight"], stride=stride, padding=1), f"{name}.bn1"))
            y = bn(F.conv2d(y, state[f"{name}.conv2.weight"], padding=1), f"{name}.bn2")
            skip = torch.zeros_like(y)
            first = (y.shape[1] - x.shape[1]) // 2
            skip[:, first : first + x.shape[1]] = x[:, :, ::stride, ::stride]
            x = F.relu(y + skip)
    return F.linear(x.mean((2, 3)), state["fc.weight"], state["fc.bias"])


def test_the_backbone_equals_a_plain_one():
    torch.manual_seed(0)
    net = build(MODELS["resnet20"], 3, 10).eval()
    for name, buffer in net.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    x = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(net(x), plain_resnet(x, net.state_dict(), 3), rtol=1e-4, atol=1e-4)


# --- options ----------------------------------------------------------------------------------------------------


def test_a_gate_of_zero_is_the_plain_network_of_the_same_seed():
    x = torch.randn(2, 3, 32, 32)
    gated = Model(depth=8, width=8, attention={"stage2": {"kind": "self-attention"}})
    torch.testing.assert_close(build(gated, 3, 10, seed=4)(x), build(SMALL["plain"], 3, 10, seed=4)(x))


def test_residual_options():
    x = torch.randn(2, 8, 8, 8)
    nets = {
        r: build(everywhere(kind="self-attention", residual=r, gate_init=0.3), 3, 10).attention["stage1"]
        for r in ("none", "plain", "gated")
    }
    y = nets["none"](x)
    torch.testing.assert_close(nets["plain"](x), x + y)
    torch.testing.assert_close(nets["gated"](x), x + 0.3 * y)
    frozen = build(everywhere(kind="self-attention", gate_init=0.3, gate_learned=False), 3, 10).attention["stage1"]
    assert not frozen.gate.requires_grad


def test_an_empty_scale_is_one_over_the_root_of_the_width():
    net = build(everywhere(kind="self-attention", scale=None), 3, 10)
    assert [module.scale for _, module in attention_modules(net)] == [8**-0.5, 16**-0.5, 32**-0.5]


def test_seeds():
    same = [build(MODELS["cbam"], 3, 10, seed=1).state_dict() for _ in range(2)]
    other = build(MODELS["cbam"], 3, 10, seed=2).state_dict()
    assert all(torch.equal(same[0][name], same[1][name]) for name in same[0])
    assert not torch.equal(same[0]["conv1.weight"], other["conv1.weight"])
    plain = build(MODELS["resnet20"], 3, 10, seed=1).state_dict()
    assert all(torch.equal(plain[name], same[0][name]) for name in plain)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    build(MODELS["cbam"], 3, 10, seed=1)
    assert torch.equal(torch.rand(1), expected)


def test_attention_maps():
    x = torch.randn(2, 3, 32, 32)
    net = build(SMALL["multi-head"], 3, 10).eval()
    maps = attention_maps(net, x)
    assert {slot: tuple(found["attention"].shape) for slot, found in maps.items()} == {
        "stage1": (2, 4, 1024, 1024),
        "stage2": (2, 4, 256, 256),
        "stage3": (2, 4, 64, 64),
    }
    for found in maps.values():
        torch.testing.assert_close(found["attention"].sum(-1), torch.ones(found["attention"].shape[:-1]))
    # the map is the one that the output is made with
    features = torch.randn(2, 8, 6, 6)
    single = build(everywhere(kind="self-attention"), 3, 10).attention["stage1"]
    _, _, value = single.heads_of(features)
    mixed = (single.maps(features)["attention"] @ value).transpose(2, 3).reshape(features.shape)
    torch.testing.assert_close(mixed, single.attend(features), rtol=1e-4, atol=1e-5)
    gates = attention_maps(build(SMALL["cbam"], 3, 10).eval(), x)["stage2"]
    assert gates["channel"].shape == (2, 16)
    assert gates["spatial"].shape == (2, 16, 16)
