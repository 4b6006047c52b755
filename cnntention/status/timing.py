"""How fast a run trains on this machine, from a few real steps of it on random images."""

import time

import torch

from cnntention import device, provenance
from cnntention.config import Run, Study
from cnntention.errors import UserError
from cnntention.models.registry import build, has_deterministic_form
from cnntention.status.speed import Images
from cnntention.training.loop import train_step
from cnntention.training.recipe import make_optimizer

ENOUGH = (10, 1.0)  # steps and seconds: either will do, once the first step is behind


def here() -> torch.device:
    """The device that a step would choose, but not held: the look must not wait for, nor stop, a run."""
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def hardware(where: torch.device) -> str:
    """One phrase: the GPU, or the CPU with the threads used."""
    gpu = torch.cuda.get_device_name(where) if where.type == "cuda" else "Apple GPU" if where.type == "mps" else None
    return provenance.hardware({"gpu": gpu, "cpu": provenance.cpu_name(), "threads": 1})


def images_per_s(study: Study, run: Run, images: Images, where: torch.device) -> float | None:
    """Training images a second at the recipe's batch size, on one thread as the rule trains; None if out of memory."""
    recipe, config = study.recipes[run.recipe], study.models[run.model]
    device.prepare_torch(1, where, recipe.precision, has_deterministic_form(config))
    size = min(recipe.batch_size, images.train)
    try:
        model = build(config, images.channels, images.classes).to(where).train()
        model.to(memory_format=torch.channels_last)
        optimizer = make_optimizer(model, recipe.optimizer)
        batch = torch.randn(size, images.channels, images.side, images.side, device=where)
        batch = batch.to(memory_format=torch.channels_last)
        labels = torch.arange(size, device=where) % images.classes

        def step() -> None:
            # a rate of 0 keeps the weights finite; reading the loss waits for the device
            train_step(model, batch, labels, optimizer, 0.0, recipe).tolist()

        step()
        done, start = 0, time.perf_counter()
        while done < ENOUGH[0] and (done == 0 or time.perf_counter() - start < ENOUGH[1]):
            step()
            done += 1
        return done * size / (time.perf_counter() - start)
    except RuntimeError as error:  # on a CPU, running out of memory has no class of its own
        if "memory" in str(error).lower():
            return None
        raise UserError(f"models.{run.model}: a training step fails ({str(error).splitlines()[0]}).") from None
