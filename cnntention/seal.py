"""Claims sealed before their scores are seen: `seals/<study>.json`, to be committed before the first run.

For each claim it has a digest of all that decides the claim; old entries stay for good. Knows no torch.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from cnntention import files, provenance, versions
from cnntention.config import Claim, Study
from cnntention.config.claims import FRONTS, Cell, cases, gate
from cnntention.config.tuning import tuned
from cnntention.errors import UserError
from cnntention.results.rows import Record
from cnntention.results.tables import COUNTS, TIMES
from cnntention.results.words import Declared


class Entry(Record):
    """One claim, sealed once."""

    claim: str
    """Its name."""
    sentence: str
    """What it claimed then, for a reader; the digest covers it."""
    digest: str
    """Of `decided_by`: SHA-256."""
    budget: float | None = None
    """Of the study's looks when it was sealed. Only the digest of this budget is compared: a budget says when to stop,
    and the levels of the looks hold wherever they stop."""
    sealed: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    """As `provenance.now` writes it, so that the order of texts is that of times."""
    commit: str
    """Of the code, as `provenance.commit` gives it."""


class Seal(Record):
    """seals/<study>.json."""

    entries: tuple[Entry, ...]
    """In the order in which they were sealed."""


def path_of(study: Study) -> Path:
    return Path("seals", f"{study.study.name}.json")


def content(study: Study) -> str:
    """The SHA-256 of the study's seal, empty if it has none: part of the key of its verdicts."""
    path = path_of(study)
    return files.sha256(path) if path.exists() else ""


def read(study: Study) -> tuple[Entry, ...]:
    """The entries of the study's seal, none if it has no seal; UserError if the file is damaged."""
    path = path_of(study)
    if not path.exists():
        return ()
    try:
        return Seal.model_validate(files.read_record(path)).entries
    except (UserError, ValidationError):
        raise UserError(f"{path}: is damaged, so it proves nothing; restore it: git restore {path}.") from None


def claims_of(study: Study) -> dict[str, Claim]:
    """Those of the study's experiments."""
    return {name: claim for name, claim in study.claims.items() if claim.experiment in study.study.experiments}


def compared(study: Study, claim: Claim) -> list[Cell]:
    """All cells that decide a claim: both sides, controls, what must have been learned, and of a front all rivals. Some
    may have no runs."""
    known = study.cells(claim.experiment)
    found = {*(cell for case in cases(claim, known) for cell in case.cells), *gate(claim, known)}
    if claim.expect == "front":
        found |= {cell for cell in known if any(cell[::2] == own[::2] for own in found)}
    return sorted(found)


def budget_of(study: Study) -> float | None:
    return study.statistics.sequential.budget if study.statistics.sequential else None


def decided_by(study: Study, claim: Claim, budget: float | None) -> str:
    """The digest of all that decides a claim: itself, the statistics with this budget, and its runs with their seeds
    and examination."""
    experiment, known, cells = claim.experiment, study.cells(claim.experiment), []
    tuning = study.experiments[experiment].tuning
    named = tuned if tuning else str
    for d, m, r in compared(study, claim):
        placed = [grid for grid in study.experiments[experiment].grid if d in grid.datasets and m in grid.models]
        own = [grid for grid in placed if r in map(named, grid.recipes)]
        seeds = [grid.model_dump(mode="json")["seeds"] for grid in own]
        recipes = [name for grid in own for name in study.trained(experiment, grid)] if tuning else [r]
        keys = [study.run(d, m, name, seed=0).key for name in recipes] if (d, m, r) in known else []
        cells.append([d, m, r, seeds, [*keys, study.examination_key(d)] if keys else []])
    stated = {"mode": "json", "exclude_defaults": True}  # so that an option added later changes no digest
    looks = study.statistics.sequential
    looks = looks and looks.model_copy(update={"budget": budget})
    statistics = study.statistics.model_copy(update={"sequential": looks})
    parts = {"claim": claim.model_dump(**stated), "statistics": statistics.model_dump(**stated)}
    if claim.metric in (*FRONTS, *COUNTS, *TIMES):
        parts["profiling"] = [study.profiling.model_dump(mode="json"), versions.PROFILING]
    return files.checksum(parts | {"cells": cells})


def seal(study: Study) -> list[str]:
    """Seal the study's claims that are new or changed; returns a line a claim, and what to do next."""
    if not claims_of(study):
        raise UserError("the study has no claim, so there is nothing to seal; see `claims` in config.yaml.")
    entries, now, commit = read(study), provenance.now(), provenance.commit()
    last, new, told = {entry.claim: entry for entry in entries}, [], []
    for name, claim in claims_of(study).items():
        old = last.get(name)
        same = old and holds(study, claim, old)
        if not same:
            budget = budget_of(study)
            digest = decided_by(study, claim, budget)
            new.append(
                Entry(claim=name, sentence=claim.sentence, digest=digest, budget=budget, sealed=now, commit=commit)
            )
        done = "unchanged" if same else f"changed since {old.sealed}" if old else "sealed"
        told.append(f"{name}: {done}")
    if new:
        Seal(entries=(*entries, *new)).write(path_of(study))
        told.append(f"Commit {path_of(study)} before the first run.")
    return told


def holds(study: Study, claim: Claim, entry: Entry) -> bool:
    """Whether the claim is still as it was sealed, whatever the budget is now."""
    return entry.digest == decided_by(study, claim, entry.budget)


def state(study: Study, claim: Claim, entries: Sequence[Entry], first: str | None) -> tuple[Declared, Entry | None]:
    """How a claim's entries stand to its first score, if it has one, and the entry that sealed what is claimed now.

    Of two entries from before the first score the later counts."""
    before = [entry for entry in entries if first is None or entry.sealed < first]
    later = [entry for entry in entries if entry not in before]
    if before and holds(study, claim, before[-1]):
        return Declared.BEFORE, before[-1]
    now = next((entry for entry in later if holds(study, claim, entry)), None)
    if before and first is not None:
        return Declared.CHANGED, now
    return (Declared.AFTER if now else Declared.NOT), now
