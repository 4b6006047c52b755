"""The explain step: where one run looks, and how far that can be believed."""

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

DRAWS = 3  # untrained networks: one random network's maps can resemble anything


def explain_run(study: Study, run: Run, opened: Opened) -> None:
    """Write explanations.safetensors (images, maps) and explanations.json (which images, how the maps are, scores)."""
    settings = study.explanation
    log = Log(run)
    showcase = settings.showcase.get(run.dataset, ())
    total = len(opened.batches)
    chosen = cam.choose_images(settings.images, total, settings.seed, showcase)
    scored = cam.choose_images(settings.scored_images, total, settings.seed, ())
    index = list(dict.fromkeys(scored + chosen))  # the same ones, but for the showcase
    found = cam.sample(opened.model, opened.batches, index)
    found_maps = cam.both_targets(opened.model, found)
    at = [index.index(i) for i in chosen]
    result = cam.stored(found.at(at), cam.picked(found_maps, at))
    log(f"Grad-CAM of {len(index)} images")
    shown = sum(i < total for i in dict.fromkeys(showcase))
    examples = found.at(at[: shown + maps.EXAMPLES])
    attention, places = attention_of(opened, examples, result["cam.stage3.predicted"])
    log(f"attention of {sum(name.endswith('queries') for name in attention)} modules")
    path = opened.out / "explanations.safetensors"
    files.write_tensors(path, result | attention)
    Explanations(
        weights_sha256=opened.record.weights_sha256,
        sha256=files.sha256(path),
        test_images=chosen,
        showcase=shown,
        queries=places,
        **score(study, run, opened, found.first(len(scored)), cam.picked(found_maps, slice(len(scored))), log),
    ).write(path.with_suffix(".json"))


class Log:
    """A line a finished part, with its seconds."""

    def __init__(self, run: Run):
        self.run, self.start = run, time.perf_counter()

    def __call__(self, part: str) -> None:
        now = time.perf_counter()
        print(f"{self.run.name}: {part}, {now - self.start:.1f} s", flush=True)
        self.start = now


def attention_of(opened: Opened, found: cam.Sample, cams: np.ndarray) -> tuple[dict[str, np.ndarray], list[str]]:
    """The arrays of `maps.attention_rows` for the first of the stored images, and the names of their queries."""
    places = maps.queries(found, opened.batches.extras, cams[: len(found.index)])
    return maps.attention_rows(opened.model, found, places), list(places)


def untrained(study: Study, run: Run, opened: Opened) -> list[nn.Module]:
    """Networks of the run's architecture, each from a seed that no run has."""
    shape = opened.card["image"]["channels"], opened.card["classes"]
    nets = [build(study.models[run.model], *shape, derive(run.seed, f"untrained/{i}")) for i in range(DRAWS)]
    return [net.to(opened.device).eval() for net in nets]


def score(
    study: Study, run: Run, opened: Opened, found: cam.Sample, trained_maps: dict[str, cam.StageMaps], log: Log
) -> dict:
    """The scores of `records.Explanations`, over the scored images, of which ROAD and randomization take the first."""
    settings, model, extras = study.explanation, opened.model, opened.batches.extras
    fresh = untrained(study, run, opened)
    fresh_maps = cam.both_targets(fresh[0], found)
    log(f"Grad-CAM of {len(found.index)} images by an untrained network")
    masks = localisation.regions(found, extras, settings.foreground.get(run.dataset))
    scores = {"region": next(iter(masks), None)}
    scores["localisation"] = localisation.localise(trained_maps, fresh_maps, found, masks) if masks else []
    log(f"localisation in {len(masks)} regions")
    few = found.first(settings.road_images)
    methods = {"gradcam": trained_maps["predicted"]["stage3"], "untrained": fresh_maps["predicted"]["stage3"]}
    methods = {name: of[: len(few.index)] for name, of in (methods | localisation.baselines(found.pixels)).items()}
    scores["road"] = faithfulness.road(model, few, methods, settings.seed)
    log(f"ROAD of {len(few.index)} images")
    few = found.first(settings.images)
    own = cam.picked(trained_maps, slice(len(few.index)))["predicted"]
    scores["sanity"] = faithfulness.randomization(
        model, fresh, lambda net: cam.grad_cam(net, few.images, few.predicted), settings.sanity_threshold, own
    )
    log(f"randomization, maps of {len(few.index)} images")
    scores["lookup"] = maps.look_ups(model, found, masks["match"], masks["cue"]) if "cue" in masks else []
    log("look-up")
    return scores
