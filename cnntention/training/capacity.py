"""Whether attention's scores fit into memory, said before a run is trained.

A module that keeps the score of each pair of places needs memory that grows with the fourth power of an image's side.
Fused kernels keep none in training, but the attention maps of an examination are kept always.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel
from torch import Tensor

from cnntention import device
from cnntention.config import STAGES, Recipe, Run, Study
from cnntention.data.augment import Batches
from cnntention.errors import UserError
from cnntention.models.registry import module_of
from cnntention.training.loop import autocast

ENOUGH = 32 * 32  # places: for smaller images there always was memory enough
SIDE, IMAGES = 17, 2  # of a trial: only scores have a multiple of 17^4 numbers; a BatchNorm needs two images
Needs = Sequence[tuple[str, float]]
"""(stage, bytes) of each module."""


@dataclass(frozen=True)
class Scores:
    """Bytes of a module for each image and each pair of places."""

    kept: float
    """For the backward pass."""
    mapped: float
    """By `maps`."""


def require(study: Study, run: Run, batches: Batches, where: torch.device) -> None:
    """Raise UserError if the scores that a training step, or the maps of one image, keep at the same time do not fit.

    It estimates too little, never too much: gradients, activations and intermediate results come on top.
    """
    trained, shown = batches.crop, (batches.height, batches.width)
    if max(h * w for h, w in (trained, shown)) <= ENOUGH:
        return
    model, recipe = study.models[run.model], study.recipes[run.recipe]
    batch, each = min(recipe.batch_size, len(batches)), 1 if model.placement == "stage" else (model.depth - 2) // 6
    kept, mapped = [], []
    for name, slot in model.modules.items():
        stage = STAGES.index(name)
        for options in slot:
            scores = measured(options, model.width * 2**stage, recipe, where)
            kept += each * [(name, batch * scores.kept * places(trained, stage) ** 2)]
            mapped += each * [(name, scores.mapped * places(shown, stage) ** 2)]
    lower = f"; or lower recipes.{run.recipe}.batch_size"
    refuse(run, kept, 1, f"keeps the scores of a batch of {batch} images for the backward pass", lower, where)
    refuse(run, mapped, 2, "is examined by its attention maps, of an image at a time", "", where)  # times distances


def refuse(run: Run, needs: Needs, copies: int, what: str, also: str, where: torch.device) -> None:
    """Raise UserError if there is less memory than all modules need at once, or `copies` of the largest."""
    stage, largest = max(needs, key=lambda need: need[1], default=("", 0))
    need, free = max(sum(size for _, size in needs), copies * largest), device.free_memory(where)
    if need > free:
        raise UserError(
            f"models.{run.model}.attention.{stage}: on {run.dataset} this model {what}, which takes at least "
            f"{need / 2**30:.1f} GiB, and {where.type} has {free / 2**30:.1f} GiB free; drop this stage, or use fewer "
            f"heads or smaller images{also}."
        )


def places(shape: tuple[int, int], stage: int) -> int:
    """Of the features of stage 0, 1 or 2."""
    height, width = (-(-side // 2**stage) for side in shape)
    return height * width


def measured(options: BaseModel, channels: int, recipe: Recipe, where: torch.device) -> Scores:
    """Of a module for small features, in a trial; 0 for one that does not work on these."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.numel() and tensor.numel() % SIDE**4 == 0:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.random.fork_rng([where] if where.type == "cuda" else []):
        try:
            module = module_of(options, (channels, SIDE, SIDE)).to(where).train()
            x = torch.ones(IMAGES, channels, SIDE, SIDE, device=where, requires_grad=True)
            with (
                torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
                autocast(where, recipe.precision),
            ):
                module(x)
            with torch.no_grad():
                maps = module.eval().maps(x).get("attention") if hasattr(module, "maps") else None
        except Exception:  # a plugin's, or timm's: it may be made for other sizes
            return Scores(0, 0)
    pairs = IMAGES * SIDE**4
    shown = maps.numel() * maps.element_size() if maps is not None else 0
    return Scores(sum(each.numel() * each.element_size() for each in kept.values()) / pairs, shown / pairs)
