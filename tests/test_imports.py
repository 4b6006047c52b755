"""What a step does not use, it does not import: a run starts Python four times."""

import subprocess
import sys

import pytest

SLOW = {"pandas", "matplotlib", "sklearn", "scipy", "statsmodels", "torchvision", "torch._dynamo", "sympy", "yaml"}
STEPS = {
    "cnntention": {"torch", "numpy", "pydantic"},
    "cnntention.cli": {"torch", "numpy"},
    "cnntention.status.command": {"torch", "numpy"},
    "cnntention.training.command": {"tqdm.auto"},
    "cnntention.evaluation.command": {"cv2"},
    "cnntention.evaluation.diagnose": {"cv2"},
    "cnntention.explanation.command": {"pytorch_grad_cam"},
    "cnntention.prediction.command": {"pytorch_grad_cam"},
}


def loaded(code: str) -> set[str]:
    """The modules of a new interpreter after it has run the code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("step", STEPS)
def test_a_step_imports_nothing_that_it_does_not_use(step):
    found = loaded(f"import {step}")
    assert step in found
    assert not found & (SLOW | STEPS[step])


def test_training_steps_do_not_import_the_compiler():
    code = """
import torch
from cnntention.config import Optimizer
from cnntention.training.recipe import make_optimizer
for name in ("sgd", "adam", "adamw"):
    net = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(net, Optimizer(name=name, lr=0.1))
    optimizer.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
"""
    assert not loaded(code) & SLOW


def test_grad_cam_is_the_librarys_and_leaves_the_library_as_it_is():
    code = """
from cnntention.explanation.library import GradCAM, scale_cam_image
import pytorch_grad_cam, pytorch_grad_cam.utils.image, pytorch_grad_cam.metrics.road, matplotlib.pyplot
for own, full in ((GradCAM, pytorch_grad_cam.GradCAM), (scale_cam_image, pytorch_grad_cam.utils.image.scale_cam_image)):
    assert (own.__module__, own.__qualname__) == (full.__module__, full.__qualname__) and own is not full
assert pytorch_grad_cam.utils.image.plt is matplotlib.pyplot
assert pytorch_grad_cam.KPCA_CAM
"""
    assert {"pytorch_grad_cam.kpca_cam", "sklearn.decomposition", "scipy.ndimage"} <= loaded(code)
