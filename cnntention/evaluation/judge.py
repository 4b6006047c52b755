"""The judge step: a study's tables become comparisons.csv and claims.json. Reads nothing but the tables."""

from functools import partial
from pathlib import Path

import pandas as pd

from cnntention import files, plan, provenance
from cnntention.config import Study
from cnntention.config.claims import Case
from cnntention.evaluation import claims, comparing, evidence
from cnntention.evaluation.evidence import CELL, Evidence


def judge_study(study: Study, tables: Path, out: Path) -> None:
    """Write comparisons.csv and claims.json, which carries their key, into the folder `out`."""
    card = files.read_json(tables / "card.json")
    comparisons, verdicts = judge(study, evidence.read(tables))
    files.write_csv(out / "comparisons.csv", comparisons)
    head = {"study": study.study.name, "key": plan.judgement_key(study, card["key"]), "tables": card["key"]}
    head |= {"statistics": study.statistics.model_dump(mode="json"), "made": provenance.now()}
    files.write_json(out / "claims.json", head | {"provenance": provenance.describe(), "claims": verdicts})


def judge(study: Study, known: Evidence) -> tuple[pd.DataFrame, dict[str, dict]]:
    """The models beside their experiments' baselines, and what claims.json says of each claim of the experiments."""
    families = comparing.Families(study.statistics)
    beside = [row for name in study.study.experiments for row in compare_experiment(study, name, known, families)]
    own = {name: claim for name, claim in study.claims.items() if claim.experiment in study.study.experiments}
    findings = {name: claims.examine(study, claim, known, families) for name, claim in own.items()}
    families.adjust()
    for name, found in findings.items():
        for finding in found:
            claims.decide(finding, study.claims[name], study.statistics.alpha)
    table = pd.DataFrame([row_of(*row) for row in [*beside, NOTHING]]).iloc[:-1]  # columns, if there is no row
    return table, {name: claims.summary(study, name, found) for name, found in findings.items()}


def compare_experiment(
    study: Study, name: str, known: Evidence, families: comparing.Families
) -> list[tuple[str, Case, comparing.Comparison]]:
    """Each cell beside the experiment's baseline, same dataset and recipe."""
    baseline, own, margin = study.experiments[name].baseline, known.of(study, name), study.statistics.margin
    found = []
    for cell in study.cells(name):
        case = Case(cell, (cell[0], baseline, cell[2]))
        if cell[1] != baseline and case.b in own.cells:
            asked = claims.Question(case, "test_accuracy", margin)
            make = partial(claims.compare, asked, own, study.statistics)
            found.append((name, case, families.get(claims.table_family(name, cell), asked, make)))
    return found


def row_of(experiment: str, case: Case, c: comparing.Comparison) -> dict:
    """A comparison as a line of CSV."""
    row = {"experiment": experiment, "baseline": case.b[1], **dict(zip(CELL, case.a, strict=True))}
    row |= {"n": c.n[0], "n_baseline": c.n[1], "difference": c.difference, "p": c.p, "p_holm": c.p_holm}
    row |= {"tests": c.tests, "superiority": c.superiority, "mde": c.mde, "margin": c.margin}
    spans = {"t": c.interval, "bca": c.bca, "two_level": c.two_level, "superiority": c.superiority_interval}
    for name, span in (spans | {"equivalence": c.equivalence_interval}).items():
        row |= {f"{name}_low": span[0] if span else None, f"{name}_high": span[1] if span else None}
    row |= {"equivalence_p": c.equivalence_p, "equivalent": c.equivalent}
    return row | {"sign_flip_p": c.sign_flip_p, "seed_correlation": c.seed_correlation, "note": c.note}


NOTHING = "", Case(("",) * 3, ("",) * 3), comparing.Comparison((0, 0), (0.0, 0.0), (None, None), 0.0)
