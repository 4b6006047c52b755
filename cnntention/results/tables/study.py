"""Tables of costs, datasets, and what the original study published."""

from cnntention.results.rows import Row


class CostRow(Row, table="cost"):
    """A row a dataset and model: counts, and medians of the times of rounds.csv. A _ratio is to the first model without
    attention, of times within each round."""

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
    """Forward pass of one image, ms."""
    inference_images_per_s: float
    """Throughput of the forward pass."""
    training_step_ms: float
    """Training step of one batch, ms."""
    training_step_ratio: float | None
    """Training step, to the first model without attention."""
    training_step_ratio_q25: float | None
    """Lower quartile over rounds."""
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


class RoundRow(Row, table="rounds"):
    """A row a round of a process and model: times in which all models took turns, each the median of its calls."""

    dataset: str
    """Name of the dataset."""
    model: str
    """Name of the model."""
    process: int
    """From 1; each is a new one."""
    round: int
    """From 1, within the process."""
    latency_ms: float
    """Forward pass of one image, ms."""
    inference_ms: float
    """Forward pass of one batch, ms."""
    training_step_ms: float
    """Training step of one batch, ms."""


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
