"""A study's tables and verdicts made here, row by row, without a run: for the tests of the report."""

from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import get_args

import numpy as np

from cnntention import files
from cnntention.config import Study, parse_study
from cnntention.report.reading import VERDICTS
from cnntention.results import tables as t
from cnntention.results.looks import Look
from cnntention.results.rows import TABLES, Row, frame
from cnntention.results.words import Reason, Settled, State, Test, Verdict

SGD = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "cosine"}}
CUES = {"train_images": 900, "validation_images": 50, "test_images": 100}
SCORES = {"plain": 0.61, "looking": 0.72, "gates": 0.615, "lone": 0.33}
ZOO = {name: 0.6 + 0.01 * i for i, name in enumerate(("se", "ese", "eca", "gc", "coord", "ela", "strip", "scoord"))}
COUNT = 3


def study(zoo: bool = False) -> Study:
    """Two experiments that share a model: one beside its baseline on two datasets, one without a baseline.

    zoo: a single one, of many modules on the same datasets.
    """
    attention = {"stage3": {"kind": "self-attention"}}
    config = {
        "study": {"name": "made", "question": "Is <b> & | read?", "scale": "cpu", "experiments": ["main", "other"]},
        "datasets": {
            "cues": CUES | {"source": {"format": "cuematch", "track": "relation-colour"}},
            "local": CUES | {"source": {"format": "cuematch", "track": "local"}},
        },
        "models": {
            "plain": {},
            "looking": {"attention": attention},
            "gates": {"attention": {"stage2": {"kind": "cbam"}}},
            "lone": {"attention": attention},
        },
        "recipes": {"brief": SGD | {"epochs": 2}},
        "experiments": {
            "main": {
                "question": "Does it | help?",
                "baseline": "plain",
                "grid": {"datasets": ["cues", "local"], "models": ["plain", "looking", "gates"], "recipes": "brief",
                         "seeds": COUNT},
            },
            "other": {
                "question": "And alone?",
                "grid": {"datasets": "cues", "models": ["lone", "looking"], "recipes": "brief", "seeds": COUNT},
            },
        },
        "claims": {
            "C1": {"sentence": "Looking | helps.", "experiment": "main", "model": "looking", "against": "plain"},
            "C2": {"sentence": "Not now.", "experiment": "main", "model": "looking", "value": 0.5},
        },
    }  # fmt: skip
    if zoo:
        config["study"] |= {"name": "zoo", "experiments": ["main"]}
        config["models"] |= {name: {"attention": {"stage3": {"kind": "timm", "name": name}}} for name in ZOO}
        config["experiments"]["main"]["grid"]["models"] = ["plain", "looking", *ZOO]
        config["claims"] = {}
    return parse_study(config)


def score_of(model: str) -> float:
    return (SCORES | ZOO)[model]


def filled(kind: type[Row], **known) -> Row:
    """A row with what is known, and something that fits elsewhere; None where that is allowed."""
    made = {}
    for name, field in kind.model_fields.items():
        of = kind.columns()[name]
        optional = NoneType in get_args(field.annotation)
        enum = isinstance(field.annotation, type) and issubclass(field.annotation, StrEnum)
        blank = next(iter(field.annotation)) if enum else {str: "x", int: 1, float: 0.5, bool: False}[of]
        made[name] = None if optional else blank
    return kind(**made | known)


def rows(study: Study) -> dict[str, list[Row]]:
    """Every table."""
    made: dict[str, list[Row]] = {name: [] for name in TABLES}
    models = list(dict.fromkeys(run.model for run in study.runs()))
    for run in study.runs():
        own = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed}
        score, attends = round(score_of(run.model) + 0.01 * run.seed, 4), run.model != "plain"
        life = {"attention_alive": True, "attention_used": run.seed > 0} if attends else {}
        solved = {"solved": int(score > 2 / 3)}
        more = {"test_accuracy": score, "modules": int(attends), "epochs": 2, "cam_sane": True, "ended": "all epochs"}
        more |= {"hardware": "a CPU, 1 thread", "commit": "0123456789ab", "val_accuracy": score}
        made["runs"].append(filled(t.RunRow, **own, **more, **life, **solved))
        for epoch in (1, 2):
            made["epochs"].append(filled(t.EpochRow, **own, epoch=epoch, val_accuracy=score - 0.1 / epoch))
        made["road"].append(filled(t.RoadRow, **own, method="gradcam"))
        if attends:
            module = {"module": "stage3", "state": State.ALIVE, "relative_change": 0.2}
            made["modules"].append(filled(t.ModuleRow, **own, **module))
            made["gates"] += [filled(t.GateRow, **own, epoch=e, module="stage3", gate=0.1 * e, query=e) for e in (1, 2)]
    for experiment in study.study.experiments:
        for dataset, model, recipe in study.cells(experiment):
            own = {"dataset": dataset, "model": model, "recipe": recipe}
            scores = [r.test_accuracy for r in made["runs"] if (r.dataset, r.model) == (dataset, model)]
            mean, sd = float(np.mean(scores)), float(np.std(scores, ddof=1))
            spread = {"n": COUNT, "mean": mean, "sd": sd, "low": mean - 0.02, "high": mean + 0.02, "diverged": 0}
            life = {} if model == "plain" else {"alive": COUNT, "used": COUNT - 1}
            spread |= {"solved": sum(s > 2 / 3 for s in scores), "min": min(scores), "max": max(scores)}
            spread |= {"solved_low": 0.1, "solved_high": 0.9}
            made["cells"].append(filled(t.CellRow, experiment=experiment, **own, **spread, **life))
    for dataset in ("cues", "local"):
        made["datasets"].append(filled(t.DatasetRow, dataset=dataset, classes=10, class_names="", source_sha256=""))
        for i, model in enumerate(models):
            step = {"training_step_ms": 40.0, "training_step_ratio": 1 + i / 10}
            made["cost"].append(filled(t.CostRow, dataset=dataset, model=model, macs=1000000 + 1000 * i, **step))
        for model in models:
            if model not in ("plain", "lone"):
                made["tests"].append(test(dataset, model, ""))
    if study.claims:
        made["tests"].append(test("cues", "looking", "C1"))
    for experiment in study.study.experiments:
        own = {
            "key": "0123456789",
            "experiment": experiment,
            "seeds": COUNT,
            "most_seeds": COUNT,
            "claims": 2,
            "open": 1,
            "planned": True,
        }
        made["looks"].append(filled(t.LookRow, **own, made="2026-01-01T00:00:00Z"))
    for name, claim in study.claims.items():
        verdict = "supported" if name == "C1" else "not run"
        told = {"claim": name, "experiment": "main", "metric": "test_accuracy", "published": ""}
        told |= {"sentence": claim.sentence}
        told |= {"claimed": "It sees | more." if name == "C1" else ""}
        made["claims"].append(filled(t.ClaimRow, **told, verdict=verdict, reason=Reason.SIGNIFICANT))
    return made


