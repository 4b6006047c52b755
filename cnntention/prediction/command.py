"""`cnntention predict` and `cnntention explain`: images of the user's own, by a finished run."""

from pathlib import Path

from cnntention.prediction.images import fit
from cnntention.prediction.run import load_run


def predict_images(folder: str, plugins: list[str], images: list[str], top: int) -> None:
    """Print a line an image: its name, and its most probable classes."""
    run = load_run(folder, plugins=plugins)
    fitted = fit(images, run.image_size)
    for image, row in zip(fitted, run.probabilities(fitted), strict=True):
        best = sorted(range(len(row)), key=lambda label: -row[label])[:top]
        note = f" ({image.note})" if image.note else ""
        print(f"{image.name}: {', '.join(f'{run.class_names[label]} {row[label]:.1%}' for label in best)}{note}")


def explain_image(folder: str, plugins: list[str], image: str, out: str) -> None:
    """Write the picture; print where, and whether the image was resized."""
    from cnntention.prediction.picture import draw

    run = load_run(folder, plugins=plugins)
    note = draw(run, image, Path(out)).note
    print(f"{out}: explains {image}{f' ({note})' if note else ''}")
