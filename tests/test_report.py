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
from cnntention.config import Study, load, parse_study
from cnntention.errors import UserError
from cnntention.report import cams, figures, methods, text
from cnntention.report.page import write_report
from cnntention.report.pareto import pareto
from cnntention.report.tables import accuracy, experiments

SGD = {"optimizer": {"name": "sgd", "lr": 0.1}, "schedule": {"name": "cosine"}}
ARCHIVE = {"urls": "/home/somebody/pictures.tar.gz", "sha256": "ab" * 32}
CIFAR = {"source": {"format": "cifar-binary", "archive": ARCHIVE}, "augment": {"flip": True, "crop_padding": 4}}
CLASSES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
MACHINE = {"hardware": "AMD EPYC, 1 thread", "commit": "0123456789ab"}


def make_study(seeds: int = 3, epochs: int = 4, models: int = 4) -> Study:
    """Two datasets, one of them a look-alike of a known one; a second recipe; one experiment without a baseline."""
    attention = {"stage3": {"kind": "self-attention"}}
    every = ["resnet20", "self-attention", "multi-head", "cbam"][:models]
    cue = {"format": "cuematch", "track": "relation-colour"}
    return parse_study(
        {
            "study": {"name": "made-up", "question": "Is <b> a tag & “it” read?", "experiments": ["main", "lone"]},
            "datasets": {
                "cifar10-jpeg": CIFAR,
                "cues": {"source": cue, "train_images": 9000, "validation_images": 500, "test_images": 1000},
            },
            "models": {name: {"attention": attention} if name != "resnet20" else {} for name in every},
            "recipes": {name: SGD | {"epochs": epochs} for name in ("equal", "short")},
            "experiments": {
                "main": {
                    "question": "Which recipe?",
                    "baseline": "resnet20",
                    "grid": {
                        "datasets": "cifar10-jpeg", "models": every, "recipes": ["equal", "short"], "seeds": seeds
                    },
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


def run_rows(study: Study, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for run in study.runs():
        level = 0.91 if run.dataset == "cifar10-jpeg" else 0.26
        score = round(level + 0.004 * len(run.model) / 10 + 0.002 * rng.standard_normal(), 4)
        row = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed, "key": run.key}
        row |= {"test_accuracy": score, "test_accuracy_low": score - 0.006, "test_accuracy_high": score + 0.006}
        row |= {"top2": 0.97, "nll": 0.31, "brier": 0.12, "ece": 0.034, "test_images": 10000, "val_accuracy": score}
        row |= {"train_accuracy": 0.99, "best_epoch": 2, "epochs": study.recipes[run.recipe].epochs, "resumed": 0}
        row |= {"train_seconds": 1234.5, "threads": 1, "device": "cpu", "torch": "2.14.1", "folder": run.folder}
        rows.append(row | MACHINE | {"gate_att3": None if run.model == "resnet20" else 0.2})
    return pd.DataFrame(rows)


def curve_rows(study: Study, rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for run in study.runs():
        head = {"dataset": run.dataset, "model": run.model, "recipe": run.recipe, "seed": run.seed}
        epochs = study.recipes[run.recipe].epochs
        for epoch in range(1, epochs + 1):
            error = 0.08 + 0.6 * np.exp(-4 * epoch / epochs) * (1 + 0.1 * rng.standard_normal())
            rows.append(head | {"epoch": epoch, "train_loss": 2.5 * error, "val_accuracy": 1 - error})
    return pd.DataFrame(rows)


def other_frames(study: Study, runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    heads = [{n: getattr(run, n) for n in ("dataset", "model", "recipe", "seed")} for run in study.runs()]
    classes = [h | {"class": c, "test_accuracy": 0.9 + i / 200} for h in heads for i, c in enumerate(CLASSES)]
    cost = []
    for dataset, model in ((dataset, model) for dataset in plan.profiles(study) for model in study.models_on(dataset)):
        size = 1 + list(study.models).index(model)
        row = {
            "dataset": dataset,
            "model": model,
            "parameters": 269722 + 1000 * size,
            "attention_parameters": 1000 * size,
        }
        row |= {"macs": 40550000 * size, "macs_ratio": size, "attention_matrix_bytes": 4194304 * (size - 1)}
        row |= {"latency_ms": 5.0 * size, "latency_iqr_ms": 0.5, "training_images_per_s": 300 / size, "batch_size": 128}
        row |= {"training_step_ms": 400.0 * size, "training_step_iqr_ms": 30.0, "training_memory_bytes": 2e8}
        row |= {"training_step_ratio": float(size), "training_step_ratio_iqr": 0.03 * (size > 1)}
        counted = dataset == "cues"  # the other dataset's machine has no counter
        row |= {"training_step_joules": 20.0 * size if counted else None, "energy": "RAPL" if counted else "no counter"}
        row |= {"inference_image_joules": 0.015 * size if counted else None}
        cost.append(row | MACHINE | {"image": "3x32x32"})
    published = []
    for entry in study.published:
        ours = {"our_recipe": "equal", "our_epochs": 4, "our_error": 8.5, "our_sd": 0.2, "n": 3}
        published.append(entry.model_dump() | ours)
    sources = {"cifar10-jpeg": (ARCHIVE["urls"], ARCHIVE["sha256"]), "cues": ("generated", None)}
    data = [
        {"dataset": d, "format": "x", "licence": "none", "image": "3x32x32", "classes": 10, "train": 45000, "val": 5000}
        | {"test": 10000, "key": "0123456789", "source": sources[d][0], "source_sha256": sources[d][1]}
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
    frames["pareto"] = pareto(runs, frames["cost"])
    for name, frame in frames.items():
        files.write_csv(folder / f"{name}.csv", frame)
    files.write_tensors(folder / "explanations.safetensors", tensors(study, rng))
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
        self.words, self._cell = "", False
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
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data):
        self.words += data
        if self._cell:
            self.tables[-1][-1][-1] += data

    def rows(self, *heads: str) -> list[dict[str, str]]:
        """The rows of all tables that have these columns."""
        return [
            dict(zip(table[0], row, strict=True))
            for table in self.tables
            if set(heads) <= set(table[0])
            for row in table[1:]
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Study, Path, Path]:
    study, folder = make_study(models=3), tmp_path_factory.mktemp("report")
    tables = make_tables(study, folder / "tables")
    write_report(study, tables, folder / "report")
    return study, tables, folder / "report"


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


def test_costs_runs_and_published_errors_are_those_of_the_tables(page, made):
    cost, runs = pd.read_csv(made[1] / "cost.csv"), pd.read_csv(made[1] / "runs.csv")
    assert [row["MMACs"] for row in page.rows("MMACs")] == [
        f"{row['macs'] / 1e6:.2f} (×{row['macs_ratio']:.2f})" for _, row in cost.iterrows()
    ]
    assert [row["Test, %"] for row in page.rows("Seed", "Folder")] == [
        f"{100 * value:.2f}" for value in runs["test_accuracy"]
    ]
    assert {row["Our error, %"] for row in page.rows("Published error, %")} == {"8.50 ± 0.20"}


def test_energy_is_shown_where_it_was_counted_and_otherwise_why_not(page):
    assert [row["Training step, J"] for row in page.rows("Training step, J")] == ["20.00", "40.00"]
    assert [row["Inference, mJ/image"] for row in page.rows("Training step, J")] == ["15.00", "30.00"]
    assert [row["Training time"] for row in page.rows("Training time")] == [
        *("×1.00", "×2.00 (0.03)", "×3.00 (0.03)"),
        *("×1.00", "×2.00 (0.03)"),
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


def test_answer_claims_no_more_than_was_done(page):
    assert "no test is made; differences are descriptive" in page.words
    assert not re.search("significant|better|outperform|improve", page.words.split("How accurate?")[-1], re.IGNORECASE)


def test_a_lookalike_is_not_called_by_the_known_name(page):
    assert "CIFAR-10" not in page.words
    assert "cifar10-jpeg: pictures.tar.gz (local copy), SHA-256 abababab…" in page.words
    assert "somebody" not in page.words


@pytest.mark.parametrize(
    ("name", "digest", "expected"),
    [
        ("cifar10", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", "its authors’ files"),
        ("cifar10", "ab" * 32, "not its authors’ files"),
        ("mine", "ab" * 32, "no reference hash known"),
        ("cues", None, "generated"),
    ],
)
def test_source_check(name, digest, expected):
    assert methods.source_check(pd.Series({"dataset": name, "source_sha256": digest})) == expected


def test_the_configs_archives_are_the_known_ones():
    study = load([Path(__file__).parents[1] / "config.yaml"])
    for name, known in methods.AUTHORS_ARCHIVES.items():
        assert {archive.sha256 for archive in study.datasets[name].source.archives.values()} == known


def comparison(cell: dict, baseline: dict) -> text.Comparison:
    return text.Comparison(pd.Series(cell), pd.Series(baseline))


def test_ranges():
    low, high = {"n": 3, "min": 0.90, "max": 0.91}, {"n": 3, "min": 0.92, "max": 0.93, "difference": 0.02}
    assert comparison(high, low).ranges == "every seed above"
    assert comparison(low | {"difference": -0.02}, high).ranges == "every seed below"
    assert comparison(high | {"min": 0.905}, low).ranges == "overlap"
    assert comparison(high | {"n": 1}, low).ranges == "one seed, no range"


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
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    for path in (p for p in sorted(first.rglob("*")) if p.is_file() and p.name != "card.json"):
        assert path.read_bytes() == (tmp_path / path.relative_to(first)).read_bytes(), path.name


def test_card_carries_the_key(made):
    study, tables, out = made
    key = files.read_json(tables / "card.json")["key"]
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


@pytest.mark.parametrize("name", ["runs.csv", "published.csv", "card.json", "study.json", "explanations.safetensors"])
def test_a_missing_table_is_named(made, tmp_path, name):
    tables = shutil.copytree(made[1], tmp_path / "tables")
    (tables / name).unlink()
    with pytest.raises(UserError, match=re.escape(name)):
        write_report(made[0], tables, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_table_of_another_form_or_content_is_named(made, tmp_path):
    tables = shutil.copytree(made[1], tmp_path / "tables")
    source = (tables / "cost.csv").read_text()
    (tables / "cost.csv").write_text(source.replace("macs_ratio", "ratio"))
    with pytest.raises(UserError, match=r"cost\.csv: has no column macs_ratio"):
        write_report(made[0], tables, tmp_path / "out")
    (tables / "cost.csv").write_text(source.replace("40550000", "40550001"))
    with pytest.raises(UserError, match=r"cost\.csv: is not the file"):
        write_report(made[0], tables, tmp_path / "out")


def test_tables_of_another_study_are_refused(made, tmp_path):
    other = made[0].model_copy(update={"study": made[0].study.model_copy(update={"name": "other"})})
    with pytest.raises(UserError, match=r"'made-up'.*'other'"):
        write_report(other, made[1], tmp_path)


def test_a_study_without_baseline_compares_nothing():
    assert "nothing is compared" in text.answer([])[0]


def test_numbers():
    assert text.number(-1.5) == "−1.50"
    assert text.number(float("nan")) == "–"
    assert text.size(9604) == "9.38 KiB"
    assert text.size(1023 * 2**20) == "1,023 MiB"
    assert text.listing(["a", "b", "c"]) == "a, b and c"
