"""The explain step: Grad-CAM maps of one run."""

from pathlib import Path

from cnntention import files, plan
from cnntention.config import Run, Study
from cnntention.explanation.cam import choose_images, explain, summary
from cnntention.storage import open_run


def explain_run(study: Study, run: Run, threads: int, device_name: str) -> None:
    """Write explanations.safetensors (images, maps) and explanations.json (which images, how the maps are)."""
    opened, settings = open_run(study, run, threads, device_name), study.explanation
    batches = opened.batches
    showcase = settings.showcase.get(run.dataset, ())
    chosen = choose_images(settings.images, len(batches), settings.seed, showcase)
    result = explain(opened.model, batches, chosen)
    folder = Path(run.folder)
    files.write_tensors(folder / "explanations.safetensors", result)
    description = {
        "key": plan.explanation_key(study, run, opened.record["weights_sha256"]),
        "sha256": files.sha256(folder / "explanations.safetensors"),
        "method": "Grad-CAM at each stage's output, after its attention module; maps scaled to [0, 1] image by image",
        "test_images": chosen,
        "showcase": sum(i < len(batches) for i in dict.fromkeys(showcase)),
        "maps": summary(result),
    }
    files.write_json(folder / "explanations.json", description)
