"""The whole study and its run table: all runs, each with a key of everything that determines its bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from cnntention import versions
from cnntention.config.attention import ATTENTION_OPTIONS
from cnntention.config.base import Name, Strict, digest, extended, require
from cnntention.config.checks import check_claims, check_experiments
from cnntention.config.claims import Cell, Claim, Statistics
from cnntention.config.data import Dataset
from cnntention.config.experiments import (
    Diagnostics,
    Evaluation,
    Experiment,
    Explanation,
    Grid,
    Profiling,
    PublishedResult,
    StudyInfo,
)
from cnntention.config.models import Model
from cnntention.config.plugins import definitions, identity
from cnntention.config.recipes import Recipe
from cnntention.config.tuning import trial, tuned, with_trials


class Study(Strict):
    """The whole configuration."""

    study: StudyInfo
    """Name, question and experiments."""
    datasets: dict[Name, Dataset]
    """The datasets."""
    models: dict[Name, Model]
    """The networks."""
    recipes: dict[Name, Recipe]
    """Ways of training."""
    experiments: dict[Name, Experiment]
    """Questions, as grids of runs."""
    evaluation: Evaluation = Evaluation()
    """How the test split is scored."""
    diagnostics: Diagnostics = Diagnostics()
    """How the attention of a finished run is diagnosed."""
    explanation: Explanation = Explanation()
    """Which test images are explained, and how the maps are scored."""
    profiling: Profiling = Profiling()
    """How cost is measured."""
    statistics: Statistics = Statistics()
    """How runs are compared."""
    claims: dict[str, Claim] = Field({})
    """Claims, and how they are tested."""
    published: tuple[PublishedResult, ...] = ()
    """The original study's results."""
    plugins: tuple[str, ...] = ()
    """Python files that register your own attention modules."""
    reached: dict[str, Annotated[int, Field(ge=1)]] = Field({})
    """Written by the workflow: of each dataset/model/recipe with `until: decided`, the seeds after the first look."""

    @model_validator(mode="before")
    @classmethod
    def extend(cls, data: Any) -> Any:
        """Resolve `extends: <name>` in datasets, models and recipes."""
        if not isinstance(data, Mapping):
            return data
        sections = {name: data[name] for name in ("datasets", "models", "recipes") if name in data}
        if isinstance(sections.get("recipes"), Mapping):
            sections["recipes"] = with_trials(sections["recipes"], data.get("experiments"))
        return dict(data) | {n: extended(n, e) if isinstance(e, Mapping) else e for n, e in sections.items()}

    @model_validator(mode="after")
    def names_exist(self) -> Self:
        check_experiments(self)
        check_claims(self)
        return self

    @model_validator(mode="after")
    def kinds_exist(self) -> Self:
        definitions(self.plugins)  # raises if a name is taken
        if self.plugins:
            return self  # a kind's name may be computed; models.registry.check() imports the plugins and checks all
        for name, model in self.models.items():
            for stage, slot in model.modules.items():
                for options in slot:
                    require(options.kind, ATTENTION_OPTIONS, f"models.{name}.attention.{stage}.kind", "attention kind")
        return self

    @property
    def foreign(self) -> bool:
        """Whether modules of plugins or timm are used, which `models.registry.check` must try."""
        return bool(self.plugins) or any("timm" in self.models[run.model].kinds for run in self.runs())

    @cached_property
    def _definitions(self) -> dict[str, set]:
        return definitions(self.plugins)

    def model_identity(self, name: str) -> dict:
        """Everything that determines a network; for a plugin's kind also the file that defines it and its imports."""
        model = self.models[name]
        plugins = identity(model.kinds, self._definitions)
        return model.identity() | ({"plugins": plugins} if plugins else {})

    def data_key(self, dataset: str) -> str:
        return digest(self.datasets[dataset].preparation())

    def run(self, dataset: str, model: str, recipe: str, seed: int) -> "Run":
        key = self._run_keys.get((dataset, model, recipe))
        if key is None:
            key = digest(
                {
                    "dataset": self.datasets[dataset].identity(),
                    "model": self.model_identity(model),
                    "recipe": self.recipes[recipe].identity(),
                    "version": versions.TRAINING,
                }
            )
            self._run_keys[dataset, model, recipe] = key
        return Run(dataset=dataset, model=model, recipe=recipe, seed=seed, key=key)

    def examination_key(self, dataset: str) -> str:
        """Of how a run is scored, diagnosed and explained. What is scored, its weights, the run's key determines."""
        if dataset not in self._examination_keys:
            settings = self.model_dump(mode="json", include={"evaluation", "diagnostics"})
            settings["explanation"] = self.explanation.model_dump(mode="json", exclude={"showcase", "foreground"})
            of_dataset = [list(self.explanation.showcase.get(dataset, ())), self.explanation.foreground.get(dataset)]
            steps = [versions.EVALUATION, versions.DIAGNOSIS, versions.EXPLANATION]
            self._examination_keys[dataset] = digest([settings, of_dataset, *steps])
        return self._examination_keys[dataset]

    @cached_property
    def _run_keys(self) -> dict[tuple[str, str, str], str]:
        return {}

    @cached_property
    def _examination_keys(self) -> dict[str, str]:
        return {}

    def runs_of(self, experiment: str) -> list["Run"]:
        """The experiment's runs, each once, in the order of its grids."""
        runs = {
            self.run(dataset, model, recipe, seed): None
            for grid in self.experiments[experiment].grid
            for dataset in grid.datasets
            for recipe in self.trained(experiment, grid)
            for model in grid.models
            for seed in self.seeds(experiment, grid, (dataset, model, recipe))
        }
        return list(runs)

    def trained(self, experiment: str, grid: Grid) -> list[str]:
        """The recipes of a grid's runs: of a tuned experiment those of all trials."""
        of = self.experiments[experiment].tuning
        return [trial(name, i) for name in grid.recipes for i in range(of.trials)] if of else list(grid.recipes)

    def every_seed(self, grid: Grid) -> Sequence[int]:
        """The seeds that a cell of the grid may get."""
        if isinstance(grid.seeds, tuple):
            return grid.seeds
        return range(grid.seeds.at_most or self.statistics.sequential.looks[-1])

    def seeds(self, experiment: str, grid: Grid, cell: Cell) -> Sequence[int]:
        """Those that a cell of the grid has: as many as its looks have reached; of a trial at first a single one."""
        every = self.every_seed(grid)
        if self.experiments[experiment].tuning:
            return every[: self.reached.get("/".join(cell), 1)]
        if isinstance(grid.seeds, tuple):
            return every
        return every[: self.reached.get("/".join(cell), self.statistics.sequential.looks[0])]

    @property
    def adaptive(self) -> bool:
        """Whether its runs depend on its results: more seeds until claims are decided, or of the best trials alone."""
        own = [self.experiments[name] for name in self.study.experiments]
        return any(of.tuning or any(not isinstance(grid.seeds, tuple) for grid in of.grid) for of in own)

    def cells(self, experiment: str) -> list[Cell]:
        """(dataset, model, recipe) that the experiment compares, each once, in the order of its grids."""
        of = self.experiments[experiment]
        named = tuned if of.tuning else str
        cells = ((d, m, named(r)) for g in of.grid for d in g.datasets for r in g.recipes for m in g.models)
        return list(dict.fromkeys(cells))

    @cached_property
    def shown(self) -> frozenset["Run"]:
        """The first run of each cell: the report shows its maps."""
        return frozenset({(run.dataset, run.model, run.recipe): run for run in reversed(self.runs())}.values())

    def runs(self, experiments: Iterable[str] | None = None) -> list["Run"]:
        """The run table: every run of the chosen experiments (default: the study's), each once."""
        names = self.study.experiments if experiments is None else experiments
        return list({run: None for name in names for run in self.runs_of(name)})

    def models_on(self, dataset: str) -> list[str]:
        """The models that the study runs on a dataset, in the run table's order."""
        return list(dict.fromkeys(run.model for run in self.runs() if run.dataset == dataset))

    def datasets_used(self) -> list[str]:
        """The datasets of the study's runs, in the run table's order."""
        return list(dict.fromkeys(run.dataset for run in self.runs()))

    def part(self) -> "Study":
        """The study reduced to what its experiments use; the report's key depends on nothing else."""
        runs, experiments = self.runs(), set(self.study.experiments)
        claims = {name: claim for name, claim in self.claims.items() if claim.experiment in experiments}
        told = claims.values()
        names = {
            "datasets": {r.dataset for r in runs} | {n for c in told for n in (*c.datasets, c.control, c.learned)},
            "models": {r.model for r in runs} | {n for c in told for n in (*c.model, *c.against, c.control_model)},
            "recipes": {r.recipe for r in runs}
            | {n for c in told for n in (c.recipe, *c.against_recipe)}
            | {n for name in experiments for grid in self.experiments[name].grid for n in grid.recipes},
            "experiments": experiments,
        }
        kept = {s: {n: e for n, e in getattr(self, s).items() if n in used} for s, used in names.items()}
        published = [
            entry.model_copy(update={"dataset": datasets})
            for entry in self.published
            if (datasets := tuple(d for d in entry.dataset if d in kept["datasets"])) and entry.model in kept["models"]
        ]
        per_dataset = {
            key: {name: value for name, value in getattr(self.explanation, key).items() if name in kept["datasets"]}
            for key in ("showcase", "foreground")
        }
        others = {"claims": claims, "published": tuple(published)}
        others["explanation"] = self.explanation.model_copy(update=per_dataset)
        return self.model_copy(update=kept | others)


@dataclass(frozen=True, slots=True)
class Run:
    """One training: dataset x model x recipe x seed. `key` hashes everything else that determines its bytes."""

    dataset: str
    model: str
    recipe: str
    seed: int
    key: str

    @property
    def folder(self) -> str:
        return f"results/runs/{self.dataset}/{self.model}/{self.recipe}-{self.key}/seed{self.seed}"

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.model}/{self.recipe}/seed{self.seed}"
