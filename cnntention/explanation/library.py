"""GradCAM from pytorch-grad-cam, without the slow imports of that package.

`import pytorch_grad_cam` loads scikit-learn, matplotlib, torchvision and scipy: 5 s of CPU time, where a run's maps
take 1 s. GradCAM uses none of them. So its modules are loaded without the package's __init__, with empty modules
instead of those four. Afterwards `sys.modules` is restored, and any other import of the package is a full one.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from types import ModuleType

PACKAGE = "pytorch_grad_cam"
UNUSED = (
    "matplotlib",
    "matplotlib.lines",
    "scipy",
    "scipy.ndimage",
    "sklearn",
    "sklearn.decomposition",
    "torchvision",
    "torchvision.transforms",
)


class Empty(ModuleType):
    """Any name imported from it is None, so using it is an error."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def without_unused() -> Iterator[None]:
    """In the block the package's modules can be imported one by one, without UNUSED."""
    before = dict(sys.modules)
    sys.modules |= {name: Empty(name) for name in UNUSED if name not in before}
    sys.modules.setdefault(PACKAGE, module_from_spec(find_spec(PACKAGE)))  # its __init__ has not run
    try:
        yield
    finally:
        added = [name for name in sys.modules if name not in before]
        for name in added:
            if name in UNUSED or name.split(".")[0] == PACKAGE:
                del sys.modules[name]


with without_unused():
    from pytorch_grad_cam.grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

__all__ = ["ClassifierOutputTarget", "GradCAM", "scale_cam_image"]
