"""What each subcommand does, thin: read, call, write. Each imports what it needs: planning must not load torch."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from cnntention.config import Study, nearest
from cnntention.errors import UserError
from cnntention.plan import load, overlaid


def latest(args: argparse.Namespace) -> Study:
    """The study as far as its looks have led."""
    from cnntention.results import looks

    return looks.latest(load(args.config))


def checked(study: Study, models: Iterable[str] = ()) -> Study:
    """The study, with the attention kinds of plugins and timm known, and checked as `registry.check` does."""
    if study.foreign:
        from cnntention.models.registry import check

        check(study, models)
    return study


def the_dataset(study: Study, name: str):
    if name not in study.datasets:
        raise UserError(f"--dataset: unknown dataset {name!r}{nearest(name, study.datasets)}.")
    return study.datasets[name]


def a_run(args: argparse.Namespace):
    """The study, the run that --run names, threads and device."""
    from cnntention.results.paths import find_run

    study = load(args.config)
    run = find_run(study, args.run)
    return checked(study, [run.model]), run, args.threads, args.device


def fetch(args: argparse.Namespace) -> None:
    """Fetch one source file of a dataset and check its SHA-256."""
    from cnntention.data import archives

    dataset = the_dataset(load(args.config), args.dataset)
    known = {archives.raw_path(args.dataset, of): (of, field) for field, of in dataset.source.archives.items()}
    if args.out not in known:
        raise UserError(f"--out: {args.out} is no source file of {args.dataset}; it has {', '.join(known) or 'none'}.")
    archive, field = known[args.out]
    archives.fetch(archive, Path(args.out), args.dataset, field=field)


def fingerprint(args: argparse.Namespace) -> None:
    """Print the SHA-256 that identifies a folder of images, for the source of a dataset."""
    from cnntention.data import folder

    print(folder.fingerprint(Path(args.directory)))


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


def predict(args: argparse.Namespace) -> None:
    """Classify images of your own by a finished run; each is resized to the size of the dataset's images."""
    from cnntention.prediction.command import predict_images

    predict_images(args.run, args.plugin, args.images, args.top)


def explain(args: argparse.Namespace) -> None:
    """Draw Grad-CAM and attention maps of an image of your own, resized as by `predict`; --out: explained.png."""
    from cnntention.prediction.command import explain_image

    explain_image(args.run, args.plugin, args.image, args.out or "explained.png")


def profile(args: argparse.Namespace) -> None:
    """Measure, in turn, what all models cost that the study runs on a dataset."""
    from cnntention.profiling.command import profile_models

    study = load(args.config)
    the_dataset(study, args.dataset)
    profile_models(checked(study, study.models_on(args.dataset)), args.dataset, Path(args.out), args.device)


def summarise(args: argparse.Namespace) -> None:
    """Gather all runs of a study into tables."""
    from cnntention.results import paths
    from cnntention.results.gather import write_tables

    study, out = load(args.config), Path(args.out)
    paths.refuse_old(study, out.parent)
    write_tables(study, out)


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


def partial(args: argparse.Namespace) -> None:
    """Say what failed, and report the runs that are there."""
    from cnntention.partial import report_what_is_there

    report_what_is_there(load(args.config))


def publish(args: argparse.Namespace) -> None:
    """Copy a study's report and tables to results/published/ and refresh the README's results."""
    from cnntention.report.publish import publish as publish_study
    from cnntention.results import paths

    publish_study(Path(paths.study_folder(latest(args))), Path("results/published"), Path(args.readme))


def verify(args: argparse.Namespace) -> None:
    """Check a study's files against their recorded hashes, and train some of its runs again."""
    from cnntention.results import looks
    from cnntention.results.paths import find_run
    from cnntention.verification.command import verify_study
    from cnntention.versioning.command import verify_remote

    study = looks.latest(checked(load(overlaid(args.config))))
    run = find_run(study, args.run) if args.run else None
    verify_study(study, run, args.runs, args.seed, Path(args.tables) if args.tables else None)
    if args.remote or args.repair:
        verify_remote(args.remote, args.repair)


def dvc(args: argparse.Namespace) -> None:
    """Write a study's dvc.yaml, so that `dvc repro` runs it."""
    from cnntention.versioning.pipeline import write_pipeline

    configs = overlaid(args.overlays) or ["config.yaml"]
    print("\n".join(write_pipeline(checked(load(configs)), configs, args.out)))


def plan(args: argparse.Namespace) -> None:
    """Write the keys of a study's steps, on which DVC's stages depend."""
    from cnntention.versioning.plan import write_plan

    write_plan(checked(load(args.config)), Path(args.out), Path(args.pipeline))


def metrics(args: argparse.Namespace) -> None:
    """Write what `dvc metrics` and `dvc plots` show of a finished study."""
    from cnntention.versioning.metrics import write_metrics

    write_metrics(load(args.config), Path(args.out))


def get(args: argparse.Namespace) -> None:
    """Fetch one run by name, with its dataset's card, from a DVC remote."""
    from cnntention.versioning.fetch import get_run

    get_run(args.name, args.remote)


def new(args: argparse.Namespace) -> None:
    """Write the study of an attention module into a folder."""
    from cnntention.certificate import command

    command.new(Path(args.folder), **asked(args))


def test(args: argparse.Namespace) -> None:
    """Test an attention module: write its study, run it, and open the certificate."""
    from cnntention.certificate import command, source

    folder = Path(args.dir or f"certificate-{source.parse(args.module, args.option).name}")
    command.test(folder, args.cores, **asked(args))


def asked(args: argparse.Namespace) -> dict:
    """What both of them take."""
    return {name: getattr(args, name) for name in ("module", "option", "scale", "dataset", "budget")}


def rocrate(args: argparse.Namespace) -> None:
    """Describe a finished study as a Workflow Run RO-Crate, in its folder."""
    from cnntention.crate import write_crate

    write_crate(latest(args))


def clean(args: argparse.Namespace) -> None:
    """List what lies in results/ and data/ and no study refers to; with --delete, remove it."""
    from cnntention.results.clean import clean_results, overlays

    clean_results([load(["config.yaml", *files]) for files in (*overlays(), *args.study)], args.delete)


def status(args: argparse.Namespace) -> None:
    """Show how far a study is, from its files alone, while it runs or after."""
    from cnntention.status.command import show_status

    show_status(load(overlaid(args.config)), args.watch, args.estimate)


def seal(args: argparse.Namespace) -> None:
    """Seal the study's claims in seals/, to be committed before their first score."""
    from cnntention.seal import seal as seal_study

    print("\n".join(seal_study(load(overlaid(args.config)))))


def schema(args: argparse.Namespace) -> None:
    """Write the JSON schema of config.yaml, for editors."""
    from cnntention.files import write_json

    write_json(args.out, {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Study.model_json_schema())
