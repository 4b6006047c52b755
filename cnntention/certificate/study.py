"""The configuration of a study that tests one module: networks, controls, experiments, claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntention.certificate.source import Source, slug
from cnntention.certificate.widths import WIDEST, wider
from cnntention.config import merge, nearest, read
from cnntention.config.base import extended
from cnntention.errors import UserError
from cnntention.files import sha256
from cnntention.models.registry import load_plugins
from cnntention.shipped import home

RELATION, LOCAL = "relation", "local"
CONTROLS = {
    "frozen": "with untrained parameters",
    "constant": "with its mean effect on every image",
}
WIDTH = 16


@dataclass(frozen=True)
class Scale:
    """How large a certificate's networks are."""

    depth: int
    places: tuple[str, ...]
    """Stages after which the module is placed on CueMatch."""
    images: tuple[str, ...]
    """The same for real images."""
    dataset: str
    """What is trained on if the user names nothing."""
    train_images: int | None
    """Of a named dataset those that are used."""


SCALES = {
    # after stage 2 every place has seen its glyph and no more; stage 1 costs nine tenths of the time
    "cpu": Scale(8, ("stage2",), ("stage2", "stage3"), RELATION, 10_000),
    "full": Scale(20, ("stage1", "stage2", "stage3"), ("stage1", "stage2", "stage3"), "cifar10", None),
}


def configuration(source: Source, scale: str, dataset: str | None, budget: float | None) -> dict[str, Any]:
    """The mapping of config.yaml; `dataset`: a name in this package's config.yaml, an .npz file, or the scale's own."""
    of, config = SCALES[scale], dict(read(home() / f"workflow/certificate/{scale}.yaml"))
    name, entry = named(dataset or of.dataset, of)
    backbone, subject = f"resnet{of.depth}", source.name
    config["study"] = config.get("study", {}) | {
        "name": f"certificate-{subject}"[:60],
        "question": f"Does {subject} help a small CNN?",
        "experiments": ["certificate"] if name == RELATION else ["certificate", "places"],
        "certificate": subject,
    }
    if source.plugin:
        config["plugins"] = [source.plugin]
        load_plugins(config["plugins"])
    if entry:
        config["datasets"] = config["datasets"] | {name: entry}
    if budget is not None:
        config = merge(config, {"statistics": {"sequential": {"budget": budget}}})

    def placed(stages: tuple[str, ...], **more: Any) -> dict[str, Any]:
        return {"depth": of.depth, "attention": dict.fromkeys(stages, source.slot | more)}

    main, slots = (RELATION, of.places) if name == RELATION else (name, of.images)
    widths = wider(of.depth, WIDTH, placed(slots), shape_of(config["datasets"][main]["source"]))
    controls = {name: what for name, what in CONTROLS.items() if widths.own or name != "frozen"}
    models = {backbone: {"depth": of.depth}, subject: placed(slots)}
    models |= {f"{subject}-{control}": placed(slots, control=control) for control in controls}
    wide = {f"{backbone}-width{n}": {"depth": of.depth, "width": n} for n in sorted(set(widths.nearest.values()))}
    config["models"] = models | wide
    at = subject
    if slots != of.places:
        at = f"{subject}-places"
        config["models"][at] = placed(of.places)
    config["experiments"] = experiments(subject, at, backbone, main, list(config["models"]))
    config["claims"] = claims(subject, at, backbone, main, controls, list(wide), widths.fewer)
    return config


