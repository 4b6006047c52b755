"""The report: from a tables folder made here by hand, with numbers that are known, to page, text and figures."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cnntention import files, plan
from cnntention.config import Run, Study, load, parse_study
from cnntention.errors import UserError
from cnntention.evaluation.judge import judge_study
from cnntention.evaluation.pareto import pareto
from cnntention.report import attention_plots, cams, compared, figures, methods, text, verdicts
from cnntention.report.flags import flag
from cnntention.report.page import write_report
from cnntention.report.sources import Tables
from cnntention.report.tables import accuracy, experiments

SGD = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "cosine"}}
ARCHIVE = {"urls": "/home/somebody/pictures.tar.gz", "sha256": "ab" * 32}
CIFAR = {"source": {"format": "cifar-binary", "archive": ARCHIVE}, "augment": {"flip": True, "crop_padding": 4}}
GAIN = {"multi-head": 0.02}  # planted in its accuracy; the self-attention is off
CLAIM = {"experiment": "main", "recipe": "equal", "against": "resnet20"}
CLAIMS = {
    "C1": CLAIM | {"sentence": "Heads | help.", "published": "91 % against 90 %", "source": "abstract",
                   "model": "multi-head"},
    "C2": CLAIM | {"sentence": "Self-attention helps.", "model": "self-attention"},
    "C3": CLAIM | {"sentence": "Heads do as well alone.", "model": "multi-head", "against": "self-attention",
                   "metric": "nll", "preconditions": []},
    "C4": CLAIM | {"sentence": "Heads are light.", "model": "multi-head", "metric": "macs", "expect": "lower",
                   "preconditions": []},
    "C5": {"sentence": "Not now.", "experiment": "idle", "model": "multi-head", "against": "resnet20"},
}  # fmt: skip
CLASSES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MACHINE = {"hardware": "AMD EPYC, 1 thread", "commit": "0123456789ab"}


def make_study(seeds: int = 3, epochs: int = 4, models: int = 4) -> Study:
    """Two datasets, one of them a look-alike of a known one; a second recipe; one experiment without a baseline."""
    attention = {"stage3": {"kind": "self-attention"}}
    heads = {"stage3": {"kind": "multi-head", "heads": 4}}
    kinds = {"resnet20": {}, "self-attention": attention, "multi-head": heads, "cbam": attention}
    every = list(kinds)[:models]
    cue = {"format": "cuematch", "track": "relation-colour"}
    return parse_study(
        {
            "study": {"name": "made-up", "question": "Is <b> a tag & “it” read?", "experiments": ["main", "lone"]},
            "datasets": {
                "cifar10-jpeg": CIFAR,
                "cues": {"source": cue, "train_images": 9000, "validation_images": 500, "test_images": 1000},
            },
            "models": {name: {"attention": kinds[name]} for name in every},
            "recipes": {
                "equal": SGD | {"epochs": epochs},
                "short": SGD | {"epochs": epochs, "monitor": "test", "select": "best"},
            },
            "statistics": {"min_seeds": 3},
            "claims": CLAIMS,
            "experiments": {
                "main": {
                    "question": "Which recipe?",
                    "baseline": "resnet20",
                    "grid": {
                        "datasets": "cifar10-jpeg", "models": every, "recipes": ["equal", "short"], "seeds": seeds
                    },
                },
                "idle": {
                    "question": "Later?",
                    "grid": {"datasets": "cues", "models": every, "recipes": "equal", "seeds": 1},
                },
                "lone": {
                    "question": "One seed | no baseline?",
                    "grid": {"datasets": "cues", "models": every[:2], "recipes": "short", "seeds": 1},
                },
            },
            "explanation": {"showcase": {"cifar10-jpeg": [7662, 250]}},
            "published": [
                {"dataset": "cifar10-jpeg", "model": m, "test_error": 9.04, "epochs": 182, "note": "a | b"}
                for m in every[:2]
            ],
        }
    )  # fmt: skip


def diverged(run: Run) -> bool:
    return (run.recipe, run.seed) == ("short", 2)


def run_rows(study: Study, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for run in study.runs():
        level = 0.91 if run.dataset == "cifar10-jpeg" else 0.26
        score = round(level + GAIN.get(run.model, 0) + 0.002 * rng.standard_normal(), 4)
        row = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed, "key": run.key}
        row |= {"test_accuracy": score, "test_accuracy_low": score - 0.006, "test_accuracy_high": score + 0.006}
        row |= {"top2": 0.97, "nll": 0.31, "brier": 0.12, "ece": 0.034, "test_images": 10000, "val_accuracy": score}
        row |= {"train_accuracy": 0.99, "best_epoch": 2, "resumed": 0}
        row |= {"epochs": 2 if diverged(run) else study.recipes[run.recipe].epochs}
        row |= {"train_seconds": 1234.5, "threads": 1, "device": "cpu", "torch": "2.14.1", "folder": run.folder}
        plain, related = run.model == "resnet20", run.dataset == "cues"
        row |= {"ended": "diverged" if diverged(run) else "all epochs"}
        row |= {"leaks": run.recipe == "short", "gate_att3": None if plain else 0.2, "modules": 0 if plain else 1}
        unknown = plain or diverged(run)
        row |= dict.fromkeys(("attention_alive", "attention_used"), None if unknown else run.model == "multi-head")
        row |= {"accuracy_without_attention": None if unknown else 0.5, "cam_sane": True}
        row |= {"distance_slope": -0.7 if related else None}
        near, mid, far = (0.5, 0.25, 0.125) if related else (None, None, None)
        row |= {"accuracy_near": near, "accuracy_mid": mid, "accuracy_far": far, "learning_area": 0.7}
        rows.append(row | MACHINE | {"version": 2, "epochs_to_reach": 3 if run.seed else None})
    return pd.DataFrame(rows)


def attention_rows(study: Study) -> pd.DataFrame:
    rows = []
    for run in (run for run in study.runs() if run.model != "resnet20"):
        heads = run.model == "multi-head"
        row = {n: getattr(run, n) for n in ("dataset", "model", "recipe", "key", "seed")} | {"module": "att3"}
        row |= {"kind": run.model, "gate": 0.2 * (1 + run.seed) * (-1) ** run.seed * heads}
        row |= {"state": "diverged" if diverged(run) else "alive" if heads else "off"}
        row |= {"effective_heads": 2.5 if heads else None}
        row |= {"relative_change": 0.3 if heads else 0.0, "entropy": 0.8, "distance": 0.4, "uniform_distance": 0.37}
        row |= {"accuracy_drop_identity": 0.11 * heads, "accuracy_drop_mean": 0.05 * heads, "channel_spread": None}
        rows.append(row | {"head_diversity": 0.25 if heads else None, "spatial_spread": None})
    return pd.DataFrame(rows)


def explanation_rows(study: Study) -> dict[str, pd.DataFrame]:
    """Scores of the maps; those of self-attention do not depend on the parameters."""
    masses = {"gradcam": 0.4, "untrained": 0.2, "uniform": 0.1, "centre": 0.3, "edges": 0.25, "ceiling": 0.9}
    found = {name: [] for name in ("explanations", "faithfulness", "sanity", "lookup")}
    for run in study.runs():
        head, sane = {n: getattr(run, n) for n in ("dataset", "model", "recipe", "seed")}, run.model != "self-attention"
        where = {"stage": "stage3", "target": "predicted", "region": "match+cue", "reportable": sane, "images": 50}
        if run.dataset == "cues":
            scores = {m: {"mass": v, "normalized_mass": v, "auc": v + 0.1} for m, v in masses.items()}
            found["explanations"] += [head | where | {"method": m} | row for m, row in scores.items()]
        roads = {m: v / 2 for m, v in masses.items() if m != "ceiling"}
        found["faithfulness"] += [
            head | {"road_se": 0.01, "images": 20, "method": m, "road": v} for m, v in roads.items()
        ]
        level = {"stage": "stage3", "level": "all", "correlation": 0.1 if sane else 0.9, "threshold": 0.5, "sane": sane}
        found["sanity"].append(head | level | {"draws": 3, "images": 20})
        if run.dataset == "cues" and run.model != "resnet20":
            look = {"module": "att3", "head": 0, "se": 0.1, "images": 50}
            found["lookup"] += [head | look | {"direction": d, "score": 2.5} for d in ("match_to_cue", "cue_to_match")]
    pair = {"dataset": "cifar10-jpeg", "recipe": "equal", "sd": 0.1, "pairs": 3, "images": 10.0, "of_seeds": 0.6}
    own, other = {"other": "resnet20", "agreement": 0.6}, {"other": "multi-head", "agreement": 0.55}
    found["agreement"] = [pair | {"model": "resnet20"} | row for row in (own, other)]
    return {name: pd.DataFrame(rows) for name, rows in found.items()}


def curve_rows(study: Study, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for run in study.runs():
        head = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed}
        epochs = study.recipes[run.recipe].epochs
        for epoch in range(1, epochs + 1):
            error = 0.08 + 0.6 * np.exp(-4 * epoch / epochs) * (1 + 0.1 * rng.standard_normal())
            lost = diverged(run) and epoch == 2
            row = {"epoch": epoch, "train_loss": None if lost else 2.5 * error, "val_accuracy": 1 - error}
            if run.model != "resnet20":
                row |= {"att3.gate": 0.1 * epoch} | {f"att3.{name}": 1 / epoch for name in ("query", "key", "value")}
            rows.append(head | row)
            if lost:
                break
    return pd.DataFrame(rows)


def other_frames(study: Study, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    heads = [{n: getattr(run, n) for n in ("dataset", "model", "recipe", "seed")} for run in study.runs()]
    classes = [h | {"class": c, "test_accuracy": 0.9 + i / 200} for h in heads for i, c in enumerate(CLASSES)]
    cost = []
    for dataset, model in ((d, model) for d in plan.profiles(study) for model in study.models_on(d)):
        size = 1 + list(study.models).index(model)
        row = {
            "dataset": dataset,
            "model": model,
            "parameters": 269722 + 1000 * size,
            "attention_parameters": 1000 * size,
        }
        row |= {"macs": 40550000 * size, "macs_ratio": size, "attention_matrix_bytes": 4194304 * (size - 1)}
        row |= {"latency_ms": 5.0 * size, "latency_ms_q25": 5.0 * size - 0.2, "latency_ms_q75": 5.0 * size + 0.3}
        row |= {"training_images_per_s": 300 / size, "batch_size": 128, "training_memory_bytes": 2e8}
        row |= {"training_step_ms": 400.0 * size, "training_step_ms_q25": 390.0 * size}
        row |= {"training_step_ms_q75": 420.0 * size}
        row |= {"training_step_ratio": float(size), "training_step_ratio_q25": size - 0.01 * (size > 1)}
        row |= {"training_step_ratio_q75": size + 0.02 * (size > 1)}
        counted = dataset == "cues"  # the other dataset's machine has no counter
        row |= {"training_step_joules": 20.0 * size if counted else None, "energy": "RAPL" if counted else "no counter"}
        row |= {"inference_image_joules": 0.015 * size if counted else None}
        cost.append(row | MACHINE | {"image": "3x32x32"})
    published = []
    for entry in study.published:
        ours = {"our_recipe": "equal", "our_epochs": 4, "our_error": 8.5, "our_sd": 0.2, "n": 3}
        published += [entry.model_dump() | {"dataset": dataset} | ours for dataset in entry.dataset]
    formats = {"cifar10-jpeg": "cifar-binary", "cues": "cuematch"}
    sources = {"cifar10-jpeg": (ARCHIVE["urls"], ARCHIVE["sha256"]), "cues": ("generated", None)}
    data = [
        {"dataset": d, "format": formats[d], "licence": "none", "image": "3x32x32", "classes": 10, "train": 45000}
        | {"val": 5000, "test": 10000, "key": "0123456789", "source": sources[d][0], "source_sha256": sources[d][1]}
        for d in runs["dataset"].unique()
    ]
    frames = {"classes": classes, "cost": cost, "published": published, "datasets": data}
    return {name: pd.DataFrame(rows) for name, rows in frames.items()}


def tensors(study: Study, rng: np.random.Generator, count: int = 10) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for run in study.runs():
        cell = f"{run.dataset}/{run.model}/{run.recipe}"
        if f"{cell}/seed" in found:
            continue
        found[f"{run.dataset}/index"] = np.arange(count) * 7
        found[f"{run.dataset}/showcase"] = np.array([2 if run.dataset == "cifar10-jpeg" else 0])
        found[f"{run.dataset}/images"] = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        found[f"{run.dataset}/labels"] = np.arange(count) % 10
        found[f"{cell}/seed"] = np.array([run.seed])
        found[f"{cell}/predicted"] = (np.arange(count) + (rng.random(count) < 0.2)) % 10
        if run.model != "resnet20":
            queries = 2 if run.dataset == "cues" else 4
            found[f"{cell}/attention.att3"] = np.full((4, queries, 1, 8, 8), 1 / 64, np.float16)
            found[f"{cell}/attention.att3.queries"] = np.full((4, queries, 2), 3, np.int16)
        y, x = np.mgrid[:32, :32]
        for stage in ("stage1", "stage2", "stage3"):
            for target in ("predicted", "label"):
                hump = np.exp(-((x - 12) ** 2 + (y - 18) ** 2) / 90)
                maps = np.stack([np.rint(255 * hump).astype(np.uint8)] * count)
                maps[1] = 0  # no positive evidence
                found[f"{cell}/cam.{stage}.{target}"] = maps
    return found


def make_tables(study: Study, folder: Path) -> Path:
    """A tables folder as `summarise` writes it."""
    rng = np.random.default_rng(0)
    runs = run_rows(study, rng)
    frames = {"runs": runs, "accuracy": accuracy(runs), "experiments": experiments(study, runs)}
    frames |= {"curves": curve_rows(study, rng)} | other_frames(study, runs)
    frames |= {"pareto": pareto(runs, frames["cost"], study.statistics), "attention": attention_rows(study)}
    frames |= explanation_rows(study)
    for name, frame in frames.items():
        files.write_csv(folder / f"{name}.csv", frame)
    files.write_tensors(folder / "explanations.safetensors", tensors(study, rng))
    right = {folder: np.packbits(rng.random(10000) < 0.9) for folder in runs["folder"]}
    files.write_tensors(folder / "hits.safetensors", right)
    files.write_json(folder / "study.json", study.model_dump(mode="json"))
    facts = {
        "commit": "0123456789ab",
        "python": "3.11",
        "libraries": {"torch": "2.14.1"},
        "system": "Linux",
        "cpu": "x",
    }
    card = {"study": study.study.name, "key": "0" * 10, "runs": len(runs), "made": "2026-11-22T16:42:50Z"}
    hashes = {path.name: files.sha256(path) for path in sorted(folder.iterdir())}
    files.write_json(folder / "card.json", card | {"provenance": facts, "sha256": hashes})
    return folder


class Page(HTMLParser):
    """What the tests ask of a page: its tables' cells, headings, images, and everything that it refers to."""

    def __init__(self, source: str):
        super().__init__()
        self.tables, self.headings, self.images, self.references, self.tags, self.ids = [], [], [], [], set(), []
        self.words, self._cell, self._open = "", False, []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.add(tag)
        self.references += [values[name] for name in ("src", "href", "srcset", "data") if name in values]
        self.ids += [values["id"]] if "id" in values else []
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "img":
            self.images.append(values)
        if tag == "table":  # a claim's numbers are a table within the table of claims
            self.tables.append([])
            self._open.append(self.tables[-1])
            self._cell = False
        if tag == "tr":
            self._open[-1].append([])
        if tag in ("td", "th"):
            self._open[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")
        if tag == "table":
            self._open.pop()

    def handle_data(self, data):
        self.words += data
        if self._cell:
            self._open[-1][-1][-1] += data

    def rows(self, *heads: str) -> list[dict[str, str]]:
        """The rows of all tables that have these columns."""
        return [
            dict(zip(table[0], row, strict=True))
            for table in self.tables
            if set(heads) <= set(table[0])
            for row in table[1:]
            if len(row) == len(table[0])  # a row that spans them all says more about the one before
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Study, Path, Path]:
    study, folder = make_study(models=3), tmp_path_factory.mktemp("report")
    tables = make_tables(study, folder / "tables")
    judge_study(study, tables, folder / "claims")
    write_report(study, tables, folder / "claims", folder / "report")
    return study, tables, folder / "report"


@pytest.fixture(scope="module")
def claims(made) -> Path:
    return made[1].parent / "claims"


@pytest.fixture(scope="module")
def page(made) -> Page:
    return Page((made[2] / "index.html").read_text())


# --- the page stands alone ----------------------------------------------------------------------------------------


def test_page_needs_nothing_from_outside(page, made):
    assert all(reference.startswith(("#", "data:image/")) for reference in page.references)
    assert not page.tags & {"script", "link", "iframe", "object", "video"}
    source = (made[2] / "index.html").read_text()
    assert "url(" not in source
    assert "@import" not in source
    assert len(source) < 5e6


def test_headings_come_in_order(page):
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))


