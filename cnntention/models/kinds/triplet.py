"""Triplet attention (Misra et al. 2021, WACV, arXiv 2010.03045)."""

import torch
from torch import Tensor, nn

from cnntention.models.attention import Attention, register
from cnntention.models.resnet import init_kaiming


class Branch(nn.Module):
    """A gate over two of the dimensions: a convolution over maximum and mean along the third, then BatchNorm."""

    def __init__(self, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, M, N) -> (B, 1, M, N) in (0, 1)."""
        pooled = torch.cat([x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)], dim=1)
        return self.bn(self.conv(pooled)).sigmoid()


@register("triplet")
class Triplet(Attention):
    """y = x (g_cw + g_ch + g_hw) / 3, eq. 1 to 5; each gate sees one pair of channel, row and column."""

    def __init__(self, channels: int, kernel_size: int = 7, residual: str = "none", **gate):
        super().__init__(residual=residual, **gate)
        self.cw, self.ch, self.hw = (Branch(kernel_size) for _ in range(3))
        init_kaiming(self)

    def attend(self, x: Tensor) -> Tensor:
        cw = self.cw(x.transpose(1, 2)).transpose(1, 2)  # (B, H, C, W) -> (B, C, 1, W)
        ch = self.ch(x.transpose(1, 3)).transpose(1, 3)  # (B, W, H, C) -> (B, C, H, 1)
        return x * (cw + ch + self.hw(x)) / 3
