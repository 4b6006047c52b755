"""The evaluate step: a run's predictions and scores on the test split."""

from cnntention import files
from cnntention.config import Run, Study
from cnntention.data.cuematch import BINS
from cnntention.evaluation.metrics import by_distance, evaluate
from cnntention.results.records import Distances, Metrics
from cnntention.storage import Opened
from cnntention.training.loop import logits_of


def evaluate_run(study: Study, run: Run, opened: Opened) -> None:
    """Write predictions.safetensors and metrics.json; fp32, whatever the recipe's precision."""
    batches = opened.batches
    logits, labels = logits_of(opened.model, batches).numpy(), batches.labels.cpu().numpy()
    bins, distances = (batches.extras.get(f"factors.{name}") for name in ("distance_bin", "distance"))
    distance = None
    if bins is not None and (bins >= 0).all():  # CueMatch with a cue: not track `local`
        distance = Distances(**by_distance(logits.argmax(axis=1) == labels, bins, distances, list(BINS)))
    path = opened.out / "predictions.safetensors"
    files.write_tensors(path, {"logits": logits, "labels": labels, "index": batches.extras["index"]})
    Metrics(
        weights_sha256=opened.record.weights_sha256,
        predictions_sha256=files.sha256(path),
        test_sha256=opened.card["files"]["test.safetensors"],
        **evaluate(logits, labels, study.evaluation.calibration_bins),
        distance=distance,
    ).write(opened.out / "metrics.json")
