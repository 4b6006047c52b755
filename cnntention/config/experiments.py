"""What is asked, as grids of runs; the original study's answers; and how ours are measured."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from cnntention.config.base import Name, Strict, one_or_many


def count_or_list(value: Any) -> Any:
    """`seeds: 3` means 0, 1, 2."""
    return list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value


Seeds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(count_or_list), Field(min_length=1)]
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
    """A number of seeds, or a list of them."""


class Experiment(Strict):
    """A named set of runs that answers one question; runs that two experiments name are made once."""

    question: str
    """One sentence, shown above the experiment's table."""
    baseline: str | None = None
    """The model that the others are compared with."""
    grid: Annotated[tuple[Grid, ...], BeforeValidator(one_or_many), Field(min_length=1)]
    """A grid of runs, or a list of grids."""


class PublishedResult(Strict):
    """A number of the original study, shown beside ours."""

    dataset: str
    """Name of the dataset it was measured on."""
    model: str
    """Name of the model."""
    test_error: float = Field(ge=0, le=100)
    """Test error, %."""
    epochs: int
    """Epochs trained."""
    note: str
    """How that number was made, and what to know before trusting it."""


class StudyInfo(Strict):
    """What is run now."""

    name: Name
    """Results go to results/<name>/; runs are shared between studies."""
    question: str
    """The question that the report answers."""
    experiments: Names
    """The experiments to run, in the report's order."""


class Evaluation(Strict):
    """How the test split is scored."""

    calibration_bins: int = Field(15, ge=2, le=100)
    """Equal-width bins of the expected calibration error."""


class Explanation(Strict):
    """Which test images are explained."""

    images: int = Field(64, ge=1)
    """A seeded sample of the test split, the same for every model."""
    seed: int = Field(0, ge=0)
    """Seed of that sample."""
    showcase: dict[str, tuple[Annotated[int, Field(ge=0)], ...]] = Field({})
    """Per dataset: indices of further test images, such as those the original study shows."""


class Profiling(Strict):
    """How cost is measured."""

    batch_size: int = Field(128, ge=1)
    """Batch of throughput, training step and memory; latency is measured at batch 1."""
    threads: int = Field(1, ge=1)
    """CPU threads, fixed so that machines can be compared."""
    min_seconds: float = Field(1.0, gt=0, le=60)
    """Least time spent on each measurement."""
