"""The verify subcommand: hashes of a study's files, and some of its runs trained again."""

import random
from pathlib import Path

from cnntention import files, provenance
from cnntention.config import Run, Study
from cnntention.errors import UserError
from cnntention.results import paths
from cnntention.results.rows import read_table
from cnntention.results.tables import RUN
from cnntention.results.verification import Outcome, Repeat, Verification
from cnntention.verification.hashes import Checked, check_files, check_study

LISTED = 10  # absent files that are named


def verify_study(study: Study, run: Run | None, count: int, seed: int, published: Path | None) -> None:
    """Check all hashes, repeat `run` or a choice of `count` runs, and print what was found; UserError if it is wrong.

    Writes verify.json to the study's folder, and nothing else; nothing at all if it compares with `published` tables.
    """
    folder = Path(paths.study_folder(study))
    card = folder / "tables/card.json"
    found = check_published(published) if published else check_files(study)
    show(found)
    runs = published_runs(study, published) if published else study.runs()
    ready = [
        one for one in runs if all(Path(f).exists() and f not in found.wrong for f in needed(study, one, published))
    ]
    if run and run not in ready:
        raise UserError(
            f"--run: of {run.folder}, or of its data, files are absent or wrong; run `dvc pull` or snakemake."
        )
    chosen = [run] if run else random.Random(seed).sample(ready, max(0, min(count, len(ready))))
    if count and not chosen:
        print("No run is trained again: none is finished whose files and data are here, and right.")
    result = Verification(
        study=study.study.name,
        key=paths.study_key(study),
        tables_sha256=files.sha256(card) if card.exists() else None,
        right=found.right,
        absent=list(found.absent),
        wrong=found.wrong,
        seed=seed,
        runs=len(ready),
        repeats=repeats(study, chosen, published) if chosen else [],
        made=provenance.now(),
        provenance=provenance.describe(),
    )
    print(result.sentence)
    if not published:
        result.write(folder / "verify.json")
        print(f"Written to {folder / 'verify.json'}; `snakemake --forcerun report` shows it in the report.")
    if not result.holds:
        raise UserError("something is not as recorded; see above.")


def check_published(tables: Path) -> Checked:
    """The tables, verdicts and report of a published study."""
    found = Checked()
    check_study(found, tables.parent)
    return found


def published_runs(study: Study, tables: Path) -> list[Run]:
    """The study's runs that are in the tables."""
    known = set(read_table(tables, "runs")[RUN].itertuples(index=False, name=None))
    return [run for run in study.runs() if (run.dataset, run.model, run.recipe, run.seed) in known]


def needed(study: Study, run: Run, published: Path | None) -> list[str]:
    """The files that a run is trained from, and those that it is compared with."""
    data, splits = paths.data_folder(study, run.dataset), {"train", study.recipes[run.recipe].monitor, "test"}
    told = [] if published else [*paths.told_of_run(run), f"{paths.examination_folder(study, run)}/metrics.json"]
    return [*told, f"{data}/card.json", *(f"{data}/{split}.safetensors" for split in splits)]


def repeats(study: Study, chosen: list[Run], published: Path | None) -> list[Repeat]:
    """The runs, trained again one after another, each with a line."""
    from cnntention.verification.repeat import repeat, told_by_files, told_by_tables

    made = []
    if published:
        runs, epochs = (read_table(published, name) for name in ("runs", "epochs"))
    for run in chosen:
        told = told_by_tables(runs, epochs, run) if published else told_by_files(study, run)
        made.append(repeat(study, run, told))
    for one in made:
        tell(one)
    return made


def show(found: Checked) -> None:
    """Name what is wrong, and what is absent if it is not much."""
    for path, why in found.wrong.items():
        print(f"wrong   {path}: {why}")
    for path in list(found.absent)[:LISTED]:
        print(f"absent  {path}")
    if len(found.absent) > LISTED:
        print(f"absent  and {len(found.absent) - LISTED:,} more")


def tell(one: Repeat) -> None:
    """A run's outcome; what differs, and between which machines."""
    print(f"{one.outcome}: {one.run}")
    if one.outcome is Outcome.IDENTICAL:
        return
    for name, (then, now) in one.machine.items():
        print(f"    {name}: then {then or 'not recorded'}, now {now}")
    promised = "the same bytes are promised" if one.promised else "so the same bytes are not promised"
    print(f"    {promised if one.machine else f'nothing differs of the machine and its libraries: {promised}'}")
    if one.first_epoch:
        gaps = f"loss by up to {one.loss_difference:.2g}, accuracy by up to {100 * one.accuracy_difference:.2f} points"
        print(f"    from epoch {one.first_epoch} on the history differs: {gaps}")
    for name, (then, now) in one.metrics.items():
        print(f"    {name}: then {then}, now {now}")
    if one.files:
        print(f"    the weights are the same, the bytes of {', '.join(one.files)} are not")
    if not one.promised:
        gap, most = 100 * one.test_difference, 100 * one.tolerance
        print(f"    test accuracy differs by {gap:+.2f} points; between two seeds {most:.2f} would be nothing unusual")
