"""One subcommand a step, thin: parse, read, call, write. Every step runs, and can be debugged, without the workflow.

Each takes `--config`, a list of YAML or JSON files of which later ones are laid over earlier ones; the workflow
passes its resolved configuration as one file.
"""

import argparse
import gc
import os
import sys
from pathlib import Path

from cnntention.config import Study, load
from cnntention.errors import UserError, explained

# These make the libraries compute fp32 in less, whatever the recipe says; oneDNN reads its own when torch is loaded.
OVERRULING = ("NVIDIA_TF32_OVERRIDE", "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")


def main(argv: list[str] | None = None) -> int:
    """Run one step; a UserError becomes one line on stderr and exit code 1."""
    args = parser().parse_args(argv)
    gc.set_threshold(100_000)  # importing torch makes many objects and hardly any garbage
    for name in OVERRULING:
        os.environ.pop(name, None)
    try:
        args.step(args)
    except (UserError, RuntimeError) as error:
        sentence = error if isinstance(error, UserError) else explained(error)
        if sentence is None:
            raise
        print(f"cnntention {args.command}: {sentence}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"cnntention {args.command}: interrupted.", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="cnntention", description="Steps of the CNNtention study.")
    steps = top.add_subparsers(dest="command", required=True, metavar="STEP")

    def step(name: str, function, *options: str) -> None:
        sub = steps.add_parser(name, help=function.__doc__, description=function.__doc__)
        sub.set_defaults(step=function)
        if name == "status":
            text = "configuration files, laid over config.yaml as Snakemake does (default: config.yaml alone)"
            sub.add_argument("--config", "--configfile", nargs="+", default=["config.yaml"], metavar="FILE", help=text)
        elif name not in ("clean", "schema"):
            sub.add_argument("--config", nargs="+", required=True, metavar="FILE", help="configuration files, in order")
        for option in options:
            sub.add_argument(f"--{option}", **OPTIONS[option])

    step("fetch", fetch, "dataset", "out")
    step("prepare", prepare, "dataset", "out")
    step("train", train, "run", "state", "threads", "device")
    step("examine", examine, "run", "threads", "device")
    step("evaluate", evaluate, "run", "threads", "device")
    step("diagnose", diagnose, "run", "threads", "device")
    step("explain", explain, "run", "threads", "device")
    step("profile", profile, "dataset", "out", "device")
    step("summarise", summarise, "out")
    step("judge", judge, "tables", "out")
    step("report", report, "tables", "verdicts", "out")
    step("publish", publish, "readme")
    step("clean", clean, "study", "delete")
    step("status", status, "watch", "estimate")
    step("schema", schema, "out")
    return top


OPTIONS: dict[str, dict] = {
    "dataset": {"required": True, "help": "a dataset's name"},
    "run": {"required": True, "help": "results/runs/DATASET/MODEL/RECIPE-KEY/seedK"},
    "out": {"required": True, "help": "the file or folder to write"},
    "tables": {"required": True, "help": "the folder that `summarise` wrote"},
    "verdicts": {"required": True, "help": "the folder that `judge` wrote"},
    "study": {
        "action": "append",
        "nargs": "+",
        "default": [],
        "metavar": "FILE",
        "help": "the configuration of one more study that counts, laid over config.yaml; may be repeated (config.yaml "
        "alone and with each file of workflow/studies/ counts anyway)",
    },
    "delete": {"action": "store_true", "help": "remove them"},
    "readme": {"required": True, "help": "the Markdown file whose results are to be rewritten"},
    "state": {"required": True, "help": "file of the training state while the run is unfinished"},
    "threads": {"type": int, "default": 1, "help": "CPU threads (they change the last bits of a result)"},
    "watch": {"action": "store_true", "help": "redraw every 2 s until Ctrl-C or until the report is there"},
    "estimate": {"action": "store_true", "help": "before the start: time a few training steps of each model here"},
    "device": {"default": "auto", "choices": ["auto", "cuda", "mps", "cpu"], "help": "where to compute"},
}


def configured(args: argparse.Namespace) -> Study:
    """The study, with the plugins' attention kinds known and checked."""
    study = load(args.config)
    if study.plugins:
        from cnntention.models.registry import check

        check(study)
    return study


def the_dataset(study: Study, name: str):
    from cnntention.config import nearest

    if name not in study.datasets:
        raise UserError(f"--dataset: unknown dataset {name!r}{nearest(name, study.datasets)}.")
    return study.datasets[name]


def a_run(args: argparse.Namespace):
    """The study, the run that --run names, threads and device."""
    from cnntention.results.paths import find_run

    study = configured(args)
    return study, find_run(study, args.run), args.threads, args.device


def opened(args: argparse.Namespace):
    """The study, the run that --run names, and the run opened."""
    from cnntention.storage import open_run

    study, run, *where = a_run(args)
    return study, run, open_run(study, run, *where)


def fetch(args: argparse.Namespace) -> None:
    """Fetch one source file of a dataset and check its SHA-256."""
    from cnntention.data import archives

    dataset = the_dataset(load(args.config), args.dataset)
    for field, archive in dataset.source.archives.items():
        if archives.raw_path(args.dataset, archive) == args.out:
            archives.fetch(archive, Path(args.out), args.dataset, field=field)
            return
    known = [archives.raw_path(args.dataset, a) for a in dataset.source.archives.values()]
    raise UserError(f"--out: {args.out} is no source file of {args.dataset}; it has {', '.join(known) or 'none'}.")


def prepare(args: argparse.Namespace) -> None:
    """Make a dataset's train, val and test splits and its card."""
    from cnntention.data import archives, datasets
    from cnntention.results import paths

    study = load(args.config)
    dataset, folder = the_dataset(study, args.dataset), paths.data_folder(study, args.dataset)
    if Path(args.out).resolve() != Path(folder).resolve():
        raise UserError(f"--out: with this configuration the folder of {args.dataset} is {folder}, not {args.out}.")
    raw = {f: Path(archives.raw_path(args.dataset, a)) for f, a in dataset.source.archives.items()}
    card = datasets.prepare(args.dataset, dataset, raw, Path(args.out))
    print(f"{args.out}: {', '.join(f'{count} {split}' for split, count in card['images'].items())} images")


def train(args: argparse.Namespace) -> None:
    """Train one run, or go on with it where it was interrupted."""
    from cnntention.training.command import train_run

    study, run, threads, device_name = a_run(args)
    train_run(study, run, Path(args.state), threads, device_name)


def examine(args: argparse.Namespace) -> None:
    """Evaluate, diagnose and explain a finished run."""
    from cnntention.examination import examine_run

    examine_run(*a_run(args))


def evaluate(args: argparse.Namespace) -> None:
    """Score a finished run on the test split."""
    from cnntention.evaluation.command import evaluate_run

    evaluate_run(*opened(args))


def diagnose(args: argparse.Namespace) -> None:
    """Examine the attention of a finished run: is it alive, what does it look at?"""
    from cnntention.evaluation.diagnose import diagnose_run

    diagnose_run(*opened(args))


def explain(args: argparse.Namespace) -> None:
    """Make the Grad-CAM maps of a finished run."""
    from cnntention.explanation.command import explain_run

    explain_run(*opened(args))


def profile(args: argparse.Namespace) -> None:
    """Measure, in turn, what all models cost that the study runs on a dataset."""
    from cnntention.profiling.command import profile_models

    study = configured(args)
    the_dataset(study, args.dataset)
    profile_models(study, args.dataset, Path(args.out), args.device)


def summarise(args: argparse.Namespace) -> None:
    """Gather all runs of a study into tables."""
    from cnntention.results.gather import write_tables

    write_tables(load(args.config), Path(args.out))


def judge(args: argparse.Namespace) -> None:
    """Test the study's claims on its tables."""
    from cnntention.judging.judge import judge_study

    judge_study(load(args.config), Path(args.tables), Path(args.out))


def report(args: argparse.Namespace) -> None:
    """Make the study's report page from its tables and verdicts."""
    from cnntention.report.page import write_report
    from cnntention.results import paths

    write_report(Path(args.tables), Path(args.verdicts), Path(args.out))
    paths.point(paths.study_folder(load(args.config)))


def publish(args: argparse.Namespace) -> None:
    """Copy a study's report and tables to results/published/ and refresh the README's results."""
    from cnntention.report.publish import publish as publish_study
    from cnntention.results import paths

    publish_study(Path(paths.study_folder(load(args.config))), Path("results/published"), Path(args.readme))


def clean(args: argparse.Namespace) -> None:
    """List what lies in results/ and data/ and no study refers to; with --delete, remove it."""
    from cnntention.results.clean import clean_results

    overlays = [[], *([path] for path in sorted(Path("workflow/studies").glob("*.yaml"))), *args.study]
    clean_results([load(["config.yaml", *files]) for files in overlays], args.delete)


def status(args: argparse.Namespace) -> None:
    """Show how far a study is, from its files alone, while it runs or after."""
    from cnntention.status.command import overlaid, show_status

    show_status(load(overlaid(args.config)), args.watch, args.estimate)


def schema(args: argparse.Namespace) -> None:
    """Write the JSON schema of config.yaml, for editors."""
    from cnntention.files import write_json

    write_json(args.out, {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema())
