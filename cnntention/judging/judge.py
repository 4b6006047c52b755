"""The judge step: a study's tables become tests.csv and claims.csv."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from cnntention import files, seal
from cnntention.config import Statistics, Study
from cnntention.errors import UserError
from cnntention.judging import statistics
from cnntention.judging.evidence import Evidence
from cnntention.judging.looks import Identity, decided_before, identity, next_look, record
from cnntention.judging.measures import measure
from cnntention.judging.questions import LOSSES, Question, of_study
from cnntention.judging.verdicts import decide, worst
from cnntention.results import looks, paths
from cnntention.results.cards import write_card
from cnntention.results.rows import frame
from cnntention.results.tables import ClaimRow, TestRow
from cnntention.results.words import Reason, Test, Verdict

SIGNS = {"higher": 1, "front": 1, "lower": -1}
"""Of the effect that a claim expects."""


def judge_study(study: Study, tables: Path, out: Path, whole: Study | None = None) -> None:
    """Write tests.csv, claims.csv and then card.json into the folder `out`.

    `whole`: the study of which this is a part, and whose claims were sealed.
    """
    card = files.read_record(tables / "card.json")
    if card["key"] != paths.study_key(study):
        raise UserError(
            f"{tables}/card.json: is of other tables, of key {card['key']}; delete it and run snakemake again."
        )
    evidence = Evidence.read(tables)
    tests, claims = judge(study, evidence, decided_before(study))
    look = next_look(study, tests, claims, evidence.runs, len(looks.before(study)) + 1)
    claims = [claim.model_copy(update={"next_hours": look.claims.get(claim.claim)}) for claim in claims]
    claims = declared(claims, whole or study, evidence)
    files.write_csv(out / "tests.csv", frame(tests, TestRow))
    files.write_csv(out / "claims.csv", frame(claims, ClaimRow))
    files.write_csv(out / "looks.csv", record(study, tables, claims, evidence.runs, whole))
    look.write(out / looks.FILE)
    settings = study.statistics.model_dump(mode="json")
    write_card(out, study.study.name, card["key"], paths.VERDICT_FILES[:-1], statistics=settings)


def judge(
    study: Study, evidence: Evidence, decided: Mapping[Identity, TestRow] = MappingProxyType({})
) -> tuple[list[TestRow], list[ClaimRow]]:
    """A row a test, and a row a claim of the study's experiments. Those that an earlier look decided stay as they
    were."""
    known = {name: evidence.of(study, name) for name in study.study.experiments}
    rows = [row_of(q) | asdict(measure(q, known[q.experiment], study.statistics)) for q in of_study(study, known)]
    rows = [row | counted(decided.get(identity(SimpleNamespace(**row)))) for row in rows]
    tests = adjusted(pd.DataFrame(rows), study.statistics) if rows else pd.DataFrame()
    made, decisions = [], {name: [] for name, c in study.claims.items() if c.experiment in study.study.experiments}
    for row in tests.itertuples(index=False):
        test = decided.get(identity(row)) or judged(row, study.statistics.alpha)
        made.append(test)
        if row.claim:
            decisions[row.claim].append((test.verdict, test.reason))
    claims = [claim_row(study, name, of_claim) for name, of_claim in decisions.items()]
    run = {claim.claim for claim in claims if claim.tests}
    return [test for test in made if not test.claim or test.claim in run], claims


def judged(row: Any, alpha: float) -> TestRow:
    verdict, reason = decide(row, alpha)
    columns = {name: value for name, value in row._asdict().items() if name in TestRow.model_fields}
    return TestRow(**columns, verdict=verdict, reason=reason)


def counted(test: TestRow | None) -> dict[str, Any]:
    """What a test that is decided counts with in its family."""
    names = ("p", "p_margin", "level", "effect")
    return {name: getattr(test, name) for name in names} | {"hindrance": None} if test else {}


def claim_row(study: Study, name: str, decisions: list[tuple[Verdict, Reason]]) -> ClaimRow:
    head = study.claims[name].model_dump(include=set(ClaimRow.model_fields) - {"claim"})
    if all(reason is Reason.NO_RUNS for _, reason in decisions):  # nothing to show of it
        decisions = []
    verdict, reason = worst(decisions) if decisions else (Verdict.NOT_RUN, Reason.NO_RUNS)
    return ClaimRow(claim=name, **head, verdict=verdict, reason=reason, tests=len(decisions))


def declared(claims: list[ClaimRow], study: Study, evidence: Evidence) -> list[ClaimRow]:
    """With what the study's seal says of each claim."""
    entries, rows = seal.read(study), []
    for row in claims:
        claim, own = study.claims[row.claim], [entry for entry in entries if entry.claim == row.claim]
        known = evidence.of(study, row.experiment)
        cells = [cell for cell in seal.compared(study, claim) if cell in known.cells]
        first = min((known.cell(cell)["finished"].min() for cell in cells), default=None)
        state, entry = seal.state(study, claim, own, first)
        when = {"sealed": entry.sealed, "sealed_commit": entry.commit} if entry else {}
        rows.append(row.model_copy(update={"declared": state, **when}))
    return rows


