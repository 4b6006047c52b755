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


def choose_images(count: int, total: int, seed: int, showcase: tuple[int, ...]) -> list[int]:
    """Indices in the test split: the showcase, as far as it exists, then a seeded sample of the other images."""
    shown = [i for i in dict.fromkeys(showcase) if i < total]
    order = torch.randperm(total, generator=generator(seed, "explanation")).tolist()
    return shown + [i for i in order if i not in set(shown)][:count]


@dataclass(frozen=True)
class Sample:
    """Chosen test images, and a network's predictions for them."""

    index: list[int]
    """Indices in the test split."""
    pixels: np.ndarray
    """(N, C, H, W) uint8."""
    images: Tensor
    """(N, C, H, W) float32, normalized, on the device."""
    labels: Tensor
    """(N,)"""
    predicted: Tensor
    """(N,) the predicted classes."""

    def first(self, count: int) -> "Sample":
        return Sample(*(part[:count] for part in vars(self).values()))

    def at(self, places: list[int]) -> "Sample":
        """The images at these positions of the sample."""
        index, *arrays = vars(self).values()
        return Sample([index[i] for i in places], *(array[places] for array in arrays))


@torch.no_grad()
def sample(model: nn.Module, batches: Batches, index: list[int], batch_size: int = 128) -> Sample:
    """The images at `index` with the network's predictions; sets evaluation mode."""
    model.eval()
    at = torch.tensor(index, device=batches.device)
    pixels = batches.plain(at)
    images = batches.normalized(pixels)
    predicted = torch.cat([model(part).argmax(1) for part in images.split(batch_size)])
    return Sample(index, pixels.permute(0, 3, 1, 2).cpu().numpy(), images, batches.labels[at], predicted)


@contextmanager
def gradients_from(layer: nn.Module, model: nn.Module) -> Iterator[None]:
    """In the block a backward pass stops at the layer's output, and computes no gradients of weights."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begin = layer.register_forward_hook(lambda _, __, output: output.requires_grad_())
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        begin.remove()
        for parameter in trainable:
            parameter.requires_grad_()


def grad_cam(model: ResNet, images: Tensor, classes: Tensor, batch_size: int = 32) -> np.ndarray:
    """(N, H, W) float32 maps of (N, C, H, W) normalized images, each for one class.

    The layer is the last stage's output after its attention module, so all models are compared at the same layer.
    pytorch-grad-cam scales each map to [0, 1], so values of two images cannot be compared. A map without positive
    evidence is all zero.
    """
    maps, layer = np.empty((len(images), *images.shape[2:]), np.float32), model.end(STAGES[-1])
    with gradients_from(layer, model):
        cam = GradCAM(model=model, target_layers=[layer])
        try:  # not `with cam`, which swallows every IndexError
            for start in range(0, len(images), batch_size):
                part = slice(start, start + batch_size)
                targets = [ClassifierOutputTarget(c) for c in classes[part].tolist()]
                maps[part] = cam(input_tensor=images[part], targets=targets)
        finally:
            cam.activations_and_grads.release()
    return maps


def grid(shape: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the last stage's features for images of `shape`: halved twice, rounded up."""
    stride = 2 ** (len(STAGES) - 1)
    return -(-shape[0] // stride), -(-shape[1] // stride)


def through_grid(masks: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(N, H, W) masks at the resolution of a map of `cells`: pooled to the cells, then resized as Grad-CAM's maps."""
    return scale_cam_image(pooled(masks, cells), masks.shape[:0:-1])


def pooled(masks: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    """(N, H, W) bool -> (N, *cells) float32: the share of each cell that is in the mask."""
    return nn.functional.adaptive_avg_pool2d(torch.from_numpy(masks).float(), cells).numpy()


def stored(chosen: Sample, maps: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays to store: images (N, C, H, W) uint8, labels and predicted (N,), and cam (N, H, W) uint8, maps * 255."""
    return {
        "images": chosen.pixels,
        "labels": chosen.labels.cpu().numpy(),
        "predicted": chosen.predicted.cpu().numpy(),
        "cam": np.rint(maps * 255).astype(np.uint8),
    }
