"""The backbone: the CIFAR ResNet of He et al. 2015 (arXiv 1512.03385, section 4.2), with slots for attention."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntention.config import STAGES


def init_kaiming(module: nn.Module) -> None:
    """Kaiming-normal, fan-out, for all convolution and linear weights, as in the study; biases keep torch's default."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def keep_layout(x: Tensor) -> Tensor:
    """x, whose gradient will be channels_last if x is. Changes no value.

    The shortcut and the mean return gradients in another layout, which slows the layers before them: on an AVX2 CPU a
    training step of a ResNet-8 at 24 px and batch size 32 by 10 %, with attention by 4 to 8 %; of a ResNet-20 at batch
    size 128 not measurably.
    """
    if x.requires_grad and x.is_contiguous(memory_format=torch.channels_last):
        x.register_hook(lambda gradient: gradient.contiguous(memory_format=torch.channels_last))
    return x


def channels_last(net: nn.Module) -> nn.Module:
    """The network, in place, with what is 4-dimensional in that layout; `nn.Module.to` refuses one with a Conv3d."""
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.to(memory_format=torch.channels_last)
    return net


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, optional attention, and a parameter-free shortcut around them (option A)."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.extra = channels - in_channels

    def shortcut(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride): every stride-th pixel; new channels are zero, half in front."""
        if self.stride == 1 and not self.extra:
            return x
        before = self.extra // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))

    def forward(self, x: Tensor, attention: nn.Module | None = None) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if attention is not None:
            y = attention(y)
        return F.relu(y + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """6n + 2 layers in three stages of `width`, 2 `width`, 4 `width` channels at full, half and quarter resolution.

    Names follow torchvision's ResNet (`conv1`, `bn1`, `layer1..3`, `fc`); there is no max-pooling. `attention`, which
    `registry.build` fills, maps a slot to its module: "stage1" is after the stage, "stage1_block0" in a block before
    the shortcut is added. Slots without a module are skipped.
    """

    def __init__(self, depth: int = 20, width: int = 16, in_channels: int = 3, classes: int = 10):
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = self._stage(blocks, width, width, stride=1)
        self.layer2 = self._stage(blocks, width, 2 * width, stride=2)
        self.layer3 = self._stage(blocks, 2 * width, 4 * width, stride=2)
        self.fc = nn.Linear(4 * width, classes)
        self.attention = nn.ModuleDict()
        init_kaiming(self)

    @staticmethod
    def _stage(blocks: int, in_channels: int, channels: int, stride: int) -> nn.Sequential:
        first = BasicBlock(in_channels, channels, stride)
        return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(blocks - 1)))

    @property
    def stages(self) -> dict[str, nn.Sequential]:
        """Stage -> its blocks."""
        return dict(zip(STAGES, (self.layer1, self.layer2, self.layer3), strict=True))

    def slots(self, stage: str) -> list[str]:
        """A stage's slots in the order of the network: one in each block, then one after the stage."""
        return [*(f"{stage}_block{i}" for i in range(len(self.stages[stage]))), stage]

    def parts(self, stage: str) -> list[nn.Module]:
        """A stage's blocks and its attention."""
        return [self.stages[stage], *(self.attention[slot] for slot in self.slots(stage) if slot in self.attention)]

    def end(self, stage: str) -> nn.Module:
        """The module whose output is that of the stage: the attention after it, else its last block."""
        return self.attention[stage] if stage in self.attention else self.stages[stage][-1]

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) normalized images -> (B, classes) logits."""
        attention = dict(self.attention.items())
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        for stage, blocks in self.stages.items():
            *inside, after = self.slots(stage)
            for slot, block in zip(inside, blocks, strict=True):
                x = block(x, attention.get(slot))
            x = keep_layout(x)
            if after in attention:
                x = attention[after](x)
        return self.fc(x.mean(dim=(2, 3)))