def row_of(q: Question) -> dict:
    """The columns of tests.csv that a question fills, and `cheaper`."""
    row = {name: getattr(q, name) for name in ("experiment", "claim", "family", "metric", "expect", "value", "margin")}
    row |= dict(zip(("dataset", "model", "recipe"), q.a, strict=True))
    row |= {"other_model": q.b[1] if q.b else "", "other_recipe": q.b[2] if q.b else "", "cheaper": q.cheaper}
    control = q.control[0] if q.control else q.a
    row["control_dataset"] = control[0] if control[0] != q.a[0] else ""
    return row | {"control_model": control[1] if control[1] != q.a[1] else ""}


def adjusted(tests: pd.DataFrame, settings: Statistics) -> pd.DataFrame:
    """With the adjusted p-values of each family, and the minimum detectable effects at its strictest level.

    The members of a family are claims, and tests of no claim. A claim needs all of its tests, so its largest p decides,
    and none is adjusted for the others (intersection-union test, Berger 1982). One test that contradicts it is enough,
    so the p of such a test is multiplied by their number. A row's p is adjusted as if its claim had no other test.
    """
    equality = tests["expect"].isin(["equal", *LOSSES])
    deciding = tests["p_margin"].where(equality, tests["p"]).astype(float)
    deciding = (deciding * settings.alpha / tests["level"].astype(float)).clip(upper=1)  # as if it were the only look
    member = tests["claim"].astype(object).where(tests["claim"].ne(""), tests.index)
    contradicts = tests["expect"].map(SIGNS) * tests["effect"].astype(float) < 0
    counts = deciding.notna() & tests["failing"].eq("")
    times = counts.groupby(member).transform("sum").where(contradicts, 1)
    found, sizes = {}, {}
    adjust = {"family-wise": statistics.holm, "false-discovery": false_discovery_control}[settings.control]
    known = pd.DataFrame({"p": (deciding * times).clip(upper=1), "member": member, "contradicts": contradicts})[counts]
    for family, rows in known.groupby(tests["family"]):
        whole = {name: of_member(own) for name, own in rows.groupby("member", sort=False)}
        sizes[family] = len(whole)
        for row in rows.itertuples():
            others = [p for name, p in whole.items() if name != row.member]
            found[row.Index] = adjust([row.p, *others])[0]
    made = tests.assign(p_adjusted=pd.Series(found, tests.index, float))
    made["tests"] = tests["family"].map(sizes).fillna(0).astype(int)
    alpha = made["level"].astype(float) / made["tests"].clip(1)
    made["mde"] = [
        None if pd.isna(error) else statistics.detectable(error, df, level, settings.power)
        for error, df, level in zip(made["error"], made["df"], alpha, strict=True)
    ]
    ratios = made["test"] == Test.RATIO
    made.loc[ratios, "mde"] = np.expm1(made.loc[ratios, "mde"].astype(float))
    return made.astype(object).where(made.notna(), None)


def of_member(rows: pd.DataFrame) -> float:
    """The p-value with which a claim, or a test of no claim, enters its family."""
    against = rows.loc[rows["contradicts"], "p"]
    return float(against.min() if len(against) else rows["p"].max())
