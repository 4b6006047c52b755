"""Precision: which devices have a native form of it, and what is said and recorded where one has not."""

import pytest
import torch
from conftest import small_study

from cnntention import precision, provenance
from cnntention.config import parse_study
from cnntention.data.datasets import prepare
from cnntention.results.paths import data_folder
from cnntention.results.records import Precision, Provenance, RunRecord
from cnntention.training import command

CPU, GPU, MPS = (torch.device(name) for name in ("cpu", "cuda", "mps"))


@pytest.fixture
def cpu(monkeypatch):
    """Sets what torch finds the CPU to be."""
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)

    def have(*capabilities, capability="AVX512"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True))
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)

    return have


@pytest.mark.parametrize(
    ("capabilities", "native"),
    [
        (["avx2"], False),
        (["avx512_f", "avx512_bw", "avx512_vnni"], False),
        (["avx512_f", "avx512_bf16"], True),
        (["amx_tile", "amx_bf16"], True),
        (["neon", "bf16"], True),
        (["neon"], False),
    ],
)
def test_which_cpus_have_bf16(cpu, capabilities, native):
    cpu(*capabilities)
    assert precision.native("bf16", CPU) is native
    assert precision.native("fp32", CPU)
    assert not precision.native("tf32", CPU)


def test_a_processor_that_is_told_to_be_an_older_one(cpu, monkeypatch):
    cpu("avx512_f", "avx512_bf16")
    for limit, native in {"AVX2": False, "avx512_core": False, "AVX512_CORE_BF16": True, "DEFAULT": True}.items():
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        assert precision.native("bf16", CPU) is native, limit
    cpu("avx512_f", "avx512_bf16", capability="AVX2")  # ATEN_CPU_CAPABILITY=avx2
    assert not precision.native("bf16", CPU)


@pytest.mark.parametrize(("major", "native"), [(7, False), (8, True), (9, True)])
def test_gpus_from_compute_capability_8_on(monkeypatch, major, native):
    class Properties:
        pass

    Properties.major = major
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert [precision.native(name, GPU) for name in ("fp32", "tf32", "bf16")] == [True, native, native]


@pytest.mark.parametrize(("chip", "native"), [("Apple M1 Pro", False), ("Apple M2", False), ("Apple M3 Max", True)])
def test_apples_gpus(monkeypatch, chip, native):
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: chip)
    assert precision.native("bf16", MPS) is native
    assert not precision.native("tf32", MPS)


def test_the_warning_names_the_key_and_the_cost(cpu):
    cpu("avx2")
    said = precision.warning("brief", "bf16", CPU)
    assert said.startswith("recipes.brief.precision: this CPU has no native bf16 and emulates it, 6 to 12 times slower")
    assert "computes tf32 as plain fp32, at the same speed" in precision.warning("brief", "tf32", CPU)
    assert precision.warning("brief", "fp32", CPU) is None


def test_a_run_says_it_first_and_records_it(tmp_path, monkeypatch, capsys, cpu):
    cpu("avx2")
    monkeypatch.chdir(tmp_path)
    small = small_study()
    small["recipes"]["brief"] |= {"precision": "tf32", "epochs": 1}
    study = parse_study(small)
    (run, _) = study.runs()
    folder = tmp_path / data_folder(study, "cues")
    prepare("cues", study.datasets["cues"], {}, folder)
    command.train_run(study, run, tmp_path / "state.pt", 1, "cpu")
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{run.name}: recipes.brief.precision: this CPU has no TF32")
    assert not any("TF32" in line for line in rest)
    made = RunRecord.read(f"{run.folder}/run.json").precision
    assert (made.asked, made.native) == ("tf32", False)


def test_the_report_shows_it_beside_the_hardware():
    facts = {"commit": "c", "python": "3", "libraries": {}, "system": "s", "cpu": "a CPU", "cores": 2, "threads": 2}
    facts |= {"isa": "AVX2", "device": "cpu", "gpu": None, "gpu_settings": None}
    made, gpu = Provenance(**facts), Provenance(**facts | {"gpu": "Tesla T4"})
    assert provenance.hardware(made, Precision(asked="bf16", native=False)) == "a CPU, 2 threads, bf16 emulated"
    assert provenance.hardware(made, Precision(asked="bf16", native=True)) == "a CPU, 2 threads"
    assert provenance.hardware(gpu, Precision(asked="tf32", native=False)) == "Tesla T4, tf32 as fp32"
