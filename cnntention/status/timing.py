"""How fast models train on this machine, from a few real training steps on random images."""

import time

import torch

from cnntention import device
from cnntention.config import Run, Study
from cnntention.models.registry import build, check, has_deterministic_form
from cnntention.models.resnet import channels_last
from cnntention.status.speed import Speeds
from cnntention.training.loop import train_step
from cnntention.training.recipe import make_optimizer

BUDGET = 60  # s: the models that are left then, the slowest ones, are scaled by size
ENOUGH = 1.0  # s a model, after its first step


def time_models(study: Study) -> Speeds:
    """From one run of each model and precision."""
    if study.foreign:
        check(study)
    # not held as a step holds it: status must neither wait for a run nor stop one
    where = torch.device("cuda:0" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    measured, start, reference = {}, time.perf_counter(), Speeds(study, {}, "")
    for run in sorted({reference.kinds(run)[1]: run for run in study.runs()}.values(), key=reference.reference):
        if measured and time.perf_counter() - start > BUDGET:
            break
        measured[run] = images_per_s(study, run, reference.images[run.dataset][1], where)
    return Speeds(study, measured, "as timed on this machine")


def images_per_s(study: Study, run: Run, side: int, where: torch.device) -> float:
    """Training images a second at the recipe's batch size, on one thread as the rule trains."""
    recipe, config = study.recipes[run.recipe], study.models[run.model]
    device.prepare_torch(1, where, recipe.precision, has_deterministic_form(config))
    model = channels_last(build(config, 3, 10, image=(side, side)).to(where)).train()
    optimizer = make_optimizer(model, recipe.optimizer)
    images = torch.randn(recipe.batch_size, 3, side, side, device=where).to(memory_format=torch.channels_last)
    labels = torch.arange(len(images), device=where) % 10
    steps, start = -1, 0.0  # the first step, which sets things up, does not count
    while steps < 1 or time.perf_counter() - start < ENOUGH:
        if steps == 0:
            start = time.perf_counter()
        # a rate of 0 keeps the weights finite; reading the loss waits for the device
        train_step(model, images, labels, optimizer, 0.0, recipe).tolist()
        steps += 1
    return steps * len(images) / (time.perf_counter() - start)
