"""Attention that cannot choose where to look, that knows positions, sits in every block, or is two modules."""

import pytest
import torch
from torch import nn

from cnntention.config import Model, Optimizer
from cnntention.models.attention import CBAM, MultiHead, SelfAttention, sine_positions
from cnntention.models.registry import attention_maps, attention_modules, attention_state, build
from cnntention.training.recipe import make_optimizer

ALONE = {"kind": "self-attention", "gate_init": 0.5}
SMALL_CBAM = {"kind": "cbam", "reduction": 2}


def test_zero_queries_and_keys_average_all_positions():
    """y = x + gate * mean of v over all positions, the same everywhere."""
    module, x = SelfAttention(6, query_key="zero", gate_init=0.5), torch.randn(2, 6, 5, 4)
    v = nn.functional.conv2d(x, module.value.weight, module.value.bias)
    expected = x + 0.5 * v.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("query_key", ["zero", "frozen"])
def test_controls_are_not_learned(query_key):
    net = build(Model(depth=8, width=4, attention={"stage3": ALONE | {"query_key": query_key}}), 3, 10)
    config = Optimizer(name="adamw", lr=0.1, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = make_optimizer(net, config)
    net(torch.randn(4, 3, 16, 16)).logsumexp(1).sum().backward()
    optimizer.step()
    same = {name for name, p in net.named_parameters() if torch.equal(p, before[name])}
    assert same == {f"attention.stage3.{part}.{kind}" for part in ("query", "key") for kind in ("weight", "bias")}


def test_frozen_and_learned_attention_start_alike():
    starts = [build(Model(depth=8, width=4, attention={"stage3": ALONE | more}), 3, 10, seed=3) for more in
              ({}, {"query_key": "frozen"})]  # fmt: skip
    for name, value in starts[0].state_dict().items():
        assert torch.equal(value, starts[1].state_dict()[name]), name


def test_sines_tell_every_place_apart_and_are_bounded():
    waves = sine_positions(16, 8, 6)
    assert waves.shape == (1, 16, 8, 6)
    assert waves.abs().max() <= 1
    places = waves[0].flatten(1).T  # (48, 16)
    assert torch.cdist(places, places).add(torch.eye(48) * 9).min() > 0.1
    # row and column 0: sine of 0 and cosine of 0, a quarter of the channels each
    assert waves[0, :, 0, 0].tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 4 + [1.0] * 4


def test_positions_join_queries_and_keys_alone():
    """Against the equation: q and k of x + p, v of x."""
    module, x = MultiHead(8, heads=2, positions="sine"), torch.randn(2, 8, 4, 4)
    p = sine_positions(8, 4, 4)
    q, k, v = module.heads_of(x)
    plain = [nn.functional.conv2d(y, c.weight, c.bias) for y, c in
             ((x + p, module.query), (x + p, module.key), (x, module.value))]  # fmt: skip
    for found, expected in zip((q, k, v), plain, strict=True):
        torch.testing.assert_close(found, expected.reshape(2, 2, 4, 16).mT, rtol=1e-5, atol=1e-5)


def test_without_positions_attention_does_not_know_where_things_are():
    """A permutation of the positions permutes the output, unless positions are known."""
    x, order = torch.randn(1, 8, 4, 4), torch.randperm(16)

    def shuffled(y):
        return y.flatten(2)[:, :, order].reshape(y.shape)

    for positions, alike in (("none", True), ("sine", False)):
        module = SelfAttention(8, positions=positions, gate_init=1.0)
        assert torch.allclose(module(shuffled(x)), shuffled(module(x)), atol=1e-5) == alike


def test_two_modules_in_one_slot_work_one_after_the_other():
    net = build(Model(depth=8, width=4, attention={"stage2": [SMALL_CBAM, ALONE]}), 3, 10)
    names = dict(attention_modules(net))
    assert list(names) == ["stage2_0", "stage2_1"]
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(net.attention["stage2"](x), names["stage2_1"](names["stage2_0"](x)))
    maps = attention_maps(net, torch.randn(2, 3, 16, 16))
    assert maps["stage2_0"]["channel"].shape == (2, 8)
    assert maps["stage2_1"]["attention"].shape == (2, 1, 64, 64)


def test_in_every_block_the_attention_stands_before_the_shortcut():
    net = build(
        Model(depth=14, width=4, attention={"stage2": SMALL_CBAM | {"residual": "none"}}, placement="block"), 3, 10
    )
    assert [name for name, _ in attention_modules(net)] == ["stage2_block0", "stage2_block1"]
    block, x = net.eval().layer2[1], torch.randn(2, 8, 6, 6)
    attention = net.attention["stage2_block1"]
    assert isinstance(attention, CBAM)
    branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
    torch.testing.assert_close(block(x, attention), (attention(branch) + x).relu())


def test_weight_decay_spares_attention_wherever_it_sits():
    for placement in ("stage", "block"):
        net = build(Model(depth=8, width=4, attention={"stage1": ALONE}, placement=placement), 3, 10)
        groups = make_optimizer(
            net, Optimizer(name="adam", lr=1, weight_decay=1, decay_exempt=("attention",))
        ).param_groups
        spared = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
        own = {id(p) for _, module in attention_modules(net) for p in module.parameters()}
        assert spared == own


def test_the_state_of_attention_is_its_gate_and_norms():
    net = build(Model(depth=8, width=4, attention={"stage3": ALONE}), 3, 10)
    state = attention_state(net)
    assert set(state) == {"stage3.gate", "stage3.query", "stage3.key", "stage3.value"}
    assert state["stage3.gate"] == 0.5
    assert state["stage3.query"] == pytest.approx(net.attention["stage3"].query.weight.square().sum().sqrt().item())