def test_links_within_the_page_have_targets(page):
    assert len(page.ids) == len(set(page.ids))
    assert {reference[1:] for reference in page.references if reference.startswith("#")} <= set(page.ids)


def test_every_image_says_what_it_shows(page, made):
    assert len(page.images) == len(figures.figure_files(made[0]))
    assert all(len(image["alt"]) > 30 for image in page.images)


def test_the_configurations_text_is_escaped(page, made):
    assert "Is <b> a tag & “it” read?" in page.words
    assert "b" in page.tags  # the page's own
    assert "Is <b> a" not in (made[2] / "index.html").read_text()


# --- the numbers are the tables' ----------------------------------------------------------------------------------


def test_accuracies_are_those_of_the_table(page, made):
    cells = pd.read_csv(made[1] / "accuracy.csv")
    shown = page.rows("Accuracy, %", "NLL")
    assert len(shown) == len(cells)
    for row, (_, cell) in zip(shown, cells.iterrows(), strict=True):
        assert (row["Model"], row["Recipe"], row["n"]) == (cell["model"], cell["recipe"], str(cell["n"]))
        sd = f" ± {100 * cell['sd']:.2f}" if cell["n"] > 1 else " (one seed)"
        assert row["Accuracy, %"] == f"{100 * cell['mean']:.2f}{sd}"


