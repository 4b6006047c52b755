"""The explain step: Grad-CAM maps of one run."""

from pathlib import Path

from cnntention import device, files, plan
from cnntention.config import Run, Study
from cnntention.data.augment import load_batches
from cnntention.data.datasets import read_card
from cnntention.explanation.cam import choose_images, explain, summary
from cnntention.storage import read_model, read_run


def explain_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Write explanations.safetensors (images, maps) and explanations.json (which images, how the maps are)."""
    where = device.choose(device_name)
    device.prepare_torch(threads, where)
    data = plan.data_folder(study, run.dataset)
    card = read_card(data)
    batches = load_batches(data, study.datasets[run.dataset], "test", where)
    settings = study.explanation
    showcase = settings.showcase.get(run.dataset, ())
    chosen = choose_images(settings.images, len(batches), settings.seed, showcase)
    result = explain(read_model(study, run, card, where), batches, chosen)
    folder = Path(run.folder)
    files.write_tensors(folder / "explanations.safetensors", result)
    description = {
        "key": plan.explanation_key(study, run, read_run(run)["weights_sha256"]),
        "sha256": files.sha256(folder / "explanations.safetensors"),
        "method": "Grad-CAM at each stage's output, after its attention module; maps scaled to [0, 1] image by image",
        "test_images": chosen,
        "showcase": sum(i < len(batches) for i in dict.fromkeys(showcase)),
        "maps": summary(result),
    }
    files.write_json(folder / "explanations.json", description)
