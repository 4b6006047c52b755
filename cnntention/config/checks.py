"""Whether the names that a configuration uses are defined in it, and what experiments and claims demand of others."""

from typing import TYPE_CHECKING

from cnntention.config.base import require
from cnntention.config.claims import gate
from cnntention.config.experiments import Grid

if TYPE_CHECKING:
    from cnntention.config.study import Study


def check_experiments(study: "Study") -> None:
    """Raise ValueError if experiments, published results or explanations name what is not there or cannot be."""
    if "raw" in study.datasets:
        raise ValueError("datasets.raw: data/raw/ holds the archives; use another name")
    for name in study.study.experiments:
        require(name, study.experiments, "study.experiments", "experiment")
    if study.study.certificate:
        require(study.study.certificate, study.models, "study.certificate", "model")
    for name, experiment in study.experiments.items():
        for grid in experiment.grid:
            check_grid(study, name, grid)
        if experiment.baseline is not None:
            require(experiment.baseline, study.models, f"experiments.{name}.baseline", "model")
    for i, result in enumerate(study.published):
        for dataset in result.dataset:
            require(dataset, study.datasets, f"published.{i}.dataset", "dataset")
        require(result.model, study.models, f"published.{i}.model", "model")
    for key in ("showcase", "foreground"):
        for name in getattr(study.explanation, key):
            require(name, study.datasets, f"explanation.{key}", "dataset")


def check_grid(study: "Study", name: str, grid: Grid) -> None:
    for kind in ("datasets", "models", "recipes"):
        for entry in getattr(grid, kind):
            require(entry, getattr(study, kind), f"experiments.{name}.grid.{kind}", kind[:-1])
    for recipe in grid.recipes:
        if name in study.study.experiments and (late := study.recipes[recipe].too_late):
            raise ValueError(f"recipes.{recipe}.{late}")
        for dataset in grid.datasets:
            if study.recipes[recipe].monitor == "val" and not study.datasets[dataset].validation_images:
                raise ValueError(
                    f"experiments.{name}.grid: recipe {recipe!r} monitors the validation split, and "
                    f"datasets.{dataset}.validation_images is 0; set apart some images"
                )
    if not isinstance(grid.seeds, tuple):
        if study.statistics.sequential is None:
            raise ValueError(
                f"experiments.{name}.grid.seeds: `until: decided` needs statistics.sequential, which says at how many "
                "seeds to look"
            )
        looks, most = study.statistics.sequential.looks, grid.seeds.at_most
        if most is not None and most not in looks:
            raise ValueError(
                f"experiments.{name}.grid.seeds.at_most: give one of statistics.sequential.looks, "
                f"{', '.join(map(str, looks))} (it is {most})"
            )


def check_claims(study: "Study") -> None:
    """Raise ValueError if a claim names what is not there."""
    for name, claim in study.claims.items():
        require(claim.experiment, study.experiments, f"claims.{name}.experiment", "experiment")
        asked = {
            "model": (*claim.model, *claim.against, claim.control_model),
            "recipe": (claim.recipe, *claim.against_recipe),
            "dataset": (*claim.datasets, claim.control, claim.learned),
        }
        for kind, names in asked.items():
            known = {*getattr(study, f"{kind}s"), *(r for _, _, r in study.cells(claim.experiment) if kind == "recipe")}
            for entry in filter(None, names):
                require(entry, known, f"claims.{name}", kind)
        try:
            gate(claim, study.cells(claim.experiment))
        except ValueError as error:
            raise ValueError(f"claims.{name}: in experiment {claim.experiment}, {error}") from None