def test_differences_are_those_of_the_table(page, made):
    cells = pd.read_csv(made[1] / "experiments.csv")
    shown = page.rows("Difference, points")
    for row, (_, cell) in zip(shown, cells.iterrows(), strict=True):
        own = cell["experiment"] == "main" and cell["model"] == "resnet20"
        expected = "baseline" if own else "–" if pd.isna(cell["difference"]) else f"{100 * cell['difference']:+.2f}"
        assert row["Difference, points"] == expected.replace("-", "−")


def test_an_experiments_tests_are_those_of_the_comparisons(page, claims):
    tested = pd.read_csv(claims / "comparisons.csv")
    rows = {(row["Model"], row["Recipe"]): row for row in page.rows("Difference, points") if row["p (Holm)"] != "–"}
    assert len(rows) == len(tested) == 4
    for _, c in tested.iterrows():
        row = rows[c["model"], c["recipe"]]
        assert row["95 % interval"] == f"{100 * c['t_low']:+.2f} to {100 * c['t_high']:+.2f}".replace("-", "−")
        assert row["p (Holm)"] == ("< 0.001" if c["p_holm"] < 0.001 else f"{c['p_holm']:.3f}")
        assert row["MDE, points"] == f"{100 * c['mde']:.2f}"
        assert row["P(higher)"].startswith(f"{c['superiority']:.2f}")


