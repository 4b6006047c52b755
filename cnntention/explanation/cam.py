"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of chosen test images, by pytorch-grad-cam."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cnntention.config import STAGES
from cnntention.data.augment import Batches
from cnntention.explanation.library import ClassifierOutputTarget, GradCAM, scale_cam_image
from cnntention.models.resnet import ResNet
from cnntention.seeding import generator

TARGETS = ("predicted", "label")
StageMaps = dict[str, np.ndarray]  # stage -> (N, H, W) float32 in [0, 1]


def choose_images(count: int, total: int, seed: int, showcase: tuple[int, ...]) -> list[int]:
    """Positions in the test split: the showcase that lies inside it, then a seeded sample without the showcase."""
    shown = [i for i in dict.fromkeys(showcase) if i < total]
    order = torch.randperm(total, generator=generator(seed, "explanation")).tolist()
    return shown + [i for i in order if i not in set(shown)][:count]


@dataclass(frozen=True)
class Sample:
    """Chosen test images as a network sees them, and what it says of them."""

    index: list[int]
    """Positions in the test split."""
    pixels: np.ndarray
    """(N, C, H, W) uint8."""
    images: Tensor
    """(N, C, H, W) float32, normalized, on the device."""
    labels: Tensor
    """(N,)"""
    predicted: Tensor
    """(N,) the network's first class."""

    def first(self, count: int) -> "Sample":
        return Sample(*(part[:count] for part in vars(self).values()))

    def at(self, places: list[int]) -> "Sample":
        """Those at these places of the sample."""
        index, *arrays = vars(self).values()
        return Sample([index[i] for i in places], *(array[places] for array in arrays))


@torch.no_grad()
def sample(model: nn.Module, batches: Batches, index: list[int], batch_size: int = 128) -> Sample:
    """The images at `index`, with the predictions of the network in evaluation mode."""
    model.eval()
    at = torch.tensor(index, device=batches.device)
    pixels = batches.plain(at)
    images = batches.normalized(pixels)
    predicted = torch.cat([model(part).argmax(1) for part in images.split(batch_size)])
    return Sample(index, pixels.permute(0, 3, 1, 2).cpu().numpy(), images, batches.labels[at], predicted)


class StagedGradCAM(GradCAM):
    """pytorch-grad-cam with several layers at once, whose maps it would average, kept apart: one backward pass."""

    def aggregate_multi_layers(self, cam_per_target_layer: list[np.ndarray]) -> np.ndarray:
        """(stages, B, H, W), each as the library returns it for this layer alone."""
        return np.stack([super(StagedGradCAM, self).aggregate_multi_layers([cam]) for cam in cam_per_target_layer])


@contextmanager
def gradients_from(layer: nn.Module, model: nn.Module) -> Iterator[None]:
    """In the block a backward pass ends at the layer's output: none before it, and none of the weights."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begin = layer.register_forward_hook(lambda _, __, output: output.requires_grad_())
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        begin.remove()
        for parameter in learned:
            parameter.requires_grad_()


def grad_cam(model: ResNet, images: Tensor, classes: Tensor, batch_size: int = 32) -> StageMaps:
    """Maps of (N, C, H, W) normalized images for a class each.

    The layer is the stage's output after its attention module, so that all models are compared at the same place.
    pytorch-grad-cam scales each map to [0, 1]: values of two images cannot be compared. A map without positive
    evidence is all zero.
    """
    layers = [model.end(stage) for stage in STAGES]
    maps = np.empty((len(layers), len(images), *images.shape[2:]), np.float32)
    with gradients_from(layers[0], model):
        cam = StagedGradCAM(model=model, target_layers=layers)
        try:  # not `with`, where the library swallows every IndexError
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                targets = [ClassifierOutputTarget(c) for c in classes[part].tolist()]
                maps[:, part] = cam(input_tensor=images[part], targets=targets)
        finally:
            cam.activations_and_grads.release()
    return dict(zip(STAGES, maps, strict=True))


def both_targets(model: ResNet, chosen: Sample) -> dict[str, StageMaps]:
    """Maps for the predicted and for the true class, which is the same where the sample's prediction is right."""
    predicted = grad_cam(model, chosen.images, chosen.predicted)
    label = {stage: maps.copy() for stage, maps in predicted.items()}
    wrong = chosen.predicted != chosen.labels
    if wrong.any():
        for stage, maps in grad_cam(model, chosen.images[wrong], chosen.labels[wrong]).items():
            label[stage][wrong.cpu().numpy()] = maps
    return dict(zip(TARGETS, (predicted, label), strict=True))


def picked(maps: dict[str, StageMaps], places: list[int] | slice) -> dict[str, StageMaps]:
    """The maps, by target and stage, of the images at these places."""
    return {target: {stage: of[places] for stage, of in stages.items()} for target, stages in maps.items()}


def grid(stage: str, shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a stage's features for images of `shape`: stages 2 and 3 halve them, rounding up."""
    stride = 2 ** STAGES.index(stage)
    return -(-shape[0] // stride), -(-shape[1] // stride)


def through_grid(masks: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(N, H, W) masks as a perfect map of `cells` would show them: pooled to the cells, resized as Grad-CAM's maps."""
    return scale_cam_image(pooled(masks, cells), masks.shape[:0:-1])


def pooled(masks: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(N, H, W) bool -> (N, *cells) float32: the share of each cell that is inside."""
    return nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).float(), cells).numpy()


def explain(model: ResNet, batches: Batches, chosen: list[int]) -> dict[str, np.ndarray]:
    """The arrays of `stored` for the chosen images."""
    found = sample(model, batches, chosen)
    return stored(found, both_targets(model, found))


def stored(found: Sample, maps: dict[str, StageMaps]) -> dict[str, np.ndarray]:
    """A sample with its maps for the predicted and for the true class, as they are stored.

    Returns images (N, C, H, W) uint8, labels and predicted (N,), and `cam.<stage>.<predicted|label>`
    (N, H, W) uint8, a map's [0, 1] as 0..255.
    """
    result = {"images": found.pixels, "labels": found.labels.cpu().numpy(), "predicted": found.predicted.cpu().numpy()}
    for stage in STAGES:
        for target in TARGETS:
            result[f"cam.{stage}.{target}"] = np.rint(maps[target][stage] * 255).astype(np.uint8)
    return result
