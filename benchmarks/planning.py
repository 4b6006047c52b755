"""How long does `snakemake -n` take on a study of 2,000 runs, with nothing done and with everything done?

    python benchmarks/planning.py [--runs 2000]

Also with the runs done and the report missing, where every run still has a place in the plan.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from cnntention.config import load
from cnntention.report.figures import figure_files
from cnntention.results import paths

ROOT = Path(__file__).resolve().parents[1]


def study_of(runs: int) -> dict:
    """An overlay: the four models on one dataset, with as many seeds as it takes."""
    models = ["resnet20", "self-attention", "multi-head", "cbam"]
    grid = {"datasets": ["cuematch-local"], "models": models, "recipes": "equal", "seeds": -(-runs // len(models))}
    experiments = {"large": {"question": "How long does planning take?", "baseline": "resnet20", "grid": grid}}
    return {"study": {"name": "large", "experiments": ["large"]}, "experiments": experiments}


def pretend_finished(study) -> None:
    """Make empty files where the study's results belong: to a plan, a file that exists is right."""
    folder, data = paths.study_folder(study), paths.data_folder(study, "cuematch-local")
    made = [*paths.study_inputs(study), *(f"{data}/{name}" for name in paths.SPLIT_FILES)]
    made += [f"{folder}/tables/{name}" for name in paths.TABLE_FILES]
    made += [f"{folder}/verdicts/{name}" for name in paths.VERDICT_FILES]
    figures = [figure.path for figure in figure_files(study)]
    made += [f"{folder}/report/{name}" for name in ("card.json", "index.html", "report.md", *figures)]
    for path in map(Path, made):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


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
        print(f"| everything done | {jobs} | {after:.1f} |", flush=True)
        shutil.rmtree(paths.study_folder(study))
        last, jobs = seconds_to_plan()
        print(f"| runs done, no report | {jobs} | {last:.1f} |")
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
