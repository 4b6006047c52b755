"""GradCAM out of pytorch-grad-cam, without what that package imports for its other methods and for pictures.

`import pytorch_grad_cam` loads scikit-learn, matplotlib, torchvision and scipy: 5 s of CPU time, for a run whose maps
take one. GradCAM uses none of them. So its modules are loaded without the package's __init__, with empty modules in
the place of those four; afterwards `sys.modules` is what it was, and any other import of the package is a full one.
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
    """Has any name that is imported from it, as None, so that to use one is an error."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def alone() -> Iterator[None]:
    """In the block, the package's modules can be imported one by one, without UNUSED."""
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


with alone():
    from pytorch_grad_cam.grad_cam import GradCAM
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

__all__ = ["ClassifierOutputTarget", "GradCAM", "scale_cam_image"]
