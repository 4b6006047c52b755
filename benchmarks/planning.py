"""How long does `snakemake -n` take on a study of 2,000 runs, with nothing done and with everything done?

    python benchmarks/planning.py [--runs 2000]

The finished study is made of placeholder results with the right keys; a plan reads them as it would read real ones.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from cnntention import files, plan
from cnntention.config import load
from cnntention.report.figures import figure_files

ROOT = Path(__file__).resolve().parents[1]


def study_of(runs: int) -> dict:
    """An overlay: the four models on one dataset, with as many seeds as it takes."""
    models = ["resnet20", "self-attention", "multi-head", "cbam"]
    grid = {"datasets": ["cuematch-local"], "models": models, "recipes": "equal", "seeds": -(-runs // len(models))}
    experiments = {"large": {"question": "How long does planning take?", "baseline": "resnet20", "grid": grid}}
    return {"study": {"name": "large", "experiments": ["large"]}, "experiments": experiments}


def pretend_finished(study) -> None:
    """Write small files that a plan takes for the study's results, into the current folder."""
    for run in study.runs():
        folder = Path(run.folder)
        folder.mkdir(parents=True, exist_ok=True)
        weights = f"weights of {run.name}"
        contents = {
            "run.json": {"weights_sha256": weights},
            "metrics.json": {"key": plan.evaluation_key(study, run, weights)},
            "attention.json": {"key": plan.diagnosis_key(study, run, weights)},
            "explanations.json": {"key": plan.explanation_key(study, run, weights)},
        }
        for name in (*plan.RUN_FILES, *plan.EXAMINED):
            (folder / name).write_text(json.dumps(contents.get(name, {})))
    data = Path(plan.data_folder(study, "cuematch-local"))
    for path in [data / f"{split}.safetensors" for split in ("train", "val", "test")] + [data / "card.json"]:
        files.write_json(path, {})
    for path in plan.profiles(study).values():
        files.write_json(path, {})
    settings, content = plan.summary_settings(study), plan.summary_content(study)
    key = plan.summary_key(settings, content)
    base = Path(f"results/{study.study.name}")
    files.write_json(base / "tables/card.json", {"key": key, "settings": settings, "inputs": content})
    judged = plan.judgement_key(study, key)
    files.write_json(base / "claims/claims.json", {"key": judged})
    files.write_json(base / "report/card.json", {"key": plan.report_key(study, judged)})
    others = ["tables/runs.csv", "claims/comparisons.csv", "report/index.html", "report/report.md"]
    for name in others + [f"report/{figure.path}" for figure in figure_files(study)]:
        files.write_text(base / name, "")


def seconds_to_plan() -> tuple[float, str]:
    start = time.perf_counter()
    command = ["snakemake", "-n", "--quiet", "rules", "--configfile", "large.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = (done.stdout + done.stderr).splitlines()
    total = next((line.split()[1] for line in lines if line.startswith("total")), "0")
    return time.perf_counter() - start, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    args = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        for part in ("Snakefile", "config.yaml", "environment.yml", "workflow", "profiles"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, Path(folder, part))
        os.chdir(folder)
        Path("large.yaml").write_text(yaml.safe_dump(study_of(args.runs)))
        study = load(["config.yaml", "large.yaml"])
        print(f"{len(study.runs())} runs, {os.cpu_count()} cores")
        print("| state | jobs planned | seconds |\n| --- | --: | --: |")
        before, jobs = seconds_to_plan()
        print(f"| nothing done | {jobs} | {before:.1f} |", flush=True)
        pretend_finished(study)
        after, jobs = seconds_to_plan()
        print(f"| everything done | {jobs} | {after:.1f} |")
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
