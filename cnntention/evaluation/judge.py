"""The judge step: a study's tables become comparisons.csv and claims.json. Reads nothing but the tables."""

from pathlib import Path

import numpy as np
import pandas as pd

from cnntention import files, plan, provenance
from cnntention.config import Study
from cnntention.evaluation import claims, comparing
from cnntention.evaluation.claims import CELL, Evidence

RUN = [*CELL, "seed"]


def judge_study(study: Study, tables: Path, out: Path) -> None:
    """Write comparisons.csv and claims.json, which carries their key, into the folder `out`."""
    card, evidence = files.read_json(tables / "card.json"), read(tables)
    files.write_csv(out / "comparisons.csv", compare_experiments(study, evidence))
    verdicts = claims.judge(study, evidence)
    head = {"study": study.study.name, "key": plan.judgement_key(study, card["key"]), "tables": card["key"]}
    head |= {"statistics": study.statistics.model_dump(mode="json"), "made": provenance.now()}
    files.write_json(out / "claims.json", head | {"provenance": provenance.describe(), "claims": verdicts})


def read(tables: Path) -> Evidence:
    """The tables as evidence; UserError names a file that is missing or broken."""
    names = ("runs", "attention", "cost", "pareto")
    frames = {name: files.read_csv(tables / f"{name}.csv", (*CELL, "folder", "key")) for name in names}
    runs, modules = frames["runs"], frames["attention"]
    numbers = [c for c in modules.select_dtypes("number") if c not in runs and c not in RUN]
    if len(modules):
        runs = runs.merge(modules.groupby(RUN, as_index=False)[numbers].mean(), on=RUN, how="left")
    packed = files.read_tensors(tables / "hits.safetensors")
    counts = runs.set_index("folder")["test_images"]
    hits = {folder: np.unpackbits(bits, count=int(counts[folder])).astype(bool) for folder, bits in packed.items()}
    return Evidence(runs, frames["cost"], frames["pareto"], hits)


def compare_experiments(study: Study, evidence: Evidence) -> pd.DataFrame:
    """A row for each cell beside its experiment's baseline, same dataset and recipe; one family an experiment."""
    rows = []
    for name in study.study.experiments:
        baseline, cells, family = study.experiments[name].baseline, study.cells(name), []
        for dataset, model, recipe in cells:
            a, b = (dataset, model, recipe), (dataset, baseline, recipe)
            if model == baseline or b not in cells:
                continue
            values = [evidence.values(cell, "test_accuracy") for cell in (a, b)]
            hits = (evidence.right(a), evidence.right(b))
            family.append((a, comparing.compare(*values, study.statistics, study.statistics.margin, hits)))
        comparing.adjust([comparison for _, comparison in family], study.statistics)
        rows += [{"experiment": name, "baseline": baseline} | row_of(a, c) for a, c in family]
    return pd.DataFrame(rows, columns=None if rows else ["experiment", "baseline", *CELL, *row_of(("", "", ""), NONE)])


def row_of(cell: tuple[str, str, str], c: comparing.Comparison) -> dict:
    """A comparison as a line of CSV."""
    row = dict(zip(CELL, cell, strict=True)) | {"n": c.n[0], "n_baseline": c.n[1]}
    row |= {"difference": c.difference, "p": c.p, "p_holm": c.p_holm, "family": c.family}
    spans = {"t": c.interval, "bca": c.bca, "two_level": c.two_level, "superiority": c.superiority_interval}
    row |= {"superiority": c.superiority, "mde": c.mde, "margin": c.margin}
    for name, span in (spans | {"equivalence": c.equivalence_interval}).items():
        row |= {f"{name}_low": span[0] if span else None, f"{name}_high": span[1] if span else None}
    row |= {"equivalence_p": c.equivalence_p, "equivalent": c.equivalent}
    return row | {"sign_flip_p": c.sign_flip_p, "seed_correlation": c.seed_correlation, "note": c.note}


NONE = comparing.Comparison((0, 0), (0.0, 0.0), (None, None), 0.0)