def test_costs_runs_and_published_errors_are_those_of_the_tables(page, made):
    cost, runs = pd.read_csv(made[1] / "cost.csv"), pd.read_csv(made[1] / "runs.csv")
    assert [row["MMACs"] for row in page.rows("MMACs")] == [
        f"{row['macs'] / 1e6:.2f} (×{row['macs_ratio']:.2f})" for _, row in cost.iterrows()
    ]
    assert [row["Test, %"] for row in page.rows("Seed", "Folder")] == [
        f"{100 * value:.2f}" for value in runs["test_accuracy"]
    ]
    assert {row["Our error, %"] for row in page.rows("Published error, %")} == {"8.50 ± 0.20"}


def test_what_a_recipe_watches_is_not_called_validation(page):
    shown = {(row["Model"], row["Recipe"]): row["Val, %"] for row in page.rows("Seed", "Folder")}
    assert shown["resnet20", "short"] == "–"
    assert re.fullmatch(r"9\d\.\d\d", shown["resnet20", "equal"])
    assert "cifar10-jpeg: mean accuracy on the validation split, by short the test split, over a run’s" in page.words
    alts = " ".join(image["alt"] for image in page.images)
    assert "Test accuracy over 4 epochs on cifar10-jpeg; mean at the last epoch of all runs: resnet20 " in alts
    assert "(epoch 2)" in alts
    assert "as far as all runs of a model go. Of 9 runs 3 diverged." in page.words


