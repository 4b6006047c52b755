"""Every question at two scales: in config.yaml with seeds enough for its claims, in cpu.yaml for two cores."""

import re
import shutil
import subprocess
from typing import get_args

import pytest
from conftest import ROOT

from cnntention.config import ATTENTION_OPTIONS, Study, load
from cnntention.config.attention import TimmName
from cnntention.config.claims import cases
from cnntention.config.study import Run
from cnntention.models.registry import build
from cnntention.profiling.measure import count_macs
from cnntention.report.zoo import named
from cnntention.status.speed import seconds_an_image

FULL = load([ROOT / "config.yaml"])
CPU = load([ROOT / "config.yaml", ROOT / "workflow/studies/cpu.yaml"])
SCALES = {"full": FULL, "cpu": CPU}
SMALL = CPU.study.experiments  # the others are not cut down
RECIPES = sorted({run.recipe for run in CPU.runs()} & set(FULL.recipes))


def training_seconds(study: Study, run: Run) -> float:
    dataset = study.datasets[run.dataset]
    side = dataset.augment.crop_size or (28 if dataset.source.format == "idx" else 32)
    images = study.recipes[run.recipe].epochs * (dataset.train_images or 50_000)
    return images * seconds_an_image(study.models[run.model], side)


@pytest.mark.parametrize("name", SMALL)
def test_at_cpu_scale_two_cores_train_an_experiment_in_an_hour(name):
    runs = CPU.runs_of(name)
    assert max(CPU.recipes[run.recipe].epochs for run in runs) <= 8
    assert max(CPU.datasets[run.dataset].train_images or 50_000 for run in runs) <= 20_000
    assert sum(training_seconds(CPU, run) for run in runs) <= 2 * 60 * 60


def test_the_bound_is_one_that_full_runs_break():
    full = {name: sum(training_seconds(FULL, run) for run in FULL.runs_of(name)) for name in FULL.experiments}
    assert min(full.values()) > 50 * 2 * 60 * 60


@pytest.mark.parametrize("name", RECIPES)
def test_at_cpu_scale_a_recipe_differs_in_its_length_alone(name):
    full, cpu = (study.recipes[name].optimizer.model_dump() for study in (FULL, CPU))
    if name.startswith("live-adam"):
        assert cpu.pop("lr") == 10 * full.pop("lr")  # so that few steps show what many would
    assert cpu == full


@pytest.mark.parametrize("name", [name for name in RECIPES if FULL.recipes[name].schedule.milestones])
def test_at_cpu_scale_the_rate_drops_after_about_the_same_share_of_the_training(name):
    full, cpu = ([m / r.epochs for m in r.schedule.milestones] for r in (FULL.recipes[name], CPU.recipes[name]))
    assert cpu == pytest.approx(full, abs=0.125)


@pytest.mark.parametrize("study", SCALES.values(), ids=SCALES)
def test_the_published_protocol_alone_looks_at_the_test_split(study):
    looking = {n for n in study.experiments for run in study.runs_of(n) if study.recipes[run.recipe].monitor == "test"}
    leaking = {run.model for run in study.runs_of("published") if study.recipes[run.recipe].leaks}
    assert looking == {"published"}
    assert leaking == {run.model for run in study.runs_of("published")}


@pytest.mark.parametrize(
    ("wide", "attention", "macs"),
    [
        ("resnet20-wide", "self-attention", (83.5e6, 81.2e6)),
        ("resnet8-wide", "resnet8-self-attention", (19.0e6, 18.5e6)),
    ],
)
def test_the_wider_network_costs_what_the_attention_costs(wide, attention, macs):
    counted = [count_macs(build(CPU.models[name], 3, 10), (3, 32, 32)) for name in (wide, attention)]
    assert counted == pytest.approx(macs, rel=0.005)
    assert counted[0] == pytest.approx(counted[1], rel=0.03)


# --- claims -----------------------------------------------------------------------------------------------------


