"""The study's tables, a class each. Accuracies, drops and other shares lie between 0 and 1; empty: not applicable."""

from cnntention.results.rows import Row
from cnntention.results.words import Ended, Reason, State, Test, Verdict


class OfRun(Row):
    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    recipe: str
    """Name of the recipe."""
    seed: int
    """Seed of initialisation, data order and augmentation."""


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
    nll: float
    """Mean negative log-likelihood on the test split, nats."""
    brier: float
    """Brier score, summed over classes: 0 to 2."""
    ece: float
    """Expected calibration error."""
    solved: int | None
    """CueMatch: 1 if test accuracy is at least half way from 1/candidates to 1, else 0."""
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
    epochs_to_reach: int | None
    """First epoch whose monitored accuracy is at least `statistics.reach`."""
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
    """Whether accuracy falls by more than two standard errors when all attention modules are replaced by the identity."""
    accuracy_without_attention: float | None
    """Accuracy on the diagnosed sample with all attention modules replaced by the identity."""
    cam_sane: bool
    """Whether the last stage's Grad-CAM maps pass the parameter-randomization check (Adebayo et al. 2018)."""
    cam_mass: float | None
    """Share of those maps that lies on the region where the label is decided, if that is known."""
    cam_auc: float | None
    """Chance that a pixel in the region outranks one outside."""
    road: float
    """ROAD of those maps (Rong et al. 2022): 0 for a random order of pixels."""
    lookup: float | None
    """CueMatch: attention from match to cue relative to uniform attention, mean over heads of the best module."""
    parameters: int
    """Learned and frozen parameters."""
    images_per_s: float | None
    """Median training speed of an epoch, images per second; empty if the run diverged in its first."""
    train_seconds: float
    """Seconds spent in training steps."""
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
    """Lower end of Student's 95 % interval of the mean."""
    high: float | None
    """Upper end."""
    min: float
    """Lowest test accuracy."""
    max: float
    """Highest test accuracy."""
    solved: int | None
    """CueMatch: runs that solve their track."""
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


class ModuleState(Row):
    """An attention module of a finished run."""

    module: str
    """Slot of the module: stage1, stage2_block0, …"""
    kind: str
    """Attention kind."""
    state: State
    """alive, off, constant, uniform, or diverged."""
    gate: float | None
    """The learned factor on the module's output."""
    relative_change: float
    """Mean over images of ||module(x) - x|| / ||x||."""
    drop_identity: float
    """Fall in accuracy when the module is replaced by the identity."""
    drop_identity_se: float
    """Its standard error, paired over images."""
    drop_mean: float
    """Fall in accuracy when the module does to every image what it does on average."""
    drop_mean_se: float
    """Its standard error."""
    drop_head: float | None
    """Fall in accuracy without the head that is missed most."""
    entropy: float | None
    """Mean entropy of attention over queries and heads, as a share of uniform attention's."""
    distance: float | None
    """Mean attention distance, as a share of the distance between opposite corners."""
    uniform_distance: float | None
    """The same of uniform attention."""
    head_diversity: float | None
    """Mean Jensen-Shannon divergence between two heads, bits (Lin 1991)."""
    effective_heads: float | None
    """Number of wholly different heads of the same diversity (Jost 2007)."""
    channel_spread: float | None
    """CBAM: standard deviation of the channel gate."""
    spatial_spread: float | None
    """CBAM: standard deviation of the spatial gate."""
    norm_query: float | None
    """L2 norm of the query weights."""
    norm_key: float | None
    """L2 norm of the key weights."""
    norm_value: float | None
    """L2 norm of the value weights."""


class ModuleRow(ModuleState, OfRun, table="modules"):
    """A row a run and attention module: is it alive, is it used, where does it look?"""


class MapScore(Row):
    """How far Grad-CAM maps lie on a region; means over images."""

    stage: str
    """Stage whose output is explained."""
    target: str
    """predicted or label: the class that is explained."""
    region: str
    """Pixels on which the label depends: match, cue, match+cue, marker, digit."""
    method: str
    """gradcam; untrained: the same of an untrained network; uniform, centre, edges: maps without any network; ceiling: the
    region at the stage's resolution."""
    images: int
    """Images scored."""
    empty: int
    """Maps without positive evidence, left out."""
    mass: float | None
    """Share of the map on the region."""
    normalized_mass: float | None
    """The same, 0 for the uniform map and 1 for the ceiling."""
    auc: float | None
    """Chance that a pixel in the region outranks one outside."""


