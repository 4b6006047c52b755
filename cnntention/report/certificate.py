"""What a study of one module certifies: a table of seven questions, answered by its claims, counts and costs."""

from collections.abc import Iterator

import pandas as pd

from cnntention.report import numbers as num
from cnntention.report import wording
from cnntention.report.document import Table
from cnntention.report.reading import Results
from cnntention.results.words import Reason, Verdict

CLAIMS = {
    "helps": "Does it help?",
    "capacity": "More than capacity?",
    "constant": "More than a constant?",
    "places": "Relates distant places?",
}
COSTS = {
    "parameters": "parameters",
    "macs": "MACs",
    "latency_ms": "latency",
    "training_step_ms": "training step",
    "training_memory_bytes": "memory in training",
}
SAID = {
    Verdict.SUPPORTED: "yes",
    Verdict.NEGLIGIBLE: "yes, negligibly",
    Verdict.REFUTED: "no",
    Verdict.VOID: "void",
}


def certificate(results: Results) -> Table | None:
    """None if the study certifies no module."""
    subject = results.study.study.certificate
    if subject is None:
        return None
    rows = [*answered(results, subject), *costs(results, subject), *looks(results, subject)]
    return Table(("question", "answer", "measured"), tuple(rows), "lll")


def answered(results: Results, subject: str) -> list[tuple[str, str, str]]:
    """The rows that have an answer, in the order in which a reader asks."""
    rows = [*claimed(results)]
    rows.insert(1 if rows and rows[0][0] == CLAIMS["helps"] else 0, used(results, subject))
    return rows


def in_a_sentence(results: Results) -> str:
    """squeeze: alive and used: yes; more than capacity: no."""
    subject = results.study.study.certificate
    told = (f"{question.rstrip('?').lower()}: {answer}" for question, answer, _ in answered(results, subject))
    return f"{subject} – {'; '.join(told)}."


def claimed(results: Results) -> Iterator[tuple[str, str, str]]:
    """A row a claim: the answer, and each of its tests."""
    claims = results.frames["claims"].set_index("claim")
    for name, question in CLAIMS.items():
        if name not in claims.index:
            continue
        tests = results.tests_of(name)
        found = [
            f"{wording.compared(test)}: {wording.effect(test)}{wording.of_seeds(test)}" for _, test in tests.iterrows()
        ]
        verdict = Verdict(claims.loc[name, "verdict"])
        answer = SAID.get(verdict, "undecided")
        if claims.loc[name, "reason"] == Reason.NOT_USED:
            answer = "it is not used"
        why = "" if verdict is Verdict.SUPPORTED else f" ({wording.reason(decisive(tests, claims.loc[name]))})"
        yield question, answer, "; ".join(found) + why


def decisive(tests: pd.DataFrame, claim: pd.Series) -> pd.Series:
    return tests[tests["verdict"] == claim["verdict"]].iloc[0]


def used(results: Results, subject: str) -> tuple[str, str, str]:
    runs = results.frames["runs"]
    own = runs[(runs["model"] == subject) & runs["attention_used"].notna()]
    alive, of = int(own["attention_alive"].sum()), int(own["attention_used"].sum())
    text = f"accuracy falls without it in {of} of {num.count(len(own), 'run')}; it changes the features in {alive}"
    return "Alive and used?", "yes" if 2 * of > len(own) else "no", text


def costs(results: Results, subject: str) -> Iterator[tuple[str, str, str]]:
    """Relative to the network without it, on the images of the first dataset."""
    cost = results.frames["cost"]
    for dataset, part in list(cost.groupby("dataset", sort=False))[:1]:
        rows = part.set_index("model")
        base = results.study.experiments[results.experiments[0]].baseline
        if not {subject, base} <= set(rows.index):
            continue
        ratios = [f"{what} × {rows.loc[subject, name] / rows.loc[base, name]:.2f}" for name, what in COSTS.items()]
        yield "What does it cost?", "", f"on {dataset}: {', '.join(ratios)}"


def looks(results: Results, subject: str) -> Iterator[tuple[str, str, str]]:
    """Where Grad-CAM lies on the first dataset, beside that of the network without it."""
    runs, base = results.frames["runs"], results.study.experiments[results.experiments[0]].baseline
    for dataset, part in list(runs.groupby("dataset", sort=False))[:1]:
        means = part.groupby("model")[["cam_mass", "road"]].mean()
        if not {subject, base} <= set(means.index):
            continue
        parts = [
            f"{what} {num.bare(means.loc[subject, name], name)} against {num.bare(means.loc[base, name], name)}"
            for name, what in (("cam_mass", "share of Grad-CAM on the region, %,"), ("road", "ROAD"))
            if means[name].notna().all()
        ]
        if parts:
            yield "Where does it look?", "", f"on {dataset}: {'; '.join(parts)}"
