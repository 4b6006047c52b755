"""The evaluate step: the test split's predictions and scores of one run."""

from pathlib import Path

from cnntention import files, plan
from cnntention.config import Run, Study
from cnntention.data.cuematch import BINS
from cnntention.evaluation.metrics import by_distance, evaluate
from cnntention.storage import Opened
from cnntention.training.loop import logits_of


def evaluate_run(study: Study, run: Run, opened: Opened) -> None:
    """Write predictions.safetensors and metrics.json into the run's folder; fp32, whatever the recipe's precision."""
    folder, batches = Path(run.folder), opened.batches
    logits, labels = logits_of(opened.model, batches).numpy(), batches.labels.cpu().numpy()
    predictions = {"logits": logits, "labels": labels, "index": batches.extras["index"]}
    files.write_tensors(folder / "predictions.safetensors", predictions)
    key = plan.evaluation_key(study, run, opened.record["weights_sha256"])
    scores = {"key": key, "test_sha256": opened.card["files"]["test.safetensors"]}
    scores |= evaluate(logits, labels, study.evaluation.calibration_bins)
    bins, distances = (batches.extras.get(f"factors.{name}") for name in ("distance_bin", "distance"))
    if bins is not None and (bins >= 0).all():  # CueMatch, where the label asks for two places
        scores["distance"] = by_distance(logits.argmax(axis=1) == labels, bins, distances, list(BINS))
    files.write_json(folder / "metrics.json", scores)