class MapRow(MapScore, OfRun, table="maps"):
    """A row a run, stage, target, region and method of explanation."""


class RoadScore(Row):
    """ROAD (Rong et al. 2022) of the last stage's maps for the predicted class; means over images and shares removed."""

    method: str
    """As in maps.csv."""
    images: int
    """Images scored."""
    road: float
    """Half the difference of lerf and morf: 0 for a random order of pixels."""
    road_se: float
    """Its standard error over images."""
    morf: float
    """Confidence kept when the most relevant pixels are removed first."""
    lerf: float
    """The same when the least relevant are."""
    morf_unchanged: float
    """Share of predictions that stay the same when the most relevant are removed."""
    lerf_unchanged: float
    """The same for the least relevant."""


class RoadRow(RoadScore, OfRun, table="road"):
    """A row a run and method: are the maps faithful to the network?"""


class SanityScore(Row):
    """The parameter-randomization check (Adebayo et al. 2018)."""

    stage: str
    """Stage whose output is explained."""
    level: str
    """Down to which layer the parameters were drawn anew; all: every one."""
    correlation: float | None
    """Spearman's rank correlation with the trained network's maps, mean over images and draws."""
    images: int
    """Images compared."""


class SanityRow(SanityScore, OfRun, table="sanity"):
    """A row a run, stage and level of randomization."""


class LookUp(Row):
    """CueMatch: attention from one object's cells to the other's."""

    module: str
    """Slot of the module."""
    head: int
    """From 0."""
    direction: str
    """match_to_cue or cue_to_match."""
    score: float
    """Attention relative to uniform attention: 1 means that the other object is not looked up."""
    se: float
    """Its standard error over images."""
    images: int
    """Images scored."""


class LookUpRow(LookUp, OfRun, table="lookup"):
    """A row a run, module, head and direction."""


class AgreementRow(Row, table="agreement"):
    """A row two models of one dataset and recipe, or one model with itself: how far their Grad-CAM maps agree."""

    dataset: str
    """Name of the dataset."""
    recipe: str
    """Name of the recipe."""
    model: str
    """One model."""
    other: str
    """The other, or the same."""
    agreement: float | None
    """Spearman's rank correlation of two runs' maps of one image, mean over images, then over pairs of runs of
    different seeds."""
    sd: float | None
    """Sample standard deviation over those pairs."""
    pairs: int
    """Pairs of runs."""
    of_seeds: float | None
    """Mean of what the two models reach each with itself."""


class CostRow(Row, table="cost"):
    """A row a dataset and model: counts, and times of rounds taken in turn. Times are medians over rounds in ms, _q25 and
    _q75 their quartiles; a _ratio is to the first model without attention, within each round."""

    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    parameters: int
    """Parameters."""
    attention_parameters: int
    """Of them in attention modules."""
    macs: int
    """Multiply-accumulates of one image's forward pass."""
    macs_ratio: float | None
    """To the first model without attention."""
    attention_matrix_bytes: int
    """Bytes of one image's attention matrices, were they stored in fp32."""
    latency_ms: float
    """Forward pass of one image."""
    latency_ms_q25: float
    """Lower quartile."""
    latency_ms_q75: float
    """Upper quartile."""
    inference_images_per_s: float
    """Throughput of the forward pass."""
    training_step_ms: float
    """Training step of one batch."""
    training_step_ms_q25: float
    """Lower quartile."""
    training_step_ms_q75: float
    """Upper quartile."""
    training_step_ratio: float | None
    """Training step, to the first model without attention."""
    training_step_ratio_q25: float | None
    """Lower quartile."""
    training_step_ratio_q75: float | None
    """Upper quartile."""
    training_images_per_s: float
    """Throughput of training."""
    training_memory_bytes: int
    """What a first training step adds to memory at its peak."""
    inference_joules: float | None
    """Energy of one image's forward pass, J."""
    training_step_joules: float | None
    """Energy of one training step, J."""
    energy: str
    """Where the energy was read, or why it was not."""
    batch_size: int
    """Images in a batch."""
    image: str
    """Channels x height x width."""
    hardware: str
    """GPU, or CPU and threads."""
    commit: str
    """Git commit of the code."""


