"""Tables of runs: what they scored, how they learned."""

from cnntention.results.rows import Row
from cnntention.results.words import Ended


class OfRun(Row):
    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    recipe: str
    """Name of the recipe."""
    seed: int
    """Seed of initialisation, data order and augmentation."""


RUN = list(OfRun.model_fields)
CELL = RUN[:-1]


class RunRow(OfRun, table="runs"):
    """A row a run: how it scored on the test split, how it was trained and where."""

    key: str
    """Hash of all that determines the run's bytes but the seed; part of its folder's name."""
    test_accuracy: float
    """Top-1 accuracy on the test split."""
    test_images: int
    """Images in the test split."""
    top2: float
    """Top-2 accuracy on the test split."""
    nll: float | None
    """Mean negative log-likelihood on the test split, nats; empty if it is not finite, as those below."""
    brier: float | None
    """Brier score, summed over classes: 0 to 2."""
    ece: float | None
    """Expected calibration error."""
    solved: int | None
    """CueMatch: 1 if test accuracy is at least half way from 1/candidates to 1, else 0."""
    broken: int
    """1 if the run diverged, or test accuracy is below 50 %, which says something of ten classes alone; else 0."""
    accuracy_near: float | None
    """CueMatch: test accuracy where cue and match are 8 to 12 px apart."""
    accuracy_mid: float | None
    """CueMatch: the same at 12 to 18 px."""
    accuracy_far: float | None
    """CueMatch: the same at 18 to 34 px."""
    distance_slope: float | None
    """CueMatch: change of the log odds of a hit per 10 px of distance, by logistic regression."""
    val_accuracy: float | None
    """Accuracy at the last epoch on the split that the recipe monitors."""
    train_accuracy: float | None
    """Accuracy on the augmented training images during the last epoch."""
    learning_area: float
    """Mean monitored accuracy over the epochs."""
    epochs: int
    """Epochs trained."""
    ended: Ended
    """Why training ended."""
    leaks: bool
    """Whether the test split decided when to stop, or which epoch's weights to keep."""
    modules: int
    """Attention modules in the model."""
    modules_alive: int | None
    """How many of them are alive."""
    attention_alive: bool | None
    """Whether any is."""
    attention_used: bool | None
    """Whether accuracy falls, by over two standard errors, when the identity replaces all attention modules."""
    accuracy_without_attention: float | None
    """Accuracy on the diagnosed sample with all attention modules replaced by the identity."""
    cam_sane: bool
    """Whether the last stage's Grad-CAM maps pass the parameter-randomization check (Adebayo et al. 2018)."""
    cam_correlation: float | None
    """Their rank correlation (Spearman's) with maps of untrained networks."""
    cam_mass: float | None
    """Share of those maps that lies on the region where the label is decided, if that is known."""
    cam_auc: float | None
    """Chance that a pixel in the region outranks one outside."""
    road: float | None
    """ROAD of those maps (Rong et al. 2022): 0 for a random order of pixels."""
    lookup: float | None
    """CueMatch: attention from match to cue relative to uniform attention, mean over heads of the best module."""
    parameters: int
    """Learned and frozen parameters."""
    images_per_s: float | None
    """Mean training speed over epochs, images per second; empty if the run diverged in its first."""
    train_seconds: float
    """Seconds spent in training steps; on a CPU those that it worked, so that other work beside it does not count."""
    hours: float
    """The same as hours of a core; of a GPU, shared by the jobs on it."""
    resumed: int
    """How often the run went on after an interruption."""
    precision: str
    """fp32, tf32 or bf16."""
    hardware: str
    """GPU, or CPU and threads."""
    threads: int
    """CPU threads."""
    device: str
    """cpu, cuda or mps."""
    torch: str
    """Version of PyTorch."""
    commit: str
    """Git commit of the code."""
    finished: str
    """When training ended, UTC."""
    version: int
    """`versions.TRAINING`."""
    folder: str
    """Where the run lies."""


class CellRow(Row, table="cells"):
    """A row a cell (dataset, model, recipe) of an experiment: its runs in numbers. Experiments may share runs."""

    experiment: str
    """Name of the experiment."""
    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    recipe: str
    """Name of the recipe."""
    n: int
    """Runs."""
    mean: float
    """Mean test accuracy over runs."""
    sd: float | None
    """Sample standard deviation of test accuracy over runs."""
    low: float | None
    """Lower end of Student's 95 % interval of the mean; empty where runs are counted, on CueMatch's relation tracks."""
    high: float | None
    """Upper end."""
    min: float
    """Lowest test accuracy."""
    max: float
    """Highest test accuracy."""
    solved: int | None
    """CueMatch: runs that solve their track."""
    solved_low: float | None
    """Of the share that does: lower end of Clopper and Pearson's 95 % interval."""
    solved_high: float | None
    """Upper end."""
    diverged: int
    """Runs that diverged."""
    alive: int | None
    """Runs that did not diverge with at least one attention module alive; empty without attention."""
    used: int | None
    """Runs that did not diverge whose accuracy falls without attention; empty without attention."""
    seeds: str
    """The seeds, separated by spaces."""


class EpochRow(OfRun, table="epochs"):
    """A row an epoch of a run."""

    epoch: int
    """From 1."""
    lr: float | None
    """Learning rate of the last step; empty where the run diverged."""
    train_loss: float | None
    """Mean cross-entropy of the augmented batches, nats."""
    train_accuracy: float | None
    """Accuracy on them."""
    val_loss: float | None
    """Mean cross-entropy on the monitored split, nats."""
    val_accuracy: float | None
    """Accuracy on it."""


class GateRow(OfRun, table="gates"):
    """A row an epoch and attention module of a run: its gate and the L2 norms of its weights."""

    epoch: int
    """From 1."""
    module: str
    """Slot of the module: stage1, stage2_block0, …"""
    gate: float | None
    """The learned factor on the module's output."""
    query: float | None
    """L2 norm of the query weights."""
    key: float | None
    """L2 norm of the key weights."""
    value: float | None
    """L2 norm of the value weights."""
