"""How long runs train: what they cost on a reference core, scaled by the speeds that were measured."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from cnntention.config import Model, Run, Study
from cnntention.config.models import STAGES
from cnntention.results import paths
from cnntention.status.runs import read_json

# Seconds that a training image of 32 px takes on one core of an AMD EPYC in bf16, measured once: a block in each stage,
# of 16 channels and twice and four times as many; then one attention module on stage 2, of 16 x 16 positions.
BLOCKS = 1 / 1200
ATTENTION = {"self-attention": 1 / 520 - 1 / 1200, "multi-head": 1 / 340 - 1 / 1200, "cbam": 1 / 840 - 1 / 1200}
POSITIONS = {stage: 16.0 ** (1 - i) for i, stage in enumerate(STAGES)}  # pairs of positions, relative to stage 2


def seconds_an_image(model: Model, side: int) -> float:
    """On that core, for images of `side` px. A plugin's kind counts as self-attention."""
    blocks, scale = (model.depth - 2) // 6, (side / 32) ** 2
    modules = [
        POSITIONS[stage] * ATTENTION.get(option.kind, ATTENTION["self-attention"])
        for stage, slot in model.modules.items()
        for option in slot
    ]
    each = blocks if model.placement == "block" else 1
    return blocks * BLOCKS * (model.width / 16) ** 2 * scale + each * sum(modules) * scale**2


def training_images(study: Study, name: str) -> tuple[int, int]:
    """(their number, their side in px), of the dataset's card or, until it is prepared, of its configuration."""
    dataset, card = study.datasets[name], read_json(Path(paths.data_folder(study, name), "card.json"))
    try:
        count, side = int(card["images"]["train"]), int(card["image"]["height"])
    except (KeyError, TypeError, ValueError):  # an archive is taken for MNIST's or CIFAR's
        total, side = (60_000, 28) if dataset.source.format == "idx" else (50_000, 32)
        count = dataset.train_images or total - dataset.validation_images
        side = getattr(dataset.source, "size", None) or side
    return max(1, count), max(1, dataset.augment.crop_size or side)


class Speeds:
    """How long each run trains, from `measured`, images/s of runs; the others are scaled from those most like them."""

    def __init__(self, study: Study, measured: Mapping[Run, float], source: str):
        self.study, self.measured, self.source = study, measured, source
        self.images = {dataset: training_images(study, dataset) for dataset in study.datasets_used()}
        ratios = defaultdict(list)
        for run, images_per_s in measured.items():
            for kind in self.kinds(run):
                ratios[kind].append(images_per_s * self.reference(run))
        self.ratios = {kind: statistics.median(of) for kind, of in ratios.items()}

    def kinds(self, run: Run) -> list[tuple[str, ...]]:
        """What a run shares with others, from much to little."""
        return [(run.dataset, run.model, run.recipe), (run.model, self.study.recipes[run.recipe].precision), ()]

    def reference(self, run: Run) -> float:
        """Seconds an image on the reference core."""
        return seconds_an_image(self.study.models[run.model], self.images[run.dataset][1])

    def seconds(self, run: Run) -> float:
        """Of the run's whole training; if no speed was measured at all, on the reference core."""
        ratio = next((self.ratios[kind] for kind in self.kinds(run) if kind in self.ratios), 1.0)
        return self.study.recipes[run.recipe].epochs * self.images[run.dataset][0] * self.reference(run) / ratio
