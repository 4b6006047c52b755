"""Experiments as grids of runs, the original study's numbers, and the settings of all measurements."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator

from cnntention.config.base import Name, Strict, one_or_many, shown
from cnntention.config.tuning import Tuning


class UntilDecided(Strict):
    """More seeds, look by look, for the models of those claims that are still undecided."""

    until: Literal["decided"]
    """Stop when the experiment's claims are decided; `statistics.sequential` says when to look."""
    at_most: int | None = Field(None, ge=1)
    """Seeds a model; as many as at the last look when empty."""


def count_or_list(value: Any) -> Any:
    """`seeds: 3` means 0, 1, 2."""
    if isinstance(value, list | tuple | Mapping | UntilDecided):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"give a number or a list of numbers (it is {shown(value)})")
    if not 1 <= value <= MOST_SEEDS:
        raise ValueError(f"give 1 to {MOST_SEEDS} seeds (it is {shown(value)})")
    return list(range(value))


def each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise ValueError(f"{shown(twice[0])} is there twice; name each once")
    return names


MOST_SEEDS = 1000
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Seeds = Annotated[
    Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MOST_SEEDS), Tag("fixed")]
    | Annotated[UntilDecided, Tag("adaptive")],
    Discriminator(lambda value: "adaptive" if isinstance(value, Mapping | UntilDecided) else "fixed"),
    BeforeValidator(count_or_list),
]
Names = Annotated[tuple[str, ...], BeforeValidator(one_or_many), Field(min_length=1)]


class Grid(Strict):
    """Every combination of what it lists."""

    datasets: Names
    """Names of datasets."""
    models: Names
    """Names of models."""
    recipes: Names
    """Names of recipes."""
    seeds: Seeds
    """A number of seeds, a list of them, or `{until: decided, at_most: 20}`."""


class Experiment(Strict):
    """A named set of runs that answers one question. Runs in several experiments are trained once."""

    question: str
    """One sentence, shown above the experiment's table."""
    baseline: str | None = None
    """The model that the others are compared with."""
    grid: Annotated[tuple[Grid, ...], BeforeValidator(one_or_many), Field(min_length=1)]
    """A grid of runs, or a list of grids."""
    tuning: Tuning | None = None
    """Learning rates and weight decays to try, the same for every model. Claims on it compare the best of each."""


class PublishedResult(Strict):
    """A result of the original study, shown beside ours."""

    dataset: Names
    """Names of the datasets that it is compared with."""
    model: str
    """Name of the model."""
    test_error: float = Field(ge=0, le=100)
    """Test error, %."""
    epochs: int = Field(ge=1)
    """Epochs trained."""
    note: str
    """How that number was obtained, and its known problems."""


class StudyInfo(Strict):
    """What is run now."""

    name: Name
    """Results go to results/<name>/; runs are shared between studies."""
    question: str
    """The question that the report answers."""
    scale: Literal["full", "cpu"] = "full"
    """cpu: small sizes for two CPU cores; the report then says that its findings hold only for them."""
    experiments: Annotated[Names, AfterValidator(each_once)]
    """The experiments to run, in the report's order."""
    certificate: str | None = None
    """The model that the report certifies, in a table on top; written by `cnntention new`."""

    @field_validator("name")
    @classmethod
    def name_is_free(cls, name: str) -> str:
        if name in ("runs", "profiles", "studies", "storage", "published"):
            raise ValueError(f"results/{name}/ holds what all studies share; use another name")
        return name


class Evaluation(Strict):
    """How the test split is scored."""

    calibration_bins: int = Field(15, ge=2, le=100)
    """Equal-width bins of the expected calibration error."""


class Alive(Strict):
    """An attention module is alive if it is neither off nor constant nor uniform."""

    relative_change: float = Field(0.01, ge=0)
    """off: it changes the features by less than this share of their norm, so it is nearly the identity."""
    entropy: float = Field(0.999, gt=0, le=1)
    """uniform: every head's normalized entropy is above this, so attention is a global average."""
    gate_spread: float = Field(0.01, ge=0)
    """constant: each of its gates (CBAM) has a smaller sd over images, so it is a fixed factor."""


class Diagnostics(Strict):
    """How the attention of a finished run is examined."""

    images: int = Field(1000, ge=1)
    """A seeded sample of the test split, the same for every model; all if there are fewer."""
    map_images: int = Field(100, ge=1)
    """Images of the sample whose attention maps are measured: a map can take 32 MiB an image."""
    seed: Seed = 0
    """Seed of that sample."""
    alive: Alive = Alive()
    """Thresholds."""


class Explanation(Strict):
    """Which test images are explained, and how explanations are scored."""

    images: int = Field(64, ge=1)
    """Size of a seeded sample of the test split, the same for every model, whose maps are stored."""
    seed: Seed = 0
    """Seed of that sample."""
    scored_images: int = Field(1000, ge=2)
    """Size of the sample for the scores, which extends that one; all of the test split if it is smaller."""
    road_images: int = Field(100, ge=2)
    """How many of those ROAD uses: it imputes each image 40 times."""
    sanity_threshold: float = Field(0.5, gt=0, le=1)
    """Maps fail the sanity check if their rank correlation with an untrained network's maps is not below this."""
    foreground: dict[str, Annotated[int, Field(ge=0, le=254)]] = Field({})
    """For a dataset without masks: pixels with a channel above this (0-255) are the region where maps should lie."""
    showcase: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = Field({})
    """For each dataset: indices of further test images, such as those that the original study shows."""


class Profiling(Strict):
    """How cost is measured: all models of a dataset in turn, in several processes one after another."""

    batch_size: int = Field(128, ge=1, le=1_000_000)
    """Batch size for throughput, training step and memory; latency is measured at batch size 1."""
    threads: int = Field(1, ge=1, le=1024)
    """CPU threads; fixed, so that machines can be compared."""
    processes: int = Field(5, ge=3, le=100)
    """New processes that measure times; n of a test of times, since where a process puts its memory shifts all its
    rounds."""
    rounds: int = Field(3, ge=1, le=100)
    """How often each process measures each model, alternating with the others."""
    min_seconds: float = Field(0.2, gt=0, le=60)
    """Minimum time for each model, measurement and round; a slower call is timed once a round."""
