"""How fast runs train: measured on them, on others of the same model, or scaled by what the models cost."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cnntention import plan
from cnntention.config import CueMatchSource, Run, Study
from cnntention.status.cost import seconds_an_image
from cnntention.status.runs import RunStatus, read_mapping

# Of the published training sets, until a card says how many there are: CIFAR's, MNIST's.
PUBLISHED = {"cifar-binary": (50_000, (3, 32, 32)), "idx": (60_000, (1, 28, 28))}
CLASSES = 10  # the same; one layer's width, which no time depends on


@dataclass(frozen=True)
class Images:
    """What of a dataset a training's duration depends on."""

    train: int
    """Training images, so of an epoch."""
    channels: int
    side: int
    """Of the square crops that are trained on, px."""
    classes: int


def images_of(study: Study, name: str) -> Images | None:
    """From the dataset's card; before it is prepared from its configuration; None if that does not say."""
    dataset = study.datasets[name]
    size = dataset.augment.crop_size
    if facts := card_facts(Path(plan.data_folder(study, name), "card.json")):
        return Images(facts.train, facts.channels, size or facts.side, facts.classes)
    if isinstance(dataset.source, CueMatchSource):
        return Images(dataset.train_images, 3, size or dataset.source.size, CLASSES)
    if dataset.source.format not in PUBLISHED:
        return None
    total, (channels, side, _) = PUBLISHED[dataset.source.format]
    return Images(dataset.train_images or total - dataset.validation_images, channels, size or side, CLASSES)


def card_facts(path: Path) -> Images | None:
    card, _ = read_mapping(path)
    try:
        facts = (card["images"]["train"], card["image"]["channels"], card["image"]["height"], card["classes"])
    except (KeyError, TypeError):
        return None
    return Images(*facts) if all(isinstance(fact, int) and fact > 0 for fact in facts) else None


class Source(StrEnum):
    """How a speed is known, from the best to the worst."""

    OWN = "runs of the same kind"  # dataset, model and recipe
    TIMED = "steps timed now"
    MODEL = "the same model and image size"
    ROUGH = "other models, roughly scaled by size"


@dataclass(frozen=True)
class Speed:
    images_per_s: float
    source: Source


@dataclass(frozen=True)
class Measured:
    """A speed that was measured, and the run that it stands for."""

    run: Run
    images_per_s: float
    source: Source = Source.OWN


class Speeds:
    """The speeds of a study's runs, from those that were measured."""

    def __init__(self, study: Study, images: dict[str, Images | None], measured: Iterable[Measured]):
        self.study, self.images = study, images
        cells, models, rough = defaultdict(list), defaultdict(list), []
        for entry in measured:
            run, speed = entry.run, entry.images_per_s
            cells[run.dataset, run.model, run.recipe].append((speed, entry.source))
            models[run.model, self.side(run.dataset)].append(speed)
            if cost := self.cost(run):
                rough.append(speed * cost)
        self.cells = {cell: Speed(mean([s for s, _ in of]), of[0][1]) for cell, of in cells.items()}
        self.models = {key: Speed(mean(of), Source.MODEL) for key, of in models.items()}
        self.rough = statistics.median(rough) if rough else None

    def of(self, run: Run) -> Speed | None:
        """The run's speed as far as it is known; None as long as nothing was measured."""
        found = self.cells.get((run.dataset, run.model, run.recipe))
        found = found or self.models.get((run.model, self.side(run.dataset)))
        if found or self.rough is None:
            return found
        cost = self.cost(run)
        return Speed(self.rough / cost, Source.ROUGH) if cost else None

    def side(self, dataset: str) -> int | None:
        images = self.images[dataset]
        return images.side if images else None

    def cost(self, run: Run) -> float | None:
        side = self.side(run.dataset)
        return seconds_an_image(self.study.models[run.model], side) if side else None


def mean(speeds: list[float]) -> float:
    """The speed at which equal numbers of images take the mean time."""
    return statistics.harmonic_mean(speeds)


def image_facts(study: Study) -> dict[str, Images | None]:
    return {dataset: images_of(study, dataset) for dataset in dict.fromkeys(run.dataset for run in study.runs())}


def measured_speeds(statuses: Iterable[RunStatus]) -> list[Measured]:
    """What finished runs and those under way tell; a run that diverged at once tells nothing."""
    return [Measured(s.run, s.images_per_s) for s in statuses if s.images_per_s and s.images_per_s > 0]


def device_of(statuses: Iterable[RunStatus]) -> str | None:
    """The device that most finished runs were trained on."""
    devices = Counter(status.device for status in statuses if status.device)
    return devices.most_common(1)[0][0] if devices else None
