"""Costs: counts against closed forms, times against networks that say when they were called."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from torch import nn

from cnntention import provenance
from cnntention.config import STAGES, Model, Profiling, load, parse_study
from cnntention.errors import UserError
from cnntention.models.registry import build
from cnntention.profiling import measure as profiling
from cnntention.profiling.energy import Meter
from cnntention.profiling.measure import attention_bytes, count_macs, each, measure_memory, measure_times, profile
from cnntention.results import paths
from cnntention.results.profiles import ModelProfile, Profile, cost_rows, quartiles, round_rows

MODELS = {n: m for n, m in load([ROOT / "config.yaml"]).models.items() if not n.startswith("zoo-")}
CPU = torch.device("cpu")
QUICK = Profiling(batch_size=8, processes=3, rounds=2, min_seconds=0.001)


# --- counted ----------------------------------------------------------------------------------------------------


def placed(model, height, width):
    """(options, channels, positions) of every attention module."""
    for i, stage in enumerate(STAGES):
        positions = -(-height // 2**i) * -(-width // 2**i)
        times = (model.depth - 2) // 6 if model.placement == "block" else 1
        yield from ((options, model.width * 2**i, positions) for options in model.modules.get(stage, ()) * times)


def closed_form(model, channels=3, height=32, width=32, classes=10):
    """Multiply-accumulates by hand: k^2 c_in c_out a position, and two products of (HW)^2 d a head."""
    w = model.width
    total = 9 * channels * w * height * width
    blocks = (model.depth - 2) // 6
    for i in range(3):
        c, positions = w * 2**i, -(-height // 2**i) * -(-width // 2**i)
        first = 9 * (c // 2 if i else c) * c * positions
        total += first + 9 * c * c * positions * (2 * blocks - 1)
    for options, c, positions in placed(model, height, width):
        if options.kind == "cbam":
            total += 2 * 2 * c * (c // options.reduction) + 2 * 49 * positions
        else:
            projections = 4 if options.kind == "multi-head" else 3
            projections += 2 * (options.positions == "sine")  # of the encoding, for queries and keys
            total += projections * c * c * positions + 2 * positions**2 * c
    return total + 4 * w * classes


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_macs_equal_the_closed_form(name, shape):
    assert count_macs(build(MODELS[name], shape[0], 10), shape) == closed_form(MODELS[name], *shape)


def test_macs_are_those_of_the_study():
    names = ("resnet20", "self-attention", "multi-head", "cbam")
    macs = {name: count_macs(build(MODELS[name], 3, 10), (3, 32, 32)) / 1e6 for name in names}
    assert {name: round(value, 2) for name, value in macs.items()} == {
        "resnet20": 40.55,
        "self-attention": 81.18,
        "multi-head": 81.97,
        "cbam": 40.68,
    }


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_attention_matrices_equal_the_closed_form(name, shape):
    heads = {"self-attention": lambda options: 1, "multi-head": lambda options: options.heads, "cbam": lambda _: 0}
    expected = sum(4 * heads[o.kind](o) * positions**2 for o, _, positions in placed(MODELS[name], *shape[1:]))
    assert attention_bytes(build(MODELS[name], shape[0], 10), shape) == expected


def test_attention_matrices_of_lists_and_blocks():
    both = [{"kind": "cbam"}, {"kind": "multi-head", "heads": 4}, {"kind": "self-attention"}]
    model = Model(depth=14, attention={"stage2": both}, placement="block")
    # two blocks, a module of 4 heads and one of 1, 16 x 16 positions
    assert attention_bytes(build(model, 3, 10), (3, 32, 32)) == 2 * (4 + 1) * 4 * 256**2


# --- measured ---------------------------------------------------------------------------------------------------


class Witness(nn.Module):
    """A network that notes how it is called."""

    def __init__(self, name: str, log: list):
        super().__init__()
        self.name, self.log = name, log
        self.linear = nn.Linear(12, 10)

    def forward(self, x):
        self.log.append((self.name, len(x), self.training, torch.is_inference_mode_enabled()))
        return self.linear(x.flatten(1))


def witnessed(meter: Meter, log: list, settings: Profiling = QUICK) -> dict:
    nets = {name: Witness(name, log) for name in ("a", "b", "c")}
    return measure_times(nets, *profiling.batch_of(8, (3, 2, 2), 10, CPU), settings, meter)


def test_models_are_measured_in_turn():
    log = []
    calls = witnessed(Meter(read=list), log)
    turns = [now for before, now in zip([None, *log], log, strict=False) if now != before]
    a_round = [("latency", 1, False, True), ("inference", 8, False, True), ("training", 8, True, False)]
    once = [(name, *how) for _, *how in a_round for name in ("a", "b", "c")]
    assert turns == once * (1 + QUICK.rounds)  # the first to warm up
    assert list(calls) == ["latency", "inference", "training_step"]
    for kind in calls.values():
        assert [len(call.times_ms) for call in kind.values()] == [QUICK.rounds] * 3
    counted = sum(call.calls for kind in calls.values() for call in kind.values())
    assert counted == len(log) - 9  # all calls, without those to warm up


def test_energy_is_that_of_the_calls():
    log = []
    # training costs 7 J a call, an image of inference 2 J; the counter begins again at 1 kJ
    meter = Meter(lambda: [sum(7 if c[2] else 2 * c[1] for c in log) * 10**6 % 10**9], (10**9,), source="made up")
    calls = witnessed(meter, log, Profiling(batch_size=8, rounds=4, min_seconds=1e-6))
    for name in ("a", "b", "c"):
        assert each(calls["training_step"][name], 1, meter) == pytest.approx(7)
        assert each(calls["inference"][name], 8, meter) == pytest.approx(2)
        assert each(calls["inference"][name], 8, Meter(read=list, reason="none")) is None


def test_times_are_those_of_the_calls():
    """A call that sleeps 20 ms takes 20 ms, every round."""
    import time

    call = profiling.Call(lambda: time.sleep(0.02), CPU)
    for _ in range(3):
        call.measure(QUICK, Meter(read=list))
    assert len(call.times_ms) == 3
    assert all(20 <= t < 120 for t in call.times_ms)


def test_memory_is_that_of_the_step():
    """A ResNet-8 keeps the outputs of 7 convolutions and as many norms for the backward pass: 576 KiB an image."""
    kept = 2 * (3 * 16 * 32**2 + 2 * 32 * 16**2 + 2 * 64 * 8**2) * 4 * 256
    found = measure_memory(Model(depth=8, width=16), (3, 32, 32), 10, Profiling(batch_size=256), CPU, ())
    assert found[1] == "resident set of a process of its own, on the CPU"
    assert 0.9 * kept < found[0] < 2 * kept


def test_a_profile_is_complete_and_names_what_it_lacks():
    models = {name: MODELS[name].model_copy(update={"depth": 8}) for name in ("cbam", "resnet20")}
    found, source = profile(models, (3, 32, 32), 10, QUICK, CPU)
    assert ("no energy counter" in source) == (found["cbam"].inference_joules is None)
    assert list(found) == ["cbam", "resnet20"]
    cbam = found["cbam"]
    assert cbam.parameters.attention == 969
    training, inference, latency = (getattr(cbam, f"{n}_ms") for n in ("training_step", "inference", "latency"))
    assert np.shape(training) == np.shape(inference) == np.shape(latency) == (QUICK.processes, QUICK.rounds)
    assert np.unique(training).size == QUICK.processes * QUICK.rounds  # none is another's
    assert np.median(training) > np.median(inference) > np.median(latency) > 0


# --- identity, and the table ------------------------------------------------------------------------------------


def path(small: dict) -> str:
    return paths.profile_path(parse_study(small), "cues")


def test_the_path_is_of_all_models_that_run_on_the_dataset(small):
    first = path(small)
    grid = small["experiments"]["first"]["grid"]
    grid["models"] = ["looking", "tiny"]
    assert path(small) == first  # in whatever order
    small["models"]["unused"] = {"depth": 14}
    assert path(small) == first
    grid["models"] = ["looking", "tiny", "unused"]
    with_another = path(small)
    assert with_another != first
    small["models"]["unused"]["depth"] = 20
    assert path(small) not in (first, with_another)


@pytest.mark.parametrize("setting", ["batch_size", "threads", "processes", "rounds", "min_seconds"])
def test_the_path_is_of_the_settings(small, setting):
    first = path(small)
    small["profiling"][setting] = 7
    assert path(small) != first


@pytest.mark.parametrize(
    ("code", "sentence"),
    [("os.kill(os.getpid(), 9)", "was killed; free memory"), ("raise RuntimeError('no\\nmore')", "failed: no$")],
)
def test_a_process_that_fails_is_one_sentence(tmp_path, monkeypatch, code, sentence):
    monkeypatch.setattr(profiling, "measure_memory", lambda *_: (1, "not here"))
    (tmp_path / "bad.py").write_text(f"""