class DatasetRow(Row, table="datasets"):
    """A row a dataset: what it was made of."""

    dataset: str
    """Name of the dataset."""
    format: str
    """Format of its source."""
    licence: str
    """Its licence, as far as known."""
    image: str
    """Channels x height x width."""
    classes: int
    """Number of classes."""
    class_names: str
    """Their names, separated by semicolons."""
    train: int
    """Training images."""
    val: int
    """Validation images."""
    test: int
    """Test images."""
    key: str
    """Hash of what determines the prepared files."""
    source: str
    """Files, separated by semicolons; generated."""
    source_sha256: str
    """Their SHA-256; empty if generated."""


class PublishedRow(Row, table="published"):
    """A row a result of the original study and recipe here: its test error beside ours, in %."""

    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    test_error: float
    """Published test error, %; one run."""
    epochs: int
    """Epochs that it was trained."""
    note: str
    """How that number was made."""
    our_recipe: str
    """Recipe of our runs; empty if there are none."""
    our_error: float | None
    """Mean test error of our runs, %."""
    our_sd: float | None
    """Its sample standard deviation."""
    n: int
    """Our runs."""


class TestRow(Row, table="tests"):
    """A row a test: two cells of an experiment, or one and a number, compared on a metric. Tests of no claim compare an
    experiment's models with its baseline. Effects, intervals and margins are in the metric's unit."""

    __test__ = False  # not for pytest

    experiment: str
    """Name of the experiment."""
    claim: str
    """Name of the claim; empty for a model beside the experiment's baseline."""
    family: str
    """Tests that share a chance of a false alarm."""
    metric: str
    """A column of runs, modules (mean over a run's) or cost."""
    expect: str
    """higher, lower, equal, not-lower or front."""
    dataset: str
    """Dataset of the cell."""
    model: str
    """Its model."""
    recipe: str
    """Its recipe."""
    other_model: str
    """Model of the cell that it is compared with; empty for a number."""
    other_recipe: str
    """Its recipe."""
    control_dataset: str
    """A control: the same difference on this dataset is subtracted."""
    control_model: str
    """A control: the same difference of this model is subtracted."""
    value: float | None
    """The number that the cell is compared with."""
    test: Test
    """How it was tested."""
    n: int
    """Runs of the cell."""
    n_other: int | None
    """Runs of the other."""
    mean: float | None
    """Mean of the cell."""
    sd: float | None
    """Its sample standard deviation."""
    mean_other: float | None
    """Mean of the other."""
    sd_other: float | None
    """Its sample standard deviation."""
    effect: float | None
    """The first mean less the second, less that of the control."""
    low: float | None
    """Lower end of its 95 % interval."""
    high: float | None
    """Upper end. Of times: what the quartiles of both leave open."""
    p: float | None
    """Two-sided p-value."""
    p_holm: float | None
    """The same, adjusted by Holm over the family."""
    tests: int
    """Tests made in the family."""
    mde: float | None
    """Smallest true effect that would be found with the power asked, at the first step of Holm's."""
    margin: float | None
    """Differences below it count as equivalent."""
    margin_low: float | None
    """Lower end of the interval that is held against the margin, of level 1 - 2 alpha."""
    margin_high: float | None
    """Upper end."""
    verdict: Verdict
    """What the test says of what is expected; empty claim: of a difference either way."""
    reason: Reason
    """Why."""
    failing: str
    """The models, and in how many of their runs, for which a precondition fails or a value is missing: cbam 2/3."""


class ClaimRow(Row, table="claims"):
    """A row a claim. A claim of several tests needs all of them: the worst verdict is the claim's."""

    claim: str
    """Name of the claim."""
    experiment: str
    """Experiment that tests it."""
    metric: str
    """What is compared."""
    expect: str
    """higher, lower, equal, not-lower or front."""
    sentence: str
    """What is claimed."""
    source: str
    """Who claims it."""
    published: str
    """What the original study measured."""
    verdict: Verdict
    """supported, refuted, inconclusive, void or not run."""
    reason: Reason
    """Why, from the test that decides."""
    tests: int
    """Its tests."""
