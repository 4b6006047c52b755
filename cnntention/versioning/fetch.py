"""The get subcommand: one run by name, from a DVC remote."""

import subprocess
import sys
from pathlib import Path

from cnntention import files
from cnntention.config import nearest
from cnntention.errors import UserError
from cnntention.results.paths import RUN_FILES
from cnntention.versioning.plan import PLAN
from cnntention.versioning.remote import opened


def get_run(name: str, remote: str | None) -> None:
    """Fetch a run's folder and its dataset's card, as the locks name them, and print the folder."""
    paths = find(name)
    command = [sys.executable, "-m", "dvc", "pull", *(["--remote", remote] if remote else []), *paths]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        with opened(remote):  # if that is the reason, it says so
            pass
        lines = [
            line.removeprefix("ERROR: ").removeprefix("unexpected error - ")
            for line in done.stderr.splitlines()
            if line.startswith("ERROR: ")
        ]
        raise UserError(f"{name}: DVC says: {lines[0] if lines else done.stderr.strip() or 'nothing'}.")
    if not all((Path(paths[0]) / file).exists() for file in RUN_FILES):  # to DVC an unknown path is no error
        raise UserError(f"{name}: no dvc.lock names {paths[0]}; `dvc list -R . results/runs` tells what there is.")
    print(paths[0])


def find(name: str) -> tuple[str, str]:
    """(run's folder, its dataset's card) of DATASET/MODEL/RECIPE/SEED, by the plans; UserError if none has it."""
    plans = [files.read_json(path) for path in sorted(Path("studies").glob(f"*/{PLAN}"))]
    if not plans:
        raise UserError(f"studies/: no {PLAN} is here; call this in a clone of a project that has DVC's files.")
    try:
        dataset, model, recipe, seed = name.split("/")
        place = f"seed{int(seed.removeprefix('seed'))}"
    except ValueError:
        raise UserError(f"{name}: give DATASET/MODEL/RECIPE/SEED, such as mnist/resnet20/equal/0.") from None
    datasets = among("dataset", dataset, [plan["runs"] for plan in plans])
    models = among("model", model, datasets)
    keyed = {named: named.rsplit("-", 1)[0] for recipes in models for named in recipes}
    among("recipe", recipe, [dict.fromkeys(keyed.values())])
    folders = [f"results/runs/{dataset}/{model}/{named}/{place}" for named, of in keyed.items() if of == recipe]
    if len(folders) > 1:
        raise UserError(f"{name}: two studies mean different runs by it; `dvc pull` one of {', '.join(folders)}.")
    key = next(plan["data"][dataset] for plan in plans if dataset in plan["data"])
    return folders[0], f"data/{dataset}/{key}/card.json"


def among(kind: str, name: str, known: list[dict]) -> list:
    """What the mappings have under a name; UserError, with what is near, if none has it."""
    found = [of[name] for of in known if name in of]
    if not found:
        raise UserError(f"no plan in studies/ has a {kind} {name!r}{nearest(name, {n for of in known for n in of})}.")
    return found
