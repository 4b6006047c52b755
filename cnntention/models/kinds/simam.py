"""SimAM (Yang et al. 2021, ICML, PMLR 139:11863)."""

from torch import Tensor

from cnntention.models.attention import Attention, register


@register("simam")
class Simam(Attention):
    """y = x sigmoid(1 / e) with e = 4 (var + lambda) / ((x - mean)^2 + 2 var + 2 lambda), eq. 5 and 6.

    Mean and variance are over a channel's HW places. Differs from the published code, which divides the variance by
    HW - 1.
    """

    def __init__(self, channels: int, e_lambda: float = 1e-4, residual: str = "none", **gate):
        super().__init__(residual=residual, **gate)
        self.e_lambda = e_lambda

    def attend(self, x: Tensor) -> Tensor:
        distance = (x - x.mean(dim=(2, 3), keepdim=True)).square()
        variance = distance.mean(dim=(2, 3), keepdim=True)
        return x * (distance / (4 * (variance + self.e_lambda)) + 0.5).sigmoid()  # 1 / e