def test_energy_is_shown_where_it_was_counted_and_otherwise_why_not(page):
    assert [row["Training step, J"] for row in page.rows("Training step, J")] == ["20.00", "40.00"]
    assert [row["Inference, mJ/image"] for row in page.rows("Training step, J")] == ["15.00", "30.00"]
    assert [row["Training time"] for row in page.rows("Training time")] == [
        *("×1.00", "×2.00 (1.99–2.02)", "×3.00 (2.99–3.02)"),
        *("×1.00", "×2.00 (1.99–2.02)"),
    ]
    assert "Energy: no counter. Measured on" in page.words
    assert "Energy: RAPL, the whole device, idle or busy. Measured on" in page.words


def test_the_front_is_ringed(made):
    _, tables, report = made
    fronts = pd.read_csv(tables / "pareto.csv").set_index("dataset")["front_macs"]
    for dataset in fronts.index.unique():
        rings = re.findall(r"<path[^>]*fill: none[^>]*stroke-width: 1\.2[^>]*/>", figure_source(report, dataset))
        dashed = sum("stroke-dasharray" in ring for ring in rings)
        counts = fronts[[dataset]].value_counts()
        assert (len(rings) - dashed, dashed) == (counts["yes"], counts.get("possibly", 0))


def figure_source(report: Path, dataset: str) -> str:
    return (report / f"figures/{dataset}.macs.svg").read_text()


def test_one_seed_shows_no_spread(page):
    assert any(row["Accuracy, %"].endswith("(one seed)") for row in page.rows("Accuracy, %", "NLL"))
    assert "nan" not in page.words.lower()


# --- the claims lead ----------------------------------------------------------------------------------------------


def test_the_answer_counts_the_verdicts_and_the_living(page):
    assert "Of 4 claims tested: 1 supported, 1 refuted, 1 inconclusive, 1 void." in page.words
    # main: 2 models x 2 recipes x 3 seeds, lone: 1; a seed of each by the second recipe diverged; multi-head is alive
    assert "Attention is alive in 5 of 11 runs with any; 2 more diverged." in page.words


def test_the_claims_come_first_and_each_has_its_verdict_its_effect_and_its_evidence(page, made, claims):
    assert page.words.index("Which claims hold?") < page.words.rindex("How accurate?")
    found = files.read_json(claims / "claims.json")["claims"]
    rows = {row["Claim"].split()[0]: row for row in page.rows("Claim", "Verdict")}
    assert list(rows) == ["C1", "C2", "C3", "C4"]
    assert [row["Verdict"].strip() for row in rows.values()] == ["✓ supported", "∅ void", "? inconclusive", "✕ refuted"]
    (first,) = found["C1"]["comparisons"]
    low, high = (f"{100 * end:+.2f}".replace("-", "−") for end in first["interval"])
    effect = f"{100 * first['difference']:+.2f} points [{low} to {high}], n\u00a0=\u00a03"
    assert f"against resnet20: {effect}" in rows["C1"]["We find"]
    assert "the attention of self-attention is not alive in 3 of 3 runs" in rows["C2"]["We find"]
    assert "121.65 beside 40.55 million MACs (×3.00) – it is the other way" in rows["C4"]["We find"]
    assert "experiment-main" in page.ids
    assert "claim-C5" not in page.ids  # of an experiment that this study does not run


def test_beside_no_difference_stands_what_could_have_been_seen():
    told = {"difference": 0.001, "n": [3, 3], "interval": [-0.002, 0.004], "mde": 0.0081, "verdict": "inconclusive"}
    told |= {"reason": "no significant difference"}
    assert verdicts.why("test_accuracy", told) == "no significant difference; MDE 0.81 points"
    assert verdicts.effect("test_accuracy", told) == "+0.10 points [−0.20 to +0.40], n\u00a0=\u00a03"
    few = told | {"interval": None, "mde": None, "reason": "not enough seeds (n = 2, needs 6)", "n": [2, 3]}
    assert verdicts.why("test_accuracy", few) == "not enough seeds (n = 2, needs 6)"
    assert verdicts.effect("test_accuracy", few) == "+0.10 points, n\u00a0=\u00a02 and 3"
    timed = {"quartiles": [[4.0, 6.0], [10.0, 10.0]]}
    assert verdicts.effect("training_step_ms", timed) == "4.00–6.00 beside 10.00 ms (×0.50)"


