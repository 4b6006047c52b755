"""What is done and what is not, by content: used when the workflow plans, and by the steps to check themselves.

A run's key is in its path. What later steps write has one name whatever made it, so it carries the key of what made
it; a file with another key counts as missing. Timestamps decide nothing. Knows no torch.
"""

import json
import os
import shutil
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from cnntention import versions
from cnntention.config import Run, Study, digest, load
from cnntention.errors import UserError
from cnntention.files import sha256, write_text

RUN_FILES = ("run.json", "model.safetensors", "history.csv")
EXAMINATION = {
    "evaluation": ("metrics.json", "predictions.safetensors"),
    "diagnosis": ("attention.json",),
    "explanation": ("explanations.json", "explanations.safetensors"),
}
"""What each of the steps that examine a finished run leaves in its folder."""
EXAMINED = tuple(name for names in EXAMINATION.values() for name in names)
STALE = Path("results/stale")
FROZEN = "CNNTENTION_CONFIG"


def freeze(study: Study) -> str:
    """Write the resolved configuration under a name that is its content, so that a running job never sees an edit."""
    text = study.model_dump_json()
    path = Path(".snakemake/config") / f"{digest(text)}.json"
    if not path.exists():
        write_text(path, text)
    os.environ[FROZEN] = str(path)  # for the jobs of a cluster
    return str(path)


def frozen() -> Study:
    """The configuration of the workflow that submitted this job: a cluster's job plans again, maybe hours later."""
    return load([os.environ[FROZEN]])


def data_folder(study: Study, dataset: str) -> str:
    return f"data/{dataset}/{study.data_key(dataset)}"


def profile_path(study: Study, dataset: str) -> str:
    return f"results/profiles/{dataset}/{study.profile_key(dataset)}.json"


def profiles(study: Study) -> dict[str, str]:
    """Dataset -> profile file, of all models that the study runs on it."""
    return {dataset: profile_path(study, dataset) for dataset in dict.fromkeys(run.dataset for run in study.runs())}


def find_run(study: Study, folder: str) -> Run:
    """The run whose folder this is; raises UserError if the configuration means another one by that name."""
    parts = Path(folder).parts[-4:]
    try:
        dataset, model, (recipe, key), seed = (
            *parts[:2],
            parts[2].rsplit("-", 1),
            int(parts[3].removeprefix("seed")),
        )
        run = study.run(dataset, model, recipe, seed)
    except (ValueError, KeyError, IndexError):
        raise UserError(
            f"{folder}: is not a run of this study; give results/runs/DATASET/MODEL/RECIPE-KEY/seedK with names from "
            "the configuration."
        ) from None
    if run.key != key:
        raise UserError(f"{folder}: with this configuration the run's folder is {run.folder}.")
    return run


# --- keys -------------------------------------------------------------------------------------------------------


def read_key(path: str | Path) -> dict | None:
    """The JSON file's mapping, None if there is no such file or it is none (it is then remade)."""
    try:
        value = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def evaluation_key(study: Study, run: Run, weights_sha256: str) -> str:
    settings = study.evaluation.model_dump(mode="json")
    return digest([run.folder, weights_sha256, settings, versions.EVALUATION])


def diagnosis_key(study: Study, run: Run, weights_sha256: str) -> str:
    settings = study.diagnostics.model_dump(mode="json")
    return digest([run.folder, weights_sha256, settings, versions.DIAGNOSIS])


def explanation_key(study: Study, run: Run, weights_sha256: str) -> str:
    settings = study.explanation.model_dump(mode="json", exclude={"showcase", "foreground"})
    own = [list(study.explanation.showcase.get(run.dataset, ())), study.explanation.foreground.get(run.dataset)]
    return digest([run.folder, weights_sha256, settings, own, versions.EXPLANATION])


def summary_inputs(study: Study) -> list[str]:
    """What the study's tables are made of."""
    # one file of each step: the step's others come with it
    names = ("run.json", "metrics.json", "attention.json", "explanations.json")
    of_runs = [f"{run.folder}/{name}" for run in study.runs() for name in names]
    cards = [f"{data_folder(study, d)}/card.json" for d in dict.fromkeys(run.dataset for run in study.runs())]
    return of_runs + cards + list(profiles(study).values())


def summary_content(study: Study) -> dict[str, str]:
    """Path -> SHA-256 of what the tables are made of, as far as it is there."""
    return {path: sha256(path) for path in summary_inputs(study) if Path(path).exists()}


