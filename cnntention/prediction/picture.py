"""One image explained: Grad-CAM for the predicted class, and what each attention module attends to."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cnntention.errors import UserError
from cnntention.explanation.cam import Sample, grad_cam, sample
from cnntention.explanation.maps import attention_rows
from cnntention.models.registry import attention_maps, attention_modules
from cnntention.prediction.images import Fitted, fit
from cnntention.prediction.run import LoadedRun
from cnntention.report import theme
from cnntention.report.figures.maps import Map, lay

COLUMNS, SIDE, HEAD = 4, 2.2, 0.55  # panels in a row; inches: a panel's longer side, its title
CAM = "Grad-CAM: bright where the last stage has evidence for the predicted class, scaled to the map's largest value."
QUERY = (
    "Attention: what the ringed place, Grad-CAM's largest value, attends to; mean over heads, scaled to the map's "
    "largest value, which the title gives in multiples of uniform attention."
)
GATE = "Spatial gate: the factor on each place, scaled from its smallest (dark) to its largest value, in the title."
NO_MAP = "Without a map of places: {}."


class Explained(NamedTuple):
    """What the picture shows."""

    image: Fitted
    probabilities: np.ndarray
    """(classes,)"""
    panels: list[Map]
    """Grad-CAM, then the attention modules' in the order of the network."""
    notes: list[str]
    """What the panels show, in sentences."""


def explain(run: LoadedRun, image: Any) -> Explained:
    """Grad-CAM and attention maps of one image; UserError if it is none."""
    fitted = fit(image, run.image_size)
    if len(fitted) > 1:
        raise UserError(f"image: give one to explain, not {len(fitted)}.")
    probabilities = run.probabilities(fitted)[0]
    chosen = sample(run.model, run.batches(fitted[0].pixels[None]), [0])
    cam = grad_cam(run.model, chosen.images, chosen.predicted)
    best = int(probabilities.argmax())
    title = f"Grad-CAM\n{run.class_names[best]}, {probabilities[best]:.1%}"
    panels, notes = [Map(cam[0], title if cam.any() else f"{title}: no evidence")], [CAM]
    without = []
    for name, panel, note in attention_panels(run, chosen, cam):
        if panel is None:
            without.append(name)
        else:
            panels.append(panel)
            notes.append(note)
    notes += [NO_MAP.format(", ".join(without))] if without else []
    return Explained(fitted[0], probabilities, panels, list(dict.fromkeys(notes)))


def attention_panels(run: LoadedRun, chosen: Sample, cam: np.ndarray) -> Iterator[tuple[str, Map | None, str]]:
    """Of each attention module its name, its map, None if it has none of places, and what that shows."""
    strongest = np.array([np.unravel_index(cam[0].argmax(), cam.shape[1:])])
    rows = attention_rows(run.model, chosen, {"strongest": strongest})
    gates = attention_maps(run.model, chosen.images)
    for name, module in attention_modules(run.model):
        scale = f", gate {module.gate.item():.2g}" if hasattr(module, "gate") else ""
        if f"attention.{name}" in rows:
            heat = rows[f"attention.{name}"][0, 0].astype(float).mean(axis=0)
            at = (rows[f"attention.{name}.queries"][0, 0] + 0.5) / heat.shape
            peak = heat.max() / heat.mean()
            yield name, Map(heat, f"{name}: attention{scale}\nup to {peak:.3g} x uniform", at), QUERY
        elif "spatial" in gates.get(name, {}):
            heat = gates[name]["spatial"][0].float().cpu().numpy()
            low, high = float(heat.min()), float(heat.max())
            yield name, Map(heat - low, f"{name}: spatial gate{scale}\n{low:.2g} to {high:.2g}"), GATE
        else:
            yield name, None, ""


def draw(run: LoadedRun, image: Any, out: Path) -> Fitted:
    """Write the picture to `out`, a .png or .svg; returns the image that it explains."""
    if out.suffix not in (".png", ".svg"):
        raise UserError(f"{out}: give a name that ends in .png or .svg.")
    found = explain(run, image)
    with theme.style("explain"):
        theme.save(sheet(run, found), out)
    return found.image


def sheet(run: LoadedRun, found: Explained):
    """The image and its panels in a pair of axes in inches, y downwards; notes below."""
    _, height, width = run.image_size
    across, high = SIDE * width / max(height, width), SIDE * height / max(height, width)
    shown = [None, *found.panels]
    columns = max(3, min(COLUMNS, len(shown)))
    wide = columns * (SIDE + 0.15) + 0.15
    notes = [line for note in found.notes for line in textwrap.wrap(note, int(wide * 17))]
    down = HEAD + high
    total = 0.35 + -(-len(shown) // columns) * down + 0.15 + 0.17 * len(notes) + 0.1
    figure = theme.canvas(wide, total, layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, wide), ylim=(total, 0))
    axes.axis("off")
    axes.text(0.15, 0.22, theme.verbatim(headline(run, found)), weight="bold", va="center")
    for i, panel in enumerate(shown):
        left, top = 0.15 + (i % columns) * (SIDE + 0.15), 0.35 + (i // columns) * down + HEAD
        lay(axes, (left, left + across, top + high, top), found.image.pixels, panel)
        seen = f"what the network sees\n{width} x {height} px"
        axes.text(left, top - 0.06, theme.verbatim(panel.title if panel else seen), va="bottom", fontsize=8.5)
    for i, line in enumerate(notes):
        axes.text(0.15, total - 0.1 - 0.17 * (len(notes) - i - 0.5), line, va="center", fontsize=8, color=theme.GREY)
    return figure


def headline(run: LoadedRun, found: Explained) -> str:
    """The image, its size if that was another, and the run."""
    made = run.record
    name = textwrap.shorten(Path(found.image.name).name, 30, placeholder="…")
    note = f", {found.image.note}" if found.image.note else ""
    return f"{name}{note}; {made.dataset['name']}/{made.model['name']}/{made.recipe['name']}/seed{made.seed}"
