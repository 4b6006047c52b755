"""Bottleneck attention module (Park et al. 2018, BMVC, arXiv 1807.06514)."""

from torch import Tensor, nn

from cnntention.models.attention import Attention, register
from cnntention.models.resnet import init_kaiming


@register("bam")
class Bam(Attention):
    """y = x + x sigmoid(channel(x) + place(x)), eq. 1 to 5; the residual is the paper's own.

    Hidden layers have channels // reduction channels, a BatchNorm and a ReLU each, as in the published code. Each
    branch ends in a BatchNorm, as in the equations, which the published code does not have. Those of pooled features
    need batches of two images or more in training.
    """

    def __init__(self, channels: int, reduction: int = 16, dilation: int = 4, residual: str = "plain", **gate):
        super().__init__(residual=residual, **gate)
        hidden = channels // reduction

        def layer(inputs: int, outputs: int, side: int = 1) -> list[nn.Module]:
            wide = {"padding": dilation, "dilation": dilation} if side > 1 else {}
            return [nn.Conv2d(inputs, outputs, side, **wide), nn.BatchNorm2d(outputs)]

        relu = nn.ReLU()
        self.channel = nn.Sequential(*layer(channels, hidden), relu, *layer(hidden, channels))
        middle = [*layer(hidden, hidden, 3), relu, *layer(hidden, hidden, 3), relu]
        self.place = nn.Sequential(*layer(channels, hidden), relu, *middle, *layer(hidden, 1))
        init_kaiming(self)

    def attend(self, x: Tensor) -> Tensor:
        channel = self.channel(x.mean(dim=(2, 3), keepdim=True))  # (B, C, 1, 1)
        return x * (channel + self.place(x)).sigmoid()  # place: (B, 1, H, W)
