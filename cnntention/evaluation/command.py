"""The evaluate step: the test split's predictions and scores of one run."""

from pathlib import Path

from cnntention import device, files, plan
from cnntention.config import Run, Study
from cnntention.data.augment import load_batches
from cnntention.data.datasets import read_card, read_split
from cnntention.evaluation.metrics import evaluate
from cnntention.storage import read_model, read_run
from cnntention.training.loop import logits_of


def evaluate_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Write predictions.safetensors and metrics.json into the run's folder; fp32, whatever the recipe's precision."""
    where = device.choose(device_name)
    device.prepare_torch(threads, where)
    data = plan.data_folder(study, run.dataset)
    card = read_card(data)
    batches = load_batches(data, study.datasets[run.dataset], "test", where)
    logits = logits_of(read_model(study, run, card, where), batches).numpy()
    labels = batches.labels.cpu().numpy()
    folder = Path(run.folder)
    index = read_split(data, "test").extras["index"]
    files.write_tensors(folder / "predictions.safetensors", {"logits": logits, "labels": labels, "index": index})
    weights = read_run(run)["weights_sha256"]
    head = {"key": plan.evaluation_key(study, run, weights), "test_sha256": card["files"]["test.safetensors"]}
    files.write_json(folder / "metrics.json", head | evaluate(logits, labels, study.evaluation.calibration_bins))
