"""The claims: what each says, what the study said, what we find, and the verdict, from claims.json."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from cnntention import files
from cnntention.report import compared, text
from cnntention.report.views import View, view

if TYPE_CHECKING:
    from cnntention.report.sources import Tables

MARKS = {"supported": "✓", "refuted": "✕", "inconclusive": "?", "void": "∅", "not run": "–"}


@dataclass
class Told:
    """A claim as the page shows it."""

    name: str
    sentence: str
    said: str
    source: str
    experiment: str
    verdict: str
    reason: str
    lines: list[dict[str, str]]
    """Of each comparison: against what, the effect, and why it is worth no more."""
    numbers: View | None

    @property
    def mark(self) -> str:
        return MARKS[self.verdict]

    @property
    def effect(self) -> str:
        """What we find, in one line of plain text."""
        if not self.lines:
            return self.reason
        return "; ".join(f"{each['against']}: {plainly(each['effect'], each['reason'])}" for each in self.lines)


def plainly(effect: str, reason: str) -> str:
    return f"{effect} ({reason})" if effect and reason else effect or reason


def told(tables: "Tables") -> list[Told]:
    return [
        Told(
            name=name,
            sentence=claim["sentence"],
            said=claim["published"],
            source=claim["source"],
            experiment=claim["experiment"],
            verdict=claim["verdict"],
            reason=claim["reason"],
            lines=[line(tables, name, claim, found) for found in claim["comparisons"]],
            numbers=numbers(tables, name, claim) if claim["comparisons"] else None,
        )
        for name, claim in tables.claims.items()
    ]


# --- sentences --------------------------------------------------------------------------------------------------


def answer(tables: "Tables") -> list[str]:
    """The page's first sentences: the verdicts, or else the comparisons; how much attention is alive; the scale."""
    verdicts = [claim["verdict"] for claim in tables.claims.values()]
    decided = {"supported", "refuted", "void"} & set(verdicts)
    sentences = [counted(verdicts)] if decided else [compared.summary(tables), counted(verdicts)]
    sentences.append(alive(tables))
    if tables.study.study.scale == "cpu":
        sentences.append(
            "Networks, data and training are cut to what two CPU cores manage: every finding here holds for these "
            "small sizes alone."
        )
    return [sentence for sentence in sentences if sentence]


def counted(verdicts: list[str]) -> str:
    """How many claims ended in which verdict; nothing where none was tested."""
    counts = Counter(verdicts)
    left = counts.pop("not run", 0)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS if counts[verdict])
    tested = f"Of {text.plural(counts.total(), 'claim')} tested: {parts}" if parts else ""
    others = f"; {left} more need runs that this study does not make" if left else ""
    return f"{tested}{others}." if tested else ""


def alive(tables: "Tables") -> str:
    """In how many runs that did not diverge attention does something; nothing where none has any."""
    runs = tables.frames["runs"]
    found = files.truths(runs["attention_alive"])
    lost = ((runs["ended"] == "diverged") & (runs["modules"] > 0)).sum()
    if found.empty and not lost:
        return ""
    more = f"; {lost} more diverged" if lost else ""
    return f"Attention is alive in {found.sum()} of {text.plural(len(found), 'run')} with any{more}."


# --- one comparison -----------------------------------------------------------------------------------------------


def line(tables: "Tables", name: str, claim: dict, found: dict) -> dict[str, str]:
    return {
        "against": against(tables, name, claim, found),
        "effect": effect(claim["metric"], found),
        "reason": why(claim["metric"], found),
    }


def against(tables: "Tables", name: str, claim: dict, found: dict) -> str:
    """What it is compared with, and on which dataset if there are several."""
    a, b, every = found["a"], found["b"], claim["comparisons"]
    many = len({c["a"]["dataset"] for c in every}) > 1 or "control" in found
    where = f", {a['dataset']}" if many else ""
    control = than_control(found)
    if b is None:
        value = tables.study.claims[name].value
        return f"{a['model']}{where}" + ("" if value is None else f" against {text.unit(claim['metric']).value(value)}")
    if a["model"] == b["model"]:
        return f"{a['model']} by {a['recipe']} against {b['recipe']}{where}{control}"
    by = f" by {b['recipe']}" if b["recipe"] != a["recipe"] else ""
    return f"{a['model']} against {b['model']}{by}{where}{control}"


def than_control(found: dict) -> str:
    """What else is taken away from the difference: the same on a control dataset, or of a control model."""
    if "control" not in found:
        return ""
    a, control = found["a"], found["control"][0]
    other = f"on {control['dataset']}" if control["dataset"] != a["dataset"] else f"of {control['model']}"
    return f", minus that {other}"