def named(dataset: str, of: Scale) -> tuple[str, dict[str, Any]]:
    """A dataset's name and entry; of CueMatch the scale has it already."""
    if dataset in (RELATION, "cuematch"):
        return RELATION, {}
    path = Path(dataset)
    if path.suffix == ".npz":
        if not path.is_file():
            raise UserError(f"--dataset: {dataset}: there is no such file.")
        entry = {"source": {"format": "npz", "archive": {"urls": [str(path.resolve())], "sha256": sha256(path)}}}
        count = npz_shape(path)[0]
        kept = {} if count <= 1.2 * (of.train_images or count) else {"train_images": of.train_images}
        return slug(path.stem), entry | kept | {"validation_images": min(count, of.train_images or count) // 6}
    known = extended("datasets", read(home() / "config.yaml")["datasets"])
    if dataset not in known:
        hint = nearest(dataset, [*known, "cuematch"])
        raise UserError(f"--dataset: unknown dataset {dataset!r}{hint}, or an .npz file.")
    entry = dict(known[dataset])
    if of.train_images:
        entry |= {"train_images": of.train_images, "validation_images": of.train_images // 5}
    return dataset, entry


def shape_of(source: Mapping[str, Any]) -> tuple[int, int, int]:
    """(C, H, W) of a source's images."""
    if source["format"] == "npz":
        return npz_shape(source["archive"]["urls"][0])[1:]
    side = source.get("size") or 32
    return (1, 28, 28) if source["format"] == "idx" else (source.get("channels", 3), side, side)


def npz_shape(path: str | Path) -> tuple[int, int, int, int]:
    """(N, C, H, W) of a file's training images."""
    try:
        with np.load(path) as arrays:
            n, channels, height, width = arrays["train_images"].shape
    except (OSError, ValueError, KeyError, AttributeError):
        raise UserError(
            f"--dataset: {path}: is no .npz file with train_images of shape (N, C, H, W); see docs/extending.md."
        ) from None
    return n, channels, height, width


def experiments(subject: str, at: str, backbone: str, main: str, models: list[str]) -> dict[str, Any]:
    """One that compares the module with all controls, and CueMatch, if that is not the dataset anyway."""
    seeds, places = {"until": "decided"}, {"models": [backbone, at], "recipes": "places"}
    own = [model for model in models if model != at or at == subject]
    grid = [{"datasets": main, "models": own, "recipes": "places" if main == RELATION else "images", "seeds": seeds}]
    local = {"datasets": LOCAL, **places, "seeds": seeds}
    question = f"Does {subject} do better than the network without it, than wider ones, and than its controls?"
    if main == RELATION:
        grid.append(local)
    made = {"certificate": {"question": question, "baseline": backbone, "grid": grid}}
    if main != RELATION:
        grid = [{"datasets": RELATION, **places, "seeds": seeds}, local]
        question = f"Can {subject} relate two distant places of an image?"
        made["places"] = {"question": question, "baseline": backbone, "grid": grid}
    return made


def claims(
    subject: str, at: str, backbone: str, main: str, controls: Mapping[str, str], wide: list[str], fewer: list[str]
) -> dict[str, Any]:
    """The certificate's rows. Where networks solve CueMatch or do not, the runs that do are counted."""
    common = {"experiment": "certificate", "datasets": main, "model": subject}
    common |= {"metric": "solved"} if main == RELATION else {}
    helps = {"sentence": f"{subject} does better than {backbone} without it.", **common, "against": backbone}
    places = {
        "sentence": f"More runs with {subject} relate two distant places than without it.",
        "experiment": "certificate" if main == RELATION else "places",
        "datasets": RELATION,
        "metric": "solved",
        "model": at,
        "against": backbone,
        "learned": LOCAL,
    }
    as_many = "of as many MACs and parameters"
    if fewer:
        less = " and ".join(name.replace("macs", "MACs") for name in fewer)
        as_many = f"up to {WIDEST} times as wide; it has more {less} than they"
    more = {
        "sentence": f"It does better than wider networks without attention {as_many}.",
        **common,
        "against": wide,
    }
    constant = {
        "sentence": f"It does better than itself {' and '.join(controls.values())}.",
        **common,
        "against": [f"{subject}-{control}" for control in controls],
        "preconditions": ["own_attention_used", "same_recipe", "test_untouched"],
    }
    made = {} if main == RELATION else {"helps": helps}
    made |= {"capacity": more} if wide else {}
    return made | {"constant": constant, "places": places}
