"""The JSON files of runs and profiles. Accuracies and drops are shares; times say their unit in their name."""

from typing import Any, Self

from cnntention.config import Run
from cnntention.errors import UserError
from cnntention.results.rows import Record
from cnntention.results.tables import LookUp, MapScore, ModuleState, RoadScore
from cnntention.results.words import Ended


class Parameters(Record):
    """Learned and frozen ones."""

    total: int
    backbone: int
    attention: int


class LastEpoch(Record):
    epoch: int
    train_loss: float | None
    """Empty where the run diverged."""
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    """On the split that the recipe monitors."""


class Precision(Record):
    asked: str
    """fp32, tf32 or bf16."""
    native: bool
    """Whether the device has it; else it was emulated."""


class GpuSettings(Record):
    """`device.settings`."""

    slots: int
    """How many jobs may share it."""
    mps: bool
    tf32: bool
    deterministic: bool


class Provenance(Record):
    """The code, libraries and machine that made a run or a profile; see `provenance.describe`."""

    commit: str
    python: str
    libraries: dict[str, str]
    system: str
    cpu: str
    cores: int
    isa: str
    """The vector instructions that torch uses, such as AVX2."""
    threads: int
    device: str
    """cpu, cuda or mps."""
    gpu: str | None
    gpu_settings: GpuSettings | None


class RunRecord(Record):
    """run.json: a run's resolved description, the hashes of what it used and left, its outcome, and its provenance."""

    dataset: dict[str, Any]
    """Its configuration, with its name and `data_key`."""
    model: dict[str, Any]
    """Its configuration, with its name."""
    recipe: dict[str, Any]
    """Its configuration, with its name."""
    seed: int
    key: str
    """Of dataset, model, recipe and version."""
    version: int
    """`versions.TRAINING`."""
    parameters: Parameters
    weights_sha256: str
    """Of model.safetensors."""
    history_sha256: str
    """Of history.csv."""
    weights_epoch: int
    """The epoch whose weights these are."""
    data_sha256: dict[str, str]
    """Of the prepared splits that it used."""
    leaks: bool
    """Whether the test split decided when to stop, or which epoch's weights to keep."""
    ended: Ended
    last: LastEpoch
    gates: dict[str, float]
    """Each gate at the end, by module."""
    images_per_s: float | None
    """Mean over epochs; empty if none was whole."""
    train_seconds: float
    """In training steps, all sessions together; on a CPU those that it worked, for each thread."""
    started: str
    finished: str
    wall_seconds: float
    """Of the last session."""
    resumed_after_epochs: list[int]
    """After which epochs it was taken up again."""
    provenance: Provenance
    precision: Precision

    @classmethod
    def of(cls, run: Run) -> Self:
        """A run's record; UserError if its folder holds another run. Names may differ: a key is of what they mean."""
        made = cls.read(f"{run.folder}/run.json")
        if (made.key, made.seed) != (run.key, run.seed):
            raise UserError(
                f"{run.folder}: holds the run of key {made.key} and seed {made.seed}, by its run.json; somebody moved "
                "or copied it there. Move it back."
            )
        return made


class Examined(Record):
    """What the files of an examination begin with."""

    weights_sha256: str
    """Of the weights that were examined: those of the run's run.json."""


class Distances(Record):
    """CueMatch: accuracy by the distance of cue and match."""

    near: float | None
    mid: float | None
    far: float | None
    slope: float | None
    """Change of the log odds of a hit per 10 px."""


class Metrics(Examined):
    """metrics.json: a run's scores on the test split."""

    predictions_sha256: str
    """Of predictions.safetensors."""
    test_sha256: str
    """Of the test split."""
    images: int
    top1: float
    top1_interval: tuple[float, float]
    """95 % Wilson interval of sampling the test images."""
    top2: float
    nll: float | None
    """Nats."""
    brier: float | None
    ece: float | None
    class_accuracy: list[float | None]
    confusion: list[list[int]]
    """A row a label, a column a prediction."""
    distance: Distances | None


class Ablated(Record):
    """What is left of accuracy without something."""

    accuracy: float
    drop: float
    drop_se: float
    """Paired over images."""


class Diagnosis(Examined):
    """attention.json: is the attention alive, and used?"""

    images: int
    """The sample of the test split."""
    map_images: int
    """Of them, those whose attention maps were measured."""
    thresholds: dict[str, float]
    """`diagnostics.alive`."""
    accuracy: float
    """On the sample."""
    modules: list[ModuleState]
    without_all: Ablated | None
    """All modules replaced by the identity; empty if there is none."""


class Sanity(Record):
    """The parameter-randomization check."""

    draws: int
    """Untrained networks."""
    images: int
    """Images compared."""
    threshold: float
    """Maps are sane whose correlation with the untrained networks' is below it."""
    correlation: float | None
    """Spearman's rho, mean over images and networks; empty if there is none."""
    sane: bool


class Explanations(Examined):
    """explanations.json: which images were explained, and the scores of their maps in explanations.safetensors."""

    sha256: str
    """Of explanations.safetensors."""
    test_images: list[int]
    """Places in the test split of the images whose maps are stored: the showcase, then a seeded sample."""
    showcase: int
    """How many of them are the showcase."""
    queries: list[str]
    """Names of the places whose attention maps are stored."""
    region: str | None
    """On which pixels the label depends; empty if that is not known."""
    localisation: list[MapScore]
    road: list[RoadScore]
    sanity: Sanity
    lookup: list[LookUp]