import os
from cnntention.models.attention import Attention, register
@register("bad")
class Bad(Attention):
    def __init__(self, channels):
        super().__init__("none")
    def attend(self, x):
        if len(x) > 1:  # it was built with one image
            {code}
        return x
""")
    bad = Model(depth=8, width=4, attention={"stage3": {"kind": "bad"}})
    with pytest.raises(UserError, match=sentence):
        profile({"bad": bad}, (3, 8, 8), 10, QUICK, CPU, (str(tmp_path / "bad.py"),))


def test_quartiles_by_hand():
    assert quartiles("x", [4, 1, 2, 1, 0.5]) == {"x": 1, "x_q25": 1, "x_q75": 2}
    assert quartiles("x", None) == {"x": None, "x_q25": None, "x_q75": None}


def made_up(*rounds: float) -> ModelProfile:
    """A model that takes so long in the rounds of a process, and nine times as long in another."""
    times = {
        f"{time}_ms": [list(rounds), [9 * r for r in rounds]] for time in ("latency", "inference", "training_step")
    }
    counts = {"parameters": {"total": 90, "backbone": 50, "attention": 40}, "macs": int(100 * rounds[0])}
    counts |= {"attention_matrix_bytes": 64, "training_memory_bytes": 5, "memory_source": "x"}
    return ModelProfile(**times, **counts, inference_joules=None, training_step_joules=None)


def test_the_cost_table(small, tmp_path, monkeypatch):
    """The machine slows down from round to round: times differ wildly, the ratio is 2.5 in every round."""
    monkeypatch.chdir(tmp_path)
    study = parse_study(small)
    models = {"looking": made_up(25, 50, 100), "tiny": made_up(10, 20, 40)}
    found = Profile(
        dataset="cues",
        image=(3, 8, 8),
        settings={"batch_size": 8},
        energy="none here",
        models=models,
        key=Path(path(small)).stem,
        made="",
        provenance=provenance.describe(torch.device("cpu"), 1),
    )
    found.write(path(small))
    tiny, looking = cost_rows(study)
    assert (tiny.model, looking.model) == ("tiny", "looking")
    assert (looking.latency_ms, looking.training_step_ms) == (162.5, 162.5)  # the median of 25, 50, 100, 225, 450, 900
    rounds = [(r.model, r.process, r.round, r.latency_ms) for r in round_rows(study)]
    assert rounds[:4] == [("tiny", 1, 1, 10), ("tiny", 1, 2, 20), ("tiny", 1, 3, 40), ("tiny", 2, 1, 90)]
    assert (len(rounds), rounds[-1]) == (12, ("looking", 2, 3, 900))
    assert [getattr(looking, f"training_step_ratio{end}") for end in ("", "_q25", "_q75")] == [2.5] * 3
    assert (looking.macs, looking.macs_ratio, looking.image) == (2500, 2.5, "3x8x8")
    assert looking.training_images_per_s == pytest.approx(8000 / 162.5)
    assert (looking.energy, looking.hardware, looking.training_step_joules) == (
        "none here",
        f"{provenance.cpu_name()}, 1 thread",
        None,
    )
