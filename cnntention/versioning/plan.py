"""plan.json: the keys of a study's steps, for DVC's stages to depend on.

DVC compares parts of configuration files, where it cannot know what a part means: an unused recipe, a plugin or a
step's version changes nothing there, and a question changes all. The keys know. So one stage writes them, which reads
everything, and each other stage depends on its section alone. In Git, and the same bytes on every machine.
"""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from cnntention import files
from cnntention.config import Study
from cnntention.errors import UserError
from cnntention.results import paths

PLAN = "plan.json"


def folder(study: Study) -> Path:
    """Of the study's files for DVC."""
    return Path("studies", study.study.name)


def sections(study: Study) -> dict[str, Any]:
    """The plan: per step what it makes, by key, and under `settings` what the keys are of, for `dvc params diff`.

    A study with `until: decided` is planned as it is at its first look; what its further looks depend on is in `looks`.
    """
    study = study.model_copy(update={"reached": {}})
    runs: dict[str, dict[str, dict[str, dict]]] = defaultdict(lambda: defaultdict(dict))
    for run in study.runs():
        of = runs[run.dataset][run.model].setdefault(
            f"{run.recipe}-{run.key}", {"examination": study.examination_key(run.dataset), "seeds": []}
        )
        of["seeds"].append(run.seed)
    used = study.part()
    return {
        "data": {name: study.data_key(name) for name in study.datasets_used()},
        "runs": runs,
        "looks": paths.study_key(study) if study.adaptive else None,
        "profiles": {name: Path(paths.profile_path(study, name)).stem for name in study.datasets_used()},
        "report": paths.study_key(study),
        "settings": used.model_dump(mode="json", include={"models", "recipes", "statistics", "evaluation"}),
    }


def outs(study: Study) -> dict[str, list[str]]:
    """Of each stage the folders that it fills: one for each dataset, or dataset and model."""
    name = study.study.name
    return {
        "data": [f"data/{dataset}" for dataset in study.datasets_used()],
        "runs": [f"results/runs/{of}/{model}" for of in study.datasets_used() for model in study.models_on(of)],
        "profiles": [f"results/profiles/{name}"],
        "report": [f"results/studies/{name}"],
    }


def pipelines() -> list[Path]:
    """The project's dvc.yaml files."""
    return [path for path in (Path("dvc.yaml"), *sorted(Path("studies").glob("*/dvc.yaml"))) if path.exists()]


def declared(pipeline: Path) -> dict[str, list[str]]:
    """The outs of each stage of a dvc.yaml."""
    with files.readable(pipeline):
        try:
            stages = yaml.safe_load(pipeline.read_text(encoding="utf-8"))["stages"]
            return {
                name: [out if isinstance(out, str) else next(iter(out)) for out in stage.get("outs", ())]
                for name, stage in stages.items()
            }
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration):
            raise ValueError("it is no pipeline of DVC") from None


def owners(but: Path) -> dict[str, Path]:
    """Folder -> the dvc.yaml that has it as an out, of all but one: DVC wants one owner of each path."""
    others = [path for path in pipelines() if path.resolve() != but.resolve()]
    return {out: path for path in others for outs in declared(path).values() for out in outs}


def own(study: Study, pipeline: Path) -> dict[str, list[str]]:
    """`outs` without those that another pipeline has already; UserError if one lies inside of another's, or around."""
    taken, found = owners(pipeline), outs(study)
    for out in (out for stage in found.values() for out in stage if out not in taken):
        for other, where in taken.items():
            if Path(out).is_relative_to(other) or Path(other).is_relative_to(out):
                raise UserError(f"{where}: its out {other} and {out} overlap; give the study another name.")
    return {stage: [out for out in found[stage] if out not in taken] for stage in found}


def write_plan(study: Study, out: Path, pipeline: Path) -> None:
    """Write plan.json; UserError if the pipeline does not version what the study makes, so that nothing is lost."""
    wanted = {out for stage in own(study, pipeline).values() for out in stage}
    stages = declared(pipeline)
    known = {out for name in outs(study) for out in stages.get(name, ())}
    if wrong := sorted(wanted ^ known):
        raise UserError(
            f"{pipeline}: {wrong[0]} is {'not among' if wrong[0] in wanted else 'no longer what the study makes, yet'} "
            "its outs; run `cnntention dvc` with the study's files again."
        )
    files.write_json(out, written(study))


def written(study: Study) -> dict[str, Any]:
    """`sections` as plan.json has them."""
    return json.loads(json.dumps(sections(study)))