def summary_settings(study: Study) -> str:
    """The part of the tables' key that is known before anything has run."""
    steps = [versions.EVALUATION, versions.DIAGNOSIS, versions.EXPLANATION, versions.SUMMARY]
    return digest([study.model_dump(mode="json"), study.plugin_hashes, steps, summary_inputs(study)])


def summary_key(settings: str, content: dict[str, str]) -> str:
    """Of the study's tables: its configuration and the content of all they are made of."""
    return digest([settings, content])


def judgement_key(study: Study, summary: str) -> str:
    return digest([study.study.name, summary, versions.JUDGEMENT])


def report_key(study: Study, judgement: str) -> str:
    return digest([study.study.name, judgement, versions.REPORT])


# --- planning ---------------------------------------------------------------------------------------------------


class Plan:
    """The state of a study's files when the workflow plans."""

    def __init__(self, study: Study):
        self.study = study

    @cache  # noqa: B019 - one plan a process
    def stale(self, folder: str, kind: str) -> bool:
        """Whether files are there that another configuration, or other weights, made."""
        current = {
            "evaluation": self._stale_evaluation,
            "diagnosis": self._stale_diagnosis,
            "explanation": self._stale_explanation,
            "tables": self._stale_tables,
            "claims": self._stale_claims,
            "report": self._stale_report,
        }
        return current[kind](folder)

    def _stale_evaluation(self, folder: str) -> bool:
        return self._stale_of_run(folder, "metrics.json", evaluation_key)

    def _stale_diagnosis(self, folder: str) -> bool:
        return self._stale_of_run(folder, "attention.json", diagnosis_key)

    def _stale_explanation(self, folder: str) -> bool:
        return self._stale_of_run(folder, "explanations.json", explanation_key)

    def _stale_of_run(self, folder: str, name: str, key_of) -> bool:
        made, run = read_key(f"{folder}/{name}"), read_key(f"{folder}/run.json")
        if made is None:
            return Path(folder, name).exists()
        if run is None:  # nothing to compare with: the run itself is missing, and comes first
            return False
        return made.get("key") != key_of(self.study, find_run(self.study, folder), run.get("weights_sha256", ""))

    def _stale_tables(self, folder: str) -> bool:
        path = Path(folder, "card.json")
        made = read_key(path)
        if made is None:
            return path.exists()
        if made.get("settings") != summary_settings(self.study):
            return True
        # what is not there (not pulled, say) cannot have changed
        return any(made.get("inputs", {}).get(name) != found for name, found in summary_content(self.study).items())

    def _stale_claims(self, folder: str) -> bool:
        tables = f"{Path(folder).parent}/tables"
        return self._stale_after(f"{folder}/claims.json", f"{tables}/card.json", (tables, "tables"), judgement_key)

    def _stale_report(self, folder: str) -> bool:
        claims = f"{Path(folder).parent}/claims"
        return self._stale_after(f"{folder}/card.json", f"{claims}/claims.json", (claims, "claims"), report_key)

    def _stale_after(self, path: str, source: str, before: tuple[str, str], key_of) -> bool:
        """Whether `path` was made of another `source`, or of one that is stale itself."""
        made, source_made = read_key(path), read_key(source)
        if made is None:
            return Path(path).exists()
        if self.stale(*before):
            return True
        return source_made is not None and made.get("key") != key_of(self.study, source_made.get("key", ""))

    def move_stale(self) -> list[str]:
        """Move files that another configuration made to results/stale/, so that nothing is lost; returns them."""
        moved = []
        groups = [
            (run.folder, kind, names)
            for run in self.study.runs(self.study.experiments)
            for kind, names in EXAMINATION.items()
        ]
        for folder, kind, names in groups:
            if self.stale(folder, kind):
                made = (read_key(f"{folder}/{names[0]}") or {}).get("key", "unreadable")
                for path in (Path(folder, name) for name in names):
                    if path.exists():
                        target = STALE / str(made) / path.relative_to("results")
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.move(path, target)
                        moved.append(str(path))
        return moved


def still_needed(wanted: list[str], outputs: Iterable[str]) -> list[str]:
    """What a job needs: all it wants; once its outputs are there, what is still there of it.

    Without this, one missing input (data not pulled, say) would make every finished job that once used it run again
    as soon as a single new job needs that input.
    """
    return [path for path in wanted if exists(path)] if all(map(exists, outputs)) else wanted


@cache
def exists(path: str) -> bool:
    return Path(path).exists()


@cache
def marker() -> str:
    """A file that is newer than every result: as an input it tells Snakemake that the output is out of date."""
    path = Path(".snakemake/outdated")
    path.parent.mkdir(exist_ok=True)
    path.write_text(str(time.time_ns()))  # never the same: Snakemake forgives a new file its old content
    return str(path)
