"""A study's dvc.yaml: stages that call the workflow, which makes what is missing."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from cnntention import files
from cnntention.config import Study
from cnntention.plan import DEFAULT
from cnntention.versioning.metrics import ACCURACY, METRICS, confusion_file, curves, curves_file
from cnntention.versioning.plan import PLAN, folder, outs, own, owners

HEAD = """\
# Written by `{call}`: run it again when datasets or models
# come or go. `dvc repro {at}` runs the study; docs/dvc.md tells the rest.
#
# A path names one content, so outs persist from one version of the study to the next, and what is there is not made
# again. A GPU or a cluster is chosen outside, by SNAKEMAKE_PROFILE.

"""


class Plain(yaml.SafeDumper):
    """Without anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write_pipeline(study: Study, configs: list[str], out: str | None) -> list[str]:
    """Write dvc.yaml to `out`, by default studies/<name>/dvc.yaml; returns what to say."""
    pipeline = Path(out) if out else folder(study) / "dvc.yaml"
    text = yaml.dump(stages(study, configs, pipeline), Dumper=Plain, sort_keys=False, width=200)
    call = " ".join(["cnntention dvc", *overlays(configs), *(["--out", out] if out else [])])
    files.write_text(pipeline, HEAD.format(call=call, at=pipeline) + text)
    taken, filled = owners(pipeline), [path for of in outs(study).values() for path in of]
    shared = [f"{path}: is versioned by {taken[path]}, which has it too" for path in filled if path in taken]
    return [f"{pipeline}: written; it versions {len(filled) - len(shared)} folders", *shared]


def overlays(configs: list[str]) -> list[str]:
    """What is laid over config.yaml."""
    return [name for name in configs if name != DEFAULT]


def stages(study: Study, configs: list[str], pipeline: Path) -> dict[str, Any]:
    """The content of dvc.yaml."""
    at = folder(study)
    plan, ours = f"{at}/{PLAN}", own(study, pipeline)
    overlaid = ["--configfile", *overlays(configs)] if overlays(configs) else []
    workflow = " ".join(["snakemake --cores all", *overlaid, "--"])
    read = [*configs, *study.plugins, "seals", "cnntention/versions.py"]  # the folder: a study is sealed later
    runs = ["data", "runs", *(["looks"] if study.adaptive else [])]
    made = {
        "data": stage("Make the datasets", "${workflow} prepare_all", plan, ["data"], [], ours["data"]),
        "runs": stage(
            "Train and examine every run", "${workflow} train_all evaluate_all", plan, runs, ours["data"], ours["runs"]
        ),
        "profiles": stage(
            "Measure what every model costs", "${workflow} profile_all", plan, ["profiles"], ours["data"],
            ours["profiles"],
        ),
        "report": stage(
            "Tables, verdicts and report", "${workflow} all", plan, ["report"], ours["runs"] + ours["profiles"],
            ours["report"],
        ),
    }  # fmt: skip
    described = {
        "plan": {
            "desc": "The keys of all steps",
            "cmd": f"python -m cnntention plan --config ${{config}} --pipeline {pipeline} --out {plan}",
            "deps": [path for path in read if Path(path).exists()],
            "outs": [{plan: {"cache": False}}],
        },
        **{name: one for name, one in made.items() if one["outs"]},
        "metrics": {
            "desc": "What `dvc metrics` and `dvc plots` show",
            "cmd": f"python -m cnntention metrics --config ${{config}} --out {at}",
            "deps": ours["report"],
            "metrics": [{f"{at}/{METRICS}": {"cache": False}}],
            "outs": [{f"{at}/{name}": {"cache": False}} for name in plotted(study)],
        },
    }
    root = os.path.relpath(".", pipeline.parent)
    if root != ".":
        described = {name: {"wdir": root} | one for name, one in described.items()}
    return {
        "vars": [{"config": " ".join(configs), "workflow": workflow}],
        "stages": described,
        "params": [relative(plan, pipeline)],
        "plots": list(plots(study, pipeline)),
    }


def stage(desc: str, targets: str, plan: str, keys: list[str], deps: list[str], outs: list[str]) -> dict[str, Any]:
    """One that calls the workflow if a section of the plan, or a folder that it reads, has changed."""
    persist = [{out: {"persist": True}} for out in outs]
    read = {"deps": deps} if deps else {}
    return {"desc": desc, "cmd": targets, **read, "params": [{plan: keys}], "outs": persist}


def plotted(study: Study) -> list[str]:
    """The CSV files of the plots, in the study's folder for DVC."""
    names = study.datasets_used()
    return [ACCURACY, *(curves_file(name) for name in names), *(confusion_file(name) for name in names)]


def plots(study: Study, pipeline: Path) -> Iterable[dict[str, dict]]:
    """The plots' definitions; paths are relative to dvc.yaml."""

    def at(name: str) -> str:
        return relative(f"{folder(study)}/{name}", pipeline)

    yield {at(ACCURACY): {"x": "accuracy", "y": "cell", "template": "bar_horizontal", "title": "Test accuracy"}}
    for name in study.datasets_used():
        title = f"{name}: validation accuracy, mean over seeds"
        lines = {at(curves_file(name)): list(curves(study, name))}
        yield {f"{name} learning curves": {"x": "epoch", "y": lines, "y_label": "accuracy", "title": title}}
        title = f"{name}: confusion of the first run"
        yield {at(confusion_file(name)): {"x": "label", "y": "predicted", "template": "confusion", "title": title}}


def relative(path: str, pipeline: Path) -> str:
    return os.path.relpath(path, pipeline.parent)
