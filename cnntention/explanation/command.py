"""The explain step: Grad-CAM and attention maps of a run, and how trustworthy they are."""

import time

import numpy as np
from torch import nn

from cnntention import files
from cnntention.config import Run, Study
from cnntention.explanation import cam, faithfulness, localisation, maps
from cnntention.models.registry import build
from cnntention.results.records import Explanations
from cnntention.seeding import derive
from cnntention.storage import Opened

DRAWS = 3  # untrained networks: the maps of a single one may resemble anything


def explain_run(study: Study, run: Run, opened: Opened) -> None:
    """Write explanations.safetensors (images, maps) and explanations.json (indices of the images, scores)."""
    settings = study.explanation
    log = Log(run)
    showcase = settings.showcase.get(run.dataset, ())
    total = len(opened.batches)
    chosen = cam.choose_images(settings.images, total, settings.seed, showcase)
    scored = cam.choose_images(settings.scored_images, total, settings.seed, ())
    index = list(dict.fromkeys(scored + chosen))  # `chosen` adds only the showcase
    sample = cam.sample(opened.model, opened.batches, index)
    trained = cam.grad_cam(opened.model, sample.images, sample.predicted)
    at = [index.index(i) for i in chosen]
    result = cam.stored(sample.at(at), trained[at])
    log(f"Grad-CAM of {len(index)} images")
    shown = sum(i < total for i in dict.fromkeys(showcase))
    attention, places = attention_of(opened, sample.at(at[: shown + maps.EXAMPLES]), result["cam"])
    log(f"attention of {sum(name.endswith('queries') for name in attention)} modules")
    path = opened.out / "explanations.safetensors"
    files.write_tensors(path, result | attention)
    Explanations(
        weights_sha256=opened.record.weights_sha256,
        sha256=files.sha256(path),
        test_images=chosen,
        showcase=shown,
        queries=places,
        **score(study, run, opened, sample.first(len(scored)), trained[: len(scored)], log),
    ).write(path.with_suffix(".json"))


class Log:
    """Prints a line for each finished part, with its seconds."""

    def __init__(self, run: Run):
        self.run, self.start = run, time.perf_counter()

    def __call__(self, part: str) -> None:
        now = time.perf_counter()
        print(f"{self.run.name}: {part}, {now - self.start:.1f} s", flush=True)
        self.start = now


def attention_of(opened: Opened, examples: cam.Sample, cams: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of `maps.attention_rows` for the examples, the first of the stored images; the queries' names."""
    places = maps.queries(examples, opened.batches.extras, cams[: len(examples.index)])
    return maps.attention_rows(opened.model, examples, places), list(places)


def untrained(study: Study, run: Run, opened: Opened) -> list[nn.Module]:
    """Untrained networks of the run's architecture, from seeds that no run has."""
    channels, *size = (opened.card["image"][side] for side in ("channels", "height", "width"))
    shape = channels, opened.card["classes"]
    seeds = [derive(run.seed, f"untrained/{i}") for i in range(DRAWS)]
    nets = [build(study.models[run.model], *shape, seed, tuple(size)) for seed in seeds]
    return [net.to(opened.device).eval() for net in nets]


def score(study: Study, run: Run, opened: Opened, sample: cam.Sample, trained: np.ndarray, log: Log) -> dict:
    """The scores of `records.Explanations`, over `sample`; ROAD and randomization use its first images."""
    settings, extras = study.explanation, opened.batches.extras
    fresh = untrained(study, run, opened)
    blind = cam.grad_cam(fresh[0], sample.images, sample.predicted)  # maps of an untrained network
    log(f"Grad-CAM of {len(sample.index)} images by an untrained network")
    masks = localisation.regions(sample, extras, settings.foreground.get(run.dataset))
    region = next(iter(masks), None)
    scored = localisation.localise(trained, blind, sample, region, masks[region]) if region else []
    few = sample.first(settings.road_images)
    methods = {"gradcam": trained, "untrained": blind} | localisation.baselines(sample.pixels)
    road = faithfulness.road(opened.model, few, {n: m[: len(few.index)] for n, m in methods.items()}, settings.seed)
    log(f"localisation, and ROAD of {len(few.index)} images")
    few = sample.first(settings.images)
    others = [blind[: len(few.index)], *(cam.grad_cam(net, few.images, few.predicted) for net in fresh[1:])]
    sanity = faithfulness.randomization(trained[: len(few.index)], others, settings.sanity_threshold)
    log(f"randomization, maps of {len(few.index)} images")
    lookup = maps.look_ups(opened.model, sample, masks["match"], masks["cue"]) if "cue" in masks else []
    return {"region": region, "localisation": scored, "road": road, "sanity": sanity, "lookup": lookup}