def effect(metric: str, found: dict) -> str:
    unit = text.unit(metric)
    if "quartiles" in found:
        a, b = found["quartiles"]
        times = f" (×{sum(a) / sum(b):.2f})" if sum(b) else ""
        return f"{quartiles(metric, a).removesuffix(unit.level)} beside {quartiles(metric, b)}{times}"
    if "difference" not in found:
        return ""
    if metric == "solved":
        solved = [f"{round(mean * n)} of {n}" for mean, n in zip(found["means"], found["n"], strict=True)]
        return f"{' against '.join(solved)} runs solve it" + (f", p {text.equals(p)}" if (p := found["p_holm"]) else "")
    counts = text.seeds_of(found["n"])
    if found["interval"] is None:
        return f"{unit.named(found['difference'])}, {counts}"
    return f"{unit.named(found['difference'])} [{unit.interval(found['interval'])}], {counts}"


def quartiles(metric: str, ends: list[float]) -> str:
    unit, (low, high) = text.unit(metric), ends
    return unit.value(low) if low == high else f"{text.number(unit.factor * low, unit.digits)}–{unit.value(high)}"


def why(metric: str, found: dict) -> str:
    """What is to be known of the effect; beside every absent difference the smallest that could have been seen."""
    parts = [found["reason"]] if found["reason"] else []
    if found.get("mde") is not None and found["verdict"] in ("inconclusive", "refuted") and not significant(found):
        parts.append(f"MDE {text.unit(metric).detectable(found['mde'])}")
    return "; ".join(parts)


def significant(found: dict) -> bool:
    return "the other way" in found["reason"]


def numbers(tables: "Tables", name: str, claim: dict) -> View:
    """A column a comparison, a row a statistic; rows that say nothing are left out."""
    columns = {heading(found): statistics(claim, found) for found in claim["comparisons"]}
    labels = list(next(iter(columns.values())))
    labels = dict.fromkeys([*labels, *(label for column in columns.values() for label in column)])
    rows = [
        {"Statistic": label} | {head: column.get(label, "–") for head, column in columns.items()} for label in labels
    ]
    kept = [row for row in rows if set(list(row.values())[1:]) != {"–"}]
    alpha = tables.verdicts["statistics"]["alpha"]
    caption = (
        f"{name}: {claim['metric']}. Family: the comparisons among which Holm adjusts p. Within: equivalence by two "
        f"one-sided tests, p as it is, interval of {100 * (1 - 2 * alpha):g} %."
    )
    return view(caption, kept, {"Statistic"})


def heading(found: dict) -> str:
    a, b, control = found["a"], found["b"], than_control(found)
    if b is None:
        return f"{a['model']}, {a['dataset']}, {a['recipe']}"
    if a["recipe"] == b["recipe"]:
        return f"{a['model']} − {b['model']}, {a['dataset']}, {a['recipe']}{control}"
    return f"{a['model']} by {a['recipe']} − {b['model']} by {b['recipe']}, {a['dataset']}{control}"


def statistics(claim: dict, found: dict) -> dict[str, str]:
    unit, known = text.unit(claim["metric"]), {}
    if "quartiles" in found:
        known["Value, or quartiles"] = "; ".join(quartiles(claim["metric"], ends) for ends in found["quartiles"])
    if "difference" in found:
        known = measured(unit, found)
    return known | {"Verdict": found["verdict"], "Why": found["reason"] or "–"}


def measured(unit: text.Unit, found: dict) -> dict[str, str]:
    def spread(mean: float, sd: float | None) -> str:
        return unit.value(mean) if sd is None else f"{text.number(unit.factor * mean, unit.digits)} ± {unit.value(sd)}"

    equal = {}
    if found["equivalence_p"] is not None:
        label = f"Within ±{unit.named(found['margin'], signed=False)}"
        equal = {f"{label}: p": text.p_value(found["equivalence_p"])}
        equal |= {f"{label}: interval": unit.interval(found["equivalence_interval"])}
    better = "–"
    if found["superiority"] is not None:
        low, high = found["superiority_interval"] or (None, None)
        better = f"{text.number(found['superiority'])} ({text.number(low)}–{text.number(high)})"
    flips = text.p_value(found["sign_flip_p"])
    if found["sign_flip_p"] is not None and pd.notna(found["seed_correlation"]):
        flips += f" (correlation of seeds {text.number(found['seed_correlation'])})"
    return {
        "Runs": "; ".join(map(str, found["n"])),
        "Mean ± sd": "; ".join(spread(*pair) for pair in zip(found["means"], found["sds"], strict=True)),
        "Difference": unit.named(found["difference"]),
        "95 % interval (Welch)": unit.interval(found["interval"]),
        "p": text.p_value(found["p"]),
        "p (Holm)": text.p_value(found["p_holm"]),
        "Family": f"{found['family']} ({text.plural(found['tests'], 'test')})" if found["p_holm"] is not None else "–",
        "Minimum detectable effect": unit.detectable(found["mde"]),
        **equal,
        "P(A > B)": better,
        "95 % interval (BCa bootstrap)": unit.interval(found["bca"]),
        "95 % interval (seeds and images)": unit.interval(found["two_level"]),
        "p (sign flips of seed pairs)": flips,
    }
