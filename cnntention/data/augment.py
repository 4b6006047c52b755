"""Batches from a split that is on the device as uint8: shuffled, cropped, flipped and normalized there.

Random numbers come from CPU generators seeded by seed, purpose and epoch. So they are the same on every device, and
resuming needs no generator state.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cnntention.config import Augmentation, Dataset
from cnntention.data.datasets import read_card, read_split
from cnntention.errors import UserError
from cnntention.seeding import generator


class Batches:
    """A split on a device.

    images: (N, C, H, W) uint8; labels: (N,) integers; mean, sd: per channel, for pixels in [0, 1]; extras: further
    arrays of length N, kept on the CPU (index; for CueMatch mask and factors.*).
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        mean: list[float],
        sd: list[float],
        device: torch.device,
        augment: Augmentation | None = None,
        extras: dict[str, np.ndarray] | None = None,
    ):
        augment = augment or Augmentation()
        self.flip, self.pad = augment.flip, augment.crop_padding
        pixels = F.pad(torch.from_numpy(images), (self.pad,) * 4)
        # NHWC: a gathered batch is then channels_last, in which convolutions are fast
        self.pixels = pixels.permute(0, 2, 3, 1).contiguous().to(device)
        self.labels = torch.from_numpy(labels).long().to(device)
        self.height, self.width = images.shape[2:]
        self.crop = (augment.crop_size,) * 2 if augment.crop_size else (self.height, self.width)
        self.device = device
        self.extras = extras or {}
        self.scale = 1 / (255 * torch.tensor(sd, dtype=torch.float32, device=device))
        self.shift = -torch.tensor(mean, dtype=torch.float32, device=device) * 255 * self.scale

    def __len__(self) -> int:
        return len(self.labels)

    def normalized(self, pixels: Tensor) -> Tensor:
        """(B, H, W, C) uint8 -> (B, C, H, W) float32, channels_last."""
        return (pixels.float() * self.scale + self.shift).permute(0, 3, 1, 2)

    def shuffled(self, batch_size: int, seed: int, epoch: int, done: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of augmented training batches, without the first `done`; the last may be smaller."""
        order = torch.randperm(len(self), generator=generator(seed, f"order/{epoch}")).to(self.device)
        draws = generator(seed, f"augment/{epoch}")
        size = (len(self),)
        rows, columns = (n + 2 * self.pad - c + 1 for n, c in zip((self.height, self.width), self.crop, strict=True))
        top = torch.randint(rows, size, generator=draws).to(self.device)
        left = torch.randint(columns, size, generator=draws).to(self.device)
        mirror = torch.rand(size, generator=draws).to(self.device) < (0.5 if self.flip else 0.0)
        for start in range(done * batch_size, len(self), batch_size):
            part = slice(start, start + batch_size)
            index = order[part]
            if self.pad or self.flip or self.crop != (self.height, self.width):
                pixels = self._crop(index, top[part], left[part], mirror[part])
            else:
                pixels = self.pixels[index]
            yield self.normalized(pixels), self.labels[index]

    def _crop(self, index: Tensor, top: Tensor, left: Tensor, mirror: Tensor) -> Tensor:
        """Crop and mirror in one gather: (B,) image indices, offsets and flags -> (B, crop H, crop W, C) uint8."""
        rows = top[:, None] + torch.arange(self.crop[0], device=self.device)  # (B, H)
        across = torch.arange(self.crop[1], device=self.device)
        columns = left[:, None] + torch.where(mirror[:, None], across.flip(0), across)  # (B, W)
        return self.pixels[index[:, None, None], rows[:, :, None], columns[:, None, :]]

    def plain(self, index: Tensor | slice) -> Tensor:
        """Images without padding or augmentation: (B, H, W, C) uint8."""
        return self.pixels[index, self.pad : self.pad + self.height, self.pad : self.pad + self.width]

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches in the split's order, without augmentation."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalized(self.plain(part)), self.labels[part]


def load_batches(folder: str | Path, dataset: Dataset, split: str, device: torch.device) -> Batches:
    """A prepared split on the device, with the dataset's normalization; only `train` is augmented."""
    card, part = read_card(folder, dataset), read_split(folder, split)
    fixed = dataset.normalize
    mean, sd = (fixed.mean, fixed.sd) if fixed else (card["mean"], card["sd"])
    channels = part.images.shape[1]
    if len(mean) != channels or len(sd) != channels:
        raise UserError(
            f"datasets.{card['name']}.normalize: has {len(mean)} means and {len(sd)} sds, "
            f"but the images have {channels} channels."
        )
    augment = dataset.augment if split == "train" else None
    if augment and augment.crop_size and augment.crop_size > min(part.images.shape[2:]) + 2 * augment.crop_padding:
        raise UserError(
            f"datasets.{card['name']}.augment: a crop of {augment.crop_size} px does not fit images of "
            f"{min(part.images.shape[2:])} px padded by {augment.crop_padding}; raise crop_padding."
        )
    return Batches(part.images, part.labels, list(mean), list(sd), device, augment, part.extras)
