"""Cost of models on one image size: counts, and times, memory and energy on this machine.

Times are comparable only if measured together. So all models are measured in turn, round after round: drift (clock,
temperature, other load) affects all alike, and cancels in their ratio within a round. What a process keeps for all its
rounds, such as where its memory lies, does not cancel: so there are several processes, one after another.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cnntention import device as devices
from cnntention.config import Model, Profiling
from cnntention.models.registry import build, has_deterministic_form, load_plugins, parameter_counts
from cnntention.models.resnet import channels_last
from cnntention.profiling import energy
from cnntention.profiling.memory import alone, batch_of, measure_memory, training_step
from cnntention.results.profiles import ModelProfile

Shape = tuple[int, int, int]


# --- counted ----------------------------------------------------------------------------------------------------


def count_macs(net: nn.Module, shape: Shape) -> int:
    """Multiply-accumulates of one image's forward pass in convolutions, matrix products and attention.

    The flop counter misses the CPU's fused attention kernels (PyTorch issue 195460), so the pass uses the plain ones,
    which compute the same products.
    """

    def count(net: nn.Module, image: Tensor) -> int:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            net(image)
        return counter.get_total_flops() // 2

    return counted(net, shape, count)


def attention_bytes(net: nn.Module, shape: Shape) -> int:
    """Bytes of one image's attention matrices if stored in fp32: 4 heads (HW)^2 for every module on (B, C, H, W) with a
    number of `heads`."""

    def count(net: nn.Module, image: Tensor) -> int:
        sizes = []

        def matrices(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].ndim == 4:
                sizes.append(4 * module.heads * math.prod(inputs[0].shape[-2:]) ** 2)

        for module in net.modules():
            if isinstance(getattr(module, "heads", None), int):
                module.register_forward_pre_hook(matrices)
        net(image)
        return sum(sizes)

    return counted(net, shape, count)


@torch.no_grad()
def counted(net: nn.Module, shape: Shape, count: Callable[[nn.Module, Tensor], int]) -> int:
    """What is counted in one image's pass through a copy: on the meta device, where nothing is computed and
    dot_product() pads no narrow heads; on the CPU if a foreign module, as with a tensor that is no buffer, fails there.
    """
    try:
        return count(deepcopy(net).eval().to("meta"), torch.zeros(1, *shape, device="meta"))
    except (RuntimeError, NotImplementedError):
        return count(deepcopy(net).eval(), torch.zeros(1, *shape))


# --- measured ---------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One kind of call of a network, and its measurements."""

    run: Callable[[], object]
    device: torch.device
    calls: int = 0
    joules: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    """Median time of a call, for each round."""

    def __call__(self) -> None:
        """Run, and wait until the device has finished."""
        self.run()
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        self.calls += 1

    def measure(self, settings: Profiling, meter: energy.Meter) -> None:
        """One round: a warm-up call, then at least one timed call, until min_seconds have passed.

        A call takes about a millisecond, reading the clock less than a microsecond.
        """
        before, ticks = meter.read(), []
        gc.disable()
        try:
            self()
            ticks.append(time.perf_counter())
            while len(ticks) < 2 or ticks[-1] - ticks[0] < settings.min_seconds:
                self()
                ticks.append(time.perf_counter())
        finally:
            gc.enable()
        self.joules += meter.joules(before, meter.read()) or 0.0
        self.times_ms.append(1e3 * float(np.median(np.diff(ticks))))


def measure_times(
    nets: Mapping[str, nn.Module], images: Tensor, labels: Tensor, settings: Profiling, meter: energy.Meter
) -> dict[str, dict[str, Call]]:
    """{measurement: {name: Call}}: all networks in turn in every round, after a warm-up call of each."""
    first = images[:1]

    def calls(run: Callable[[nn.Module], Callable[[], object]]) -> dict[str, Call]:
        return {name: Call(run(net), images.device) for name, net in nets.items()}

    measured = {
        "latency": calls(lambda net: lambda: net(first)),
        "inference": calls(lambda net: lambda: net(images)),
        "training_step": calls(lambda net: training_step(net, images, labels)),
    }
    for turn in range(-1, settings.rounds):
        for measurement, in_turn in measured.items():
            training = measurement == "training_step"
            for name, call in in_turn.items():
                nets[name].train(training)
                with torch.inference_mode(not training):
                    call.run() if turn < 0 else call.measure(settings, meter)
    return measured


# --- all of it --------------------------------------------------------------------------------------------------


def prepare(models: Mapping[str, Model], settings: Profiling, device: torch.device) -> None:
    """Set torch, in each process alike."""
    devices.prepare_torch(settings.threads, device, deterministic=all(map(has_deterministic_form, models.values())))


def meter_of(device: torch.device) -> energy.Meter:
    return energy.meter(f"GPU-{torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else None)


def measured(
    models: Mapping[str, Model],
    shape: Shape,
    classes: int,
    settings: Profiling,
    device: torch.device,
    plugins: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """What this process measures of each model: ModelProfile's times, one a round, and joules."""
    load_plugins(plugins)
    prepare(models, settings, device)
    meter = meter_of(device)
    built = {n: build(m, shape[0], classes, image=shape[1:]) for n, m in models.items()}
    nets = {n: channels_last(net.to(device)) for n, net in built.items()}
    calls = measure_times(nets, *batch_of(settings.batch_size, shape, classes, device), settings, meter)
    return {
        name: {f"{measurement}_ms": in_turn[name].times_ms for measurement, in_turn in calls.items()}
        | {"inference_joules": each(calls["inference"][name], settings.batch_size, meter)}
        | {"training_step_joules": each(calls["training_step"][name], 1, meter)}
        for name in models
    }


def each(call: Call, parts: int, meter: energy.Meter) -> float | None:
    """Joules of one of the `parts` of a call; None without a meter."""
    return call.joules / call.calls / parts if meter.source else None


def profile(
    models: Mapping[str, Model],
    shape: Shape,
    classes: int,
    settings: Profiling,
    device: torch.device,
    plugins: Sequence[str] = (),
) -> tuple[dict[str, ModelProfile], str]:
    """(costs of the models on (C, H, W) images in fp32, source of the energy or why there is none).

    Energy is the mean over processes of the mean over calls. UserError if a process fails.
    """
    asked = models, shape, classes, settings, device, plugins
    memory = {name: measure_memory(model, *asked[1:]) for name, model in models.items()}
    if device.type == "cuda":
        torch.cuda.empty_cache()  # the processes below need it
    # spawned, not forked: forks would share the layout of their memory
    found = [alone(get_context("spawn"), measured, *asked) for _ in range(settings.processes)]
    profiles = {}
    for name, model in models.items():
        columns = {column: [process[name][column] for process in found] for column in found[0][name]}
        joules = {c: columns.pop(c) for c in list(columns) if c.endswith("joules")}
        net = build(model, shape[0], classes, image=shape[1:])
        profiles[name] = ModelProfile(
            parameters=parameter_counts(net),
            **columns,
            **{column: None if None in values else float(np.mean(values)) for column, values in joules.items()},
            training_memory_bytes=memory[name][0],
            memory_source=memory[name][1],
            macs=count_macs(net, shape),
            attention_matrix_bytes=attention_bytes(net, shape),
        )
    meter = meter_of(device)
    return profiles, meter.source or meter.reason
