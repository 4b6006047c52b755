"""Devices: which one a step takes, and what is set there. CUDA's own calls are replaced, since there may be no GPU."""

import os

import pytest
import torch
from conftest import ROOT, small_study

from cnntention import device, provenance
from cnntention.cli import main
from cnntention.config import load, parse_study
from cnntention.errors import UserError, explained
from cnntention.models.attention import KINDS, Attention
from cnntention.models.registry import has_deterministic_form
from cnntention.results.records import GpuSettings, Provenance

GPU = torch.device("cuda", 1)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def prepared(monkeypatch):
    """`prepare_torch` for a GPU that is not there; what it set is put back."""
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(os, "environ", {"CUBLAS_WORKSPACE_CONFIG": ":0:0"})
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [backend.fp32_precision for backend in backends]
    yield lambda *args, **settings: (device.prepare_torch(1, GPU, *args, **settings), chosen)[1]
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = True
    for backend, value in zip(backends, before, strict=True):
        backend.fp32_precision = value


def test_only_the_devices_that_are_visible(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7,-1")
    assert device.visible_gpus() == ["5", "7"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert device.visible_gpus() == ["0", "1"]


def test_everything_works_without_a_gpu(no_gpu):
    assert device.choose() == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_a_sentence_at_once(no_gpu, name):
    with pytest.raises(UserError, match=f"^--device: PyTorch finds no {name} device here; say cpu, or auto"):
        device.choose(name)


def test_a_gpu_is_chosen_where_there_is_one(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(device, "visible_gpus", lambda: ["a", "b"])
    monkeypatch.setattr(device.slots, "acquire", lambda gpus, whole: asked.append((gpus, whole)) or 1)
    assert device.choose() == device.choose("cuda", whole=True) == torch.device("cuda", 1)
    assert asked == [(["a", "b"], False), (["a", "b"], True)]


@pytest.mark.parametrize(("precision", "value"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_what_is_set_on_a_gpu(prepared, precision, value):
    assert prepared(precision) == [GPU]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"  # else cuBLAS may not give the same bytes again
    assert torch.backends.cuda.matmul.fp32_precision == value
    assert torch.backends.cudnn.conv.fp32_precision == value
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
    torch.nn.Conv2d(1, 1, 1)(torch.zeros(1, 1, 2, 2))  # at::convolution reads the cuDNN switch on every device
    found = device.settings()
    assert found == {"slots": 1, "mps": False, "tf32": value == "tf32", "deterministic": True}


def test_run_json_says_what_was_set(prepared, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    os.environ["CNNTENTION_GPU_SLOTS"] = "3"
    prepared("fp32", deterministic=False)
    made = Provenance(**provenance.describe(GPU, 1))
    assert made.gpu_settings == GpuSettings(slots=3, mps=False, tf32=False, deterministic=False)
    assert Provenance(**provenance.describe(torch.device("cpu"), 1)).gpu_settings is None


def test_the_cpu_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: pytest.fail("set on a CPU"))
    monkeypatch.setattr(device.precision, "enforce", lambda *_: pytest.fail("set on a CPU"))
    device.prepare_torch(1, torch.device("cpu"), "tf32")


# --- operations without a deterministic kernel ------------------------------------------------------------------

PLUGIN = """
from cnntention.models.attention import Attention, register

@register("putting")
class Putting(Attention):
    def __init__(self, channels, **residual):
        super().__init__(**residual)

    def attend(self, x):
        return x.clone().put_((x[0, 0, 0, :1] * 0).long(), x.flatten()[:1])
"""


@pytest.fixture
def strict(monkeypatch):
    monkeypatch.setattr(device, "prepare_torch", lambda *_, **__: torch.use_deterministic_algorithms(True))
    yield
    torch.use_deterministic_algorithms(False)
    KINDS.pop("putting", None)


def test_an_operation_without_a_deterministic_kernel_is_a_sentence(tmp_path, monkeypatch, capsys, strict):
    """put_ has none on a CPU either, so the error is torch's own."""
    import yaml

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PLUGIN)
    small = small_study()
    small["plugins"] = ["mine.py"]
    small["models"]["looking"]["attention"]["stage3"] = {"kind": "putting"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(small))
    study = parse_study(small)
    data, run = f"data/cues/{study.data_key('cues')}", study.runs()[1]
    assert main(["prepare", "--config", "config.yaml", "--dataset", "cues", "--out", data]) == 0
    assert main(["train", "--config", "config.yaml", "--run", run.folder, "--state", "s.pt", "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "no deterministic GPU kernel for put_" in error
    assert "say `deterministic = False` in the attention module's class" in error
    assert error.count("\n") == 1


def test_other_errors_of_torch_keep_their_traceback():
    assert explained(RuntimeError("CUDA out of memory")) is None


def test_a_last_batch_of_one_image_is_a_sentence():
    with pytest.raises(ValueError, match="more than 1 value per channel") as caught:
        torch.nn.BatchNorm2d(4)(torch.zeros(1, 4, 1, 1))
    assert "choose another batch_size" in str(explained(caught.value))


def test_a_plugin_says_if_it_has_no_deterministic_form(monkeypatch):
    class Loose(Attention):
        deterministic = False

    every = load([ROOT / "config.yaml"]).models
    models = {name: model for name, model in every.items() if name != "zoo-bat"}
    assert all(has_deterministic_form(model) for model in models.values())
    monkeypatch.setitem(KINDS, "self-attention", Loose)
    assert not has_deterministic_form(models["self-attention"])
    assert has_deterministic_form(models["resnet20"])