def test(dataset: str, model: str, claim: str, **known) -> Row:
    """A test of a model beside the baseline."""
    effect = score_of(model) - score_of("plain")
    own = {"experiment": "main", "claim": claim, "metric": "test_accuracy", "dataset": dataset, "model": model}
    own |= {"recipe": "brief", "other_model": "plain", "other_recipe": "brief", "test": Test.WELCH, "n": COUNT}
    own |= {"control_dataset": "", "control_model": "", "failing": "", "n_other": COUNT, "effect": effect, "p": 0.01}
    own |= {"low": effect - 0.03, "high": effect + 0.03, "p_adjusted": 0.02, "mde": 0.04, "margin": 0.003}
    sure = model == "looking"
    own |= {"verdict": Verdict.SUPPORTED if sure else Verdict.UNDECIDED}
    own |= {"reason": Reason.SIGNIFICANT if sure else Reason.NOT_SIGNIFICANT}
    return filled(t.TestRow, **own | known)


test.__test__ = False  # not for pytest


def arrays(study: Study) -> dict[str, np.ndarray]:
    """Images and maps of each cell's first seed."""
    made, some = {}, np.linspace(0, 255, 8 * 8).reshape(8, 8)
    for dataset in ("cues", "local"):
        made |= {f"{dataset}/index": np.arange(4), f"{dataset}/showcase": np.array([1])}
        made[f"{dataset}/labels"] = np.arange(4)
        made[f"{dataset}/images"] = np.broadcast_to(some.astype(np.uint8), (4, 3, 8, 8))
        for model in dict.fromkeys(run.model for run in study.runs()):
            cell = f"{dataset}/{model}/brief"
            made |= {f"{cell}/seed": np.zeros(1, int), f"{cell}/predicted": np.arange(4)[::-1]}
            made[f"{cell}/cam"] = np.broadcast_to(some.astype(np.uint8), (4, 8, 8))
            if model in ("looking", "lone"):
                made[f"{cell}/attention.stage3"] = np.full((2, 1, 1, 4, 4), 1 / 16, np.float16)
                made[f"{cell}/attention.stage3.queries"] = np.ones((2, 1, 2), np.int16)
    return made


def write(folder: Path, zoo: bool = False) -> Study:
    """`folder`/{tables,verdicts} as the steps leave them."""
    made = study(zoo)
    for name, own in rows(made).items():
        part = "verdicts" if name in VERDICTS else "tables"
        files.write_csv(folder / part / f"{name}.csv", frame(own, TABLES[name]))
    files.write_json(folder / "tables/study.json", made.model_dump(mode="json"))
    files.write_tensors(folder / "tables/explanations.safetensors", arrays(made))
    Look(number=1, claims={}, spent=0, price=0, reached={}, ended=Settled.FIXED).write(folder / "verdicts/look.json")
    facts = {"commit": "0123456789ab", "python": "3.11", "libraries": {"torch": "2"}}
    card = {
        "study": made.study.name,
        "key": "0123456789",
        "runs": len(made.runs()),
        "missing": [],
        "made": "2026-01-01T00:00:00Z",
        "provenance": facts,
    }
    for part in ("tables", "verdicts"):
        hashes = {
            path.name: files.sha256(path) for path in sorted((folder / part).iterdir()) if path.name != "card.json"
        }
        files.write_record(folder / part / "card.json", card | {"sha256": hashes})
    return made
