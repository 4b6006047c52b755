"""Whether attention's scores fit into memory, said before a run is trained.

A module that keeps the score of each pair of places needs memory that grows with the fourth power of an image's side.
Fused kernels keep none in training, but the attention maps of an examination are kept always.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnntention import device
from cnntention.config import STAGES, Recipe, Run, Study
from cnntention.data.augment import Batches
from cnntention.errors import UserError
from cnntention.models.registry import attention_modules
from cnntention.models.resnet import ResNet
from cnntention.training.loop import autocast

ENOUGH = 32 * 32  # places: for smaller images there always was memory enough
SIDE, IMAGES = 17, 2  # of a trial: only scores have a multiple of 17^4 numbers; a BatchNorm needs two images


@dataclass(frozen=True)
class Scores:
    """Bytes of a module for each image and each pair of places."""

    kept: float
    """For the backward pass."""
    mapped: float
    """By `maps`."""


def require(study: Study, run: Run, net: ResNet, batches: Batches, where: torch.device) -> None:
    """Raise UserError if the scores that a training step, or the maps of one image, keep at the same time do not fit.

    It estimates too little, never too much: gradients, activations and intermediate results come on top.
    """
    trained, shown = batches.crop, (batches.height, batches.width)
    if max(h * w for h, w in (trained, shown)) <= ENOUGH:
        return
    recipe, width = study.recipes[run.recipe], study.models[run.model].width
    batch = min(recipe.batch_size, len(batches))
    kept, mapped = {}, {}
    for name, module in attention_modules(net):
        stage = STAGES.index(name.split("_")[0])
        scores = measured(module, width * 2**stage, recipe, where)
        kept[name] = batch * scores.kept * places(trained, stage) ** 2
        mapped[name] = scores.mapped * places(shown, stage) ** 2
    lower = f"; or lower recipes.{run.recipe}.batch_size"
    refuse(run, kept, 1, f"keeps the scores of a batch of {batch} images for the backward pass", lower, where)
    refuse(run, mapped, 2, "is examined by its attention maps, of an image at a time", "", where)  # times distances


def refuse(run: Run, needs: dict[str, float], copies: int, what: str, also: str, where: torch.device) -> None:
    """Raise UserError if there is less memory than all modules need at once, or `copies` of the largest."""
    if not needs:
        return
    largest = max(needs, key=needs.get)
    need, free = max(sum(needs.values()), copies * needs[largest]), device.free_memory(where)
    if need <= free:
        return
    raise UserError(
        f"models.{run.model}.attention.{largest.split('_')[0]}: on {run.dataset} this model {what}, which takes at "
        f"least {need / 2**30:.1f} GiB, and {where.type} has {free / 2**30:.1f} GiB free; drop this stage, or use "
        f"fewer heads or smaller images{also}."
    )


def places(shape: tuple[int, int], stage: int) -> int:
    """Of the features of stage 0, 1 or 2."""
    height, width = (-(-side // 2**stage) for side in shape)
    return height * width


def measured(module: nn.Module, channels: int, recipe: Recipe, where: torch.device) -> Scores:
    """Of a copy, in a trial on small features; 0 for a module that does not work on these."""
    module, kept = copy.deepcopy(module).train(), {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.numel() and tensor.numel() % SIDE**4 == 0:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    devices = [where] if where.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        try:
            x = torch.ones(IMAGES, channels, SIDE, SIDE, device=where, requires_grad=True)
            with autocast(where, recipe.precision):
                y = module(x)
            sizes = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
            del y
            with torch.no_grad():
                maps = module.eval().maps(x).get("attention") if hasattr(module, "maps") else None
        except Exception:  # a plugin's: it may be made for one size
            return Scores(0, 0)
    shown = maps.numel() * maps.element_size() if maps is not None else 0
    return Scores(sizes / IMAGES / SIDE**4, shown / IMAGES / SIDE**4)