def test_without_claims_the_comparisons_answer(made):
    study, comparisons = made[0], pd.read_csv(made[1].parent / "claims/comparisons.csv")

    def summary(rows: pd.DataFrame) -> str:
        return compared.summary(Tables(study, {}, {"comparisons": rows}, {"claims": {}}, {}))

    assert "test accuracy is higher in 2 and lower in 0 of 4 comparisons (Holm p below 0.05)" in summary(comparisons)
    untested = comparisons.assign(p_holm=float("nan"), note="not enough seeds (n = 2, needs 6)")
    assert summary(untested).endswith("none of it is tested: not enough seeds (n = 2, needs 6).")
    assert "nothing is compared" in summary(comparisons[:0])


def test_a_small_study_says_so(made):
    study, runs = made[0], pd.read_csv(made[1] / "runs.csv")
    frames = {"runs": runs, "comparisons": pd.read_csv(made[1].parent / "claims/comparisons.csv")}
    small = study.model_copy(update={"study": study.study.model_copy(update={"scale": "cpu"})})
    told = [verdicts.answer(Tables(s, {}, frames, {"claims": {}}, {})) for s in (study, small)]
    assert told[1][:2] == told[0]
    assert "holds for these small sizes alone" in told[1][2]


# --- is the attention alive? ---------------------------------------------------------------------------------------