def seeds(study: Study, claim: str) -> list[int]:
    """In how many seeds there is each cell that the claim compares."""
    entry = study.claims[claim]
    cells = [(run.dataset, run.model, run.recipe) for run in study.runs_of(entry.experiment)]
    return [cells.count(cell) for case in cases(entry, cells) for cell in case.cells]


@pytest.mark.parametrize("name", FULL.claims)
def test_each_claim_has_the_seeds_that_its_test_needs(name):
    assert min(seeds(FULL, name), default=0) >= FULL.statistics.min_seeds


@pytest.mark.parametrize("name", CPU.claims)
def test_at_cpu_scale_each_claim_is_tested_on_the_small_runs_or_on_none(name):
    if CPU.claims[name].experiment in SMALL:
        assert min(seeds(CPU, name), default=0) >= CPU.statistics.min_seeds
    else:
        assert name == "C20"  # about the error of a ResNet-20 on CIFAR-10


# --- the zoo ----------------------------------------------------------------------------------------------------------

STUDIES = ROOT / "workflow/studies"
ZOOS = {
    "full": load([ROOT / "config.yaml", STUDIES / "zoo.yaml"]),
    "cpu": load([ROOT / "config.yaml", STUDIES / "cpu.yaml", STUDIES / "zoo.yaml"]),
    "jpeg": load([ROOT / "config.yaml", STUDIES / "cpu.yaml", STUDIES / "cpu/jpeg.yaml", STUDIES / "zoo.yaml"]),
}


@pytest.mark.parametrize("study", ZOOS.values(), ids=ZOOS)
def test_the_zoo_has_every_kind_on_every_dataset(study):
    names = named(study, "zoo")
    for dataset in study.datasets_used():
        models = [study.models[model] for model in study.models_on(dataset)]
        options = [option for model in models for slot in model.modules.values() for option in slot]
        assert {option.kind for option in options} == set(ATTENTION_OPTIONS)
        assert {option.name for option in options if option.kind == "timm"} == set(get_args(TimmName))
        source = study.datasets[dataset].source
        side = 28 if source.format == "idx" else getattr(source, "size", 32)
        for model in study.models_on(dataset):
            if re.search("halo|bat", model):  # whose blocks must divide the features
                build(study.models[model], 3, 10, image=(side, side))
    relation, *others = sorted(study.datasets_used(), key=lambda name: not study.datasets[name].all_or_none)
    found = {dataset: {name for cell, name in names.items() if cell[0] == dataset} for dataset in (relation, *others)}
    for dataset in others:  # so that the table can say of each whether it relates places
        assert {name for name in found[dataset] if not name.endswith("in blocks")} <= found[relation]


def test_the_zoo_shares_runs_with_the_audit():
    audit = load([ROOT / "config.yaml", STUDIES / "cpu.yaml", STUDIES / "cpu/jpeg.yaml"])
    shared = {run.folder for run in audit.runs()} & {run.folder for run in ZOOS["jpeg"].runs()}
    assert len(shared) == 2 * 4 * 3 + 2 * 4 * 3  # images and CueMatch: the study's models x seeds
    models = [{cell[1:] for cell in ZOOS[name].cells("zoo")} for name in ("cpu", "jpeg")]
    assert models[0] == models[1]


# --- the workflow -----------------------------------------------------------------------------------------------


def test_every_experiment_can_be_planned_at_cpu_scale(tmp_path, environment):
    for part in ("Snakefile", "workflow", "profiles", "environment.yml", "config.yaml"):
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, tmp_path / part)
    targets = [f"experiment_{name}" for name in SMALL]
    done = subprocess.run(
        ["snakemake", "-n", "--quiet", "rules", "--configfile", "workflow/studies/cpu.yaml", "--", *targets],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = dict(re.findall(r"^(\S+) +(\d+)$", done.stdout, re.MULTILINE))
    assert int(jobs["train"]) == len(CPU.runs())
    assert {name for name in jobs if name.startswith("experiment_")} == set(targets)
