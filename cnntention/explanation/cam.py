"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of chosen test images, by pytorch-grad-cam."""

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from cnntention.data.augment import Batches
from cnntention.seeding import generator

SLOTS = {"stage1": "att1", "stage2": "att2", "stage3": "att3"}


def choose_images(count: int, total: int, seed: int, showcase: tuple[int, ...]) -> list[int]:
    """Positions in the test split: the showcase that lies inside it, then a seeded sample without the showcase."""
    shown = [i for i in dict.fromkeys(showcase) if i < total]
    order = torch.randperm(total, generator=generator(seed, "explanation")).tolist()
    return shown + [i for i in order if i not in set(shown)][:count]


def grad_cam(model: nn.Module, images: Tensor, classes: Tensor, stage: str) -> np.ndarray:
    """(B, H, W) float32 maps in [0, 1] for (B, C, H, W) normalized images and a class for each.

    The layer is the stage's output after its attention module, so that all models are compared at the same place.
    pytorch-grad-cam scales each map to [0, 1]: values of two images cannot be compared. A map without positive
    evidence is all zero.
    """
    layer = getattr(model, SLOTS[stage])
    with GradCAM(model=model, target_layers=[layer]) as cam:
        return cam(input_tensor=images, targets=[ClassifierOutputTarget(int(c)) for c in classes])


def explain(model: nn.Module, batches: Batches, chosen: list[int], batch_size: int = 32) -> dict[str, np.ndarray]:
    """Grad-CAM maps of the chosen images, per stage, for the predicted and for the true class.

    Returns images (N, C, H, W) uint8, labels and predicted (N,), and `cam.<stage>.<predicted|label>`
    (N, H, W) uint8, a map's [0, 1] as 0..255.
    """
    model.eval()
    index = torch.tensor(chosen, device=batches.device)
    pixels = batches.plain(index)
    images, labels = batches.normalized(pixels), batches.labels[index]
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in images.split(batch_size)])
    result = {
        "images": pixels.permute(0, 3, 1, 2).cpu().numpy(),
        "labels": labels.cpu().numpy(),
        "predicted": predicted.cpu().numpy(),
    }
    for stage in SLOTS:
        for name, target in (("predicted", predicted), ("label", labels)):
            parts = zip(images.split(batch_size), target.split(batch_size), strict=True)
            maps = np.concatenate([grad_cam(model, x, c, stage) for x, c in parts])
            result[f"cam.{stage}.{name}"] = np.rint(maps * 255).astype(np.uint8)
    model.zero_grad(set_to_none=True)
    return result


def summary(result: dict[str, np.ndarray]) -> dict:
    """What to know of the maps before looking: how many are empty, and how wide they are."""
    maps = {name: value for name, value in result.items() if name.startswith("cam.")}
    return {
        name.removeprefix("cam."): {
            "empty": int((value.reshape(len(value), -1).max(axis=1) == 0).sum()),
            "mean": float(value.mean() / 255),
        }
        for name, value in maps.items()
    }