def flagged(runs: list[tuple], modules: list[str]) -> str:
    """The flag of a cell of these (ended, modules, alive, used) runs, with as many modules of these states each."""
    cell = dict(zip(("dataset", "model", "recipe"), "dmr", strict=True))
    columns = ("ended", "modules", "attention_alive", "attention_used")
    rows = [cell | {"seed": i} | dict(zip(columns, run, strict=True)) for i, run in enumerate(runs)]
    each = len(modules) // len(runs)
    states = [cell | {"seed": i // each, "state": state} for i, state in enumerate(modules)] if each else []
    frames = {"runs": pd.DataFrame(rows), "attention": pd.DataFrame(states, columns=[*cell, "seed", "state"])}
    return flag(Tables(None, {}, frames, {"claims": {}}, {}), pd.Series(cell))


def test_the_flag_says_alive_and_used_of_the_runs_that_did_not_diverge():
    sound, idle, dead = ("all epochs", 1, True, True), ("all epochs", 1, True, False), ("all epochs", 1, False, True)
    lost = ("diverged", 1, None, None)
    assert flagged([sound, sound], ["alive"] * 2) == "alive in 2/2 runs"
    assert flagged([sound, idle, idle], ["alive"] * 3) == "alive in 3/3 runs, used in 1/3"
    assert flagged([sound, sound], ["alive", "off", "alive", "alive"]) == "alive in 2/2 runs (off 1/4 modules)"
    assert flagged([sound, dead], ["alive", "uniform"]) == "not alive in 1/2 runs (uniform 1/2 modules)"
    assert flagged([dead], ["constant", "off"]) == "not alive in 1/1 runs (off 1/2, constant 1/2 modules)"
    assert flagged([sound, lost], ["alive", "diverged"]) == "alive in 1/1 runs"
    assert flagged([lost], ["diverged"]) == "all runs diverged"
    assert flagged([("all epochs", 0, None, None)], []) == "–"


def test_the_flag_stands_beside_every_accuracy(page):
    off = "not alive in 3/3 runs (off 3/3 modules), used in 0/3"
    for column in ("NLL", "plane", "Reached", "Our error, %", "Difference, points"):
        rows = [row for row in page.rows("Model", column) if row["Model"] == "self-attention"]
        assert rows[0]["Attention"] == off, column
        assert all("Attention" in row for row in page.rows("Model", column)), column
    (row,) = (row for row in page.rows("Near, %") if row["Model"] == "self-attention")
    assert row["Attention"] == "not alive in 1/1 runs (off 1/1 modules), used in 0/1"
    runs = {(row["Model"], row["Recipe"], row["Seed"]): row["Attention"] for row in page.rows("Seed", "Folder")}
    assert runs["self-attention", "equal", "0"] == "off 1/1, not used"
    assert runs["multi-head", "equal", "0"] == "alive 1/1"
    assert runs["multi-head", "short", "2"] == "diverged 1/1"
    assert runs["resnet20", "equal", "0"] == "–"
    assert f"points; attention: {off}" in page.words  # of the finding that leads the page


def test_liveness_stands_beside_the_accuracy(page):
    rows = {(row["Model"], row["Recipe"]): row for row in page.rows("Attention", "NLL")}
    assert rows["multi-head", "equal"]["Attention"] == "alive in 3/3 runs"
    assert rows["self-attention", "equal"]["Attention"] == "not alive in 3/3 runs (off 3/3 modules), used in 0/3"
    assert rows["multi-head", "short"]["Attention"] == "alive in 2/2 runs"
    assert rows["multi-head", "equal"]["Without it, %"] == "50.00 ± 0.00"
    assert rows["resnet20", "equal"]["Attention"] == rows["resnet20", "equal"]["Without it, %"] == "–"
    assert rows["multi-head", "equal"]["Note"] == "–"
    assert rows["multi-head", "short"]["Note"] == "the test split chose its epoch; diverged 1/3"


def test_every_module_is_described(page):
    rows = {(row["Model"], row["Recipe"]): row for row in page.rows("Module", "State")}
    heads = rows["multi-head", "equal"]
    assert (heads["State"], heads["Gate size"]) == ("alive 3/3", "0.400 (0.200–0.600)")  # of signs + − +
    assert (heads["Diversity"], heads["Effective heads"]) == ("0.250", "2.50")
    lost = rows["multi-head", "short"]
    assert (lost["State"], lost["Gate size"]) == ("alive 2/2; 1 diverged", "0.300 (0.200–0.400)")
    assert (heads["Drop, left out"], heads["Drop, mean effect"]) == ("11.00", "5.00")
    assert heads["Distance"] == "0.40; uniform 0.37"
    assert "Channel spread" not in heads  # no CBAM here
    (grid,) = (row for row in page.rows("Model", "equal", "short") if row["Model"] == "multi-head")
    assert (grid["equal"], grid["short"]) == ("3/3", "2/2")


def test_accuracy_by_distance_only_where_two_places_are_asked_for(page, made):
    (row,) = (row for row in page.rows("Near, %") if row["Model"] == "self-attention")
    assert (row["Near, %"], row["Far, %"], row["Slope per 10 px"]) == ("50.00", "12.50", "−0.70")
    kinds = {(figure.dataset, figure.kind) for figure in figures.figure_files(made[0])}
    assert {("cues", "distance"), ("cues", "gates"), ("cues", "norms"), ("cues", "attention")} <= kinds
    assert ("cifar10-jpeg", "distance") not in kinds


def test_cuematch_is_explained(page):
    asked = "the label is the shape of the candidate that has the disc’s colour, among 4 candidates"
    assert asked in page.words
    assert "ends at its floor of 1/4 = 25.0 %; chance is 10 %" in page.words


def test_maps_are_scored_beside_maps_that_know_nothing(page):
    rows = {(row["Model"], "Mass" in row): row for row in page.rows("ROAD", "Sane")}
    assert rows["resnet20", True]["Mass"] == "0.40"
    assert rows["edge filter", True]["Mass"] == "0.25"
    assert rows["self-attention", True] == rows["self-attention", True] | {"Mass": "[0.40]", "Sane": "0/1"}
    assert rows["resnet20", False]["ROAD"] == "0.200"
    assert rows["region itself", True]["ROAD"] == "–"
    assert {row["Match to cue, best head"] for row in page.rows("Match to cue, best head")} == {"2.5"}
    beside = [(row["Beside"], row["Agreement, ρ"], row["Each with itself, ρ"]) for row in page.rows("Agreement, ρ")]
    assert beside == [("itself, other seeds", "0.60 ± 0.10", "–"), ("multi-head", "0.55 ± 0.10", "0.60")]


def test_a_long_run_is_thinned_but_keeps_its_end():
    run = pd.DataFrame({"epoch": range(1, 183)})
    few = attention_plots.thinned(run)["epoch"].tolist()
    assert few[-1] == 182
    assert len(few) == 46
    assert attention_plots.thinned(run[:60])["epoch"].tolist() == list(range(1, 61))


def test_a_map_is_stretched_by_whole_cells():
    found = attention_plots.stretched(np.array([[1, 2], [3, 4]]), (4, 3))
    assert found.tolist() == [[1, 1, 2], [1, 1, 2], [3, 3, 4], [3, 3, 4]]


def test_a_lookalike_is_not_called_by_the_known_name(page):
    assert "CIFAR-10" not in page.words
    assert "cifar10-jpeg: pictures.tar.gz (local copy), SHA-256 abababab…" in page.words
    assert "somebody" not in page.words


DIGITS = "; ".join(sorted(methods.AUTHORS_ARCHIVES["mnist"]))


@pytest.mark.parametrize(
    ("kind", "digest", "expected"),
    [
        ("cifar-binary", *methods.AUTHORS_ARCHIVES["cifar10"], "the files of cifar10’s authors"),
        ("cifar-binary", "ab" * 32, "not the files of cifar10’s authors"),
        ("idx", DIGITS, "the files of mnist’s authors"),
        ("idx", DIGITS.replace("44", "45"), "not the files of mnist’s authors"),
        ("npz", "ab" * 32, "no reference hash known"),
        ("cuematch", None, "generated"),
    ],
)
def test_a_datasets_files_are_checked_whatever_it_is_called(kind, digest, expected):
    row = {"dataset": "mine", "format": kind, "source_sha256": digest}
    assert methods.source_check(pd.Series(row)) == expected


def test_the_configs_archives_are_the_known_ones():
    study = load([Path(__file__).parents[1] / "config.yaml"])
    for name, known in methods.AUTHORS_ARCHIVES.items():
        assert {archive.sha256 for archive in study.datasets[name].source.archives.values()} == known


# --- figures, files, errors ---------------------------------------------------------------------------------------


def test_figures_are_known_from_the_study_alone(made):
    names = [figure.path for figure in figures.figure_files(made[0])]
    assert len(names) == len(set(names))
    assert sorted(names) == sorted(f"figures/{path.name}" for path in (made[2] / "figures").iterdir())


def test_planning_loads_neither_matplotlib_nor_torch():
    code = "import sys, cnntention.report.figures; print(sorted({'matplotlib', 'torch', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_same_tables_give_the_same_bytes_without_torch(made, tmp_path):
    _, tables, first = made
    code = "import sys; sys.modules['torch'] = None\nfrom cnntention.cli import main\nsys.exit(main(sys.argv[1:]))"
    arguments = ["report", "--config", str(tables / "study.json"), "--tables", str(tables), "--out", str(tmp_path)]
    arguments += ["--claims", str(tables.parent / "claims")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    for path in (p for p in sorted(first.rglob("*")) if p.is_file() and p.name != "card.json"):
        assert path.read_bytes() == (tmp_path / path.relative_to(first)).read_bytes(), path.name


def test_card_carries_the_key(made, claims):
    study, tables, out = made
    key = files.read_json(claims / "claims.json")["key"]
    assert key == plan.judgement_key(study, files.read_json(tables / "card.json")["key"])
    assert files.read_json(out / "card.json")["key"] == plan.report_key(study, key)


def test_links_of_the_text_resolve(made):
    source = (made[2] / "report.md").read_text()
    links = re.findall(r"\]\(([^)]*)\)", source)
    assert len(links) > 5
    assert all((made[2] / link).is_file() for link in links)
    widths = [len(re.findall(r"(?<!\\)\|", line)) for line in source.splitlines() if line.startswith("| --- |")]
    assert widths


def test_maps_without_evidence_are_bare_and_counted(made, page):
    image = np.full((3, 8, 8), 100, np.uint8)
    bare = cams.overlay(image, np.zeros((8, 8), np.uint8))
    assert np.ptp(bare, axis=2).max() == pytest.approx(0)
    assert "without positive evidence" in page.words


def test_pictures_of_any_channels():
    for channels in (1, 2, 3, 4):
        assert cams.picture(np.zeros((channels, 8, 6), np.uint8)).shape == (8, 6, 3)


@pytest.mark.parametrize("name", ["runs.csv", "attention.csv", "card.json", "study.json", "explanations.safetensors"])
def test_a_missing_table_is_named(made, claims, tmp_path, name):
    tables = shutil.copytree(made[1], tmp_path / "tables")
    (tables / name).unlink()
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(made[0], tables, claims, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_another_form_or_content_is_named(made, claims, tmp_path):
    tables = shutil.copytree(made[1], tmp_path / "tables")
    source = (tables / "cost.csv").read_text()
    (tables / "cost.csv").write_text(source.replace("macs_ratio", "ratio"))
    with pytest.raises(UserError, match=r"cost\.csv: has no column macs_ratio"):
        write_report(made[0], tables, claims, tmp_path / "out")
    (tables / "cost.csv").write_text(source.replace("40550000", "40550001"))
    with pytest.raises(UserError, match=r"cost\.csv: is not the file"):
        write_report(made[0], tables, claims, tmp_path / "out")


def test_tables_of_another_study_are_refused(made, claims, tmp_path):
    other = made[0].model_copy(update={"study": made[0].study.model_copy(update={"name": "other"})})
    with pytest.raises(UserError, match=r"'made-up'.*'other'"):
        write_report(other, made[1], claims, tmp_path)


def test_verdicts_on_other_tables_are_refused(made, claims, tmp_path):
    other = shutil.copytree(claims, tmp_path / "claims")
    files.write_json(other / "claims.json", files.read_json(claims / "claims.json") | {"tables": "1" * 10})
    with pytest.raises(UserError, match=r"claims\.json: was judged on other tables"):
        write_report(made[0], made[1], other, tmp_path / "out")


def test_no_two_of_many_models_look_alike():
    config = make_study().model_dump(mode="json")
    names = [f"m{i}" for i in range(30)]
    config["models"] |= {name: {} for name in names}
    config["experiments"]["lone"]["grid"][0]["models"] = names
    found = figures.looks(parse_study(config))
    assert len(set(found.values())) == len(found) == 34


def test_numbers():
    assert text.number(-1.5) == "−1.50"
    assert text.number(float("nan")) == "–"
    assert text.size(9604) == "9.38 KiB"
    assert text.size(1023 * 2**20) == "1,023 MiB"
    assert text.listing(["a", "b", "c"]) == "a, b and c"
    assert text.spread(pd.Series([0.2, 0.4])) == "0.30 (0.20–0.40)"
    assert text.spread(pd.Series([None, 0.2], dtype=float)) == "0.20"
    assert [text.p_value(p) for p in (0.0004, 0.03, None)] == ["< 0.001", "0.030", "–"]
    assert text.unit("macs").value(40_550_000) == "40.55 million MACs"
    assert text.unit("accuracy_drop_identity").named(-0.012) == "−1.20 points"
