"""Many attention modules beside one baseline: of each what it costs, what it changes, and whether it relates places."""

from typing import Any, NamedTuple

import pandas as pd

from cnntention.config import ATTENTION_OPTIONS, Model, Study
from cnntention.config.claims import Cell
from cnntention.report import numbers as num
from cnntention.report import wording
from cnntention.report.document import Table
from cnntention.report.reading import Results, of_cell
from cnntention.report.tables import MARK, accuracy, beside, life

COUNTS = ("parameters", "macs")


class Entry(NamedTuple):
    """A model on a dataset."""

    name: str
    """Its modules in words."""
    cell: pd.Series
    costs: dict[str, float]
    """parameters, macs and training_step; relative to the baseline's, of the baseline itself as they are (ms)."""
    tests: pd.DataFrame
    """Beside the baseline; empty of the baseline itself."""
    relating: tuple[pd.Series, pd.DataFrame] | None
    """Its cell and test on the dataset that relates two places, if the experiment has one beside others."""

    @property
    def relates(self) -> bool:
        """Whether most of its runs do."""
        return self.relating is not None and 2 * self.relating[0]["solved"] > self.relating[0]["n"]

    @property
    def used(self) -> bool:
        """Whether accuracy falls without attention in most runs."""
        return num.known(self.cell["used"]) and 2 * self.cell["used"] > self.cell["n"] - self.cell["diverged"]


def described(model: Model) -> str:
    """eca; cbam + self-attention; eca, in blocks. Empty without attention."""
    options = [option for slot in model.modules.values() for option in slot]
    kinds = [getattr(option, "name", option.kind) if option.kind == "timm" else option.kind for option in options]
    of_timm = [option.kind == "timm" and kind in ATTENTION_OPTIONS for option, kind in zip(options, kinds, strict=True)]
    said = " + ".join(dict.fromkeys("timm " * timm + kind for timm, kind in zip(of_timm, kinds, strict=True)))
    return f"{said}, in blocks" if said and model.placement == "block" else said


def named(study: Study, experiment: str) -> dict[Cell, str]:
    """Of each cell the model's modules, if these tell the cells of a dataset apart; else its name."""
    cells = study.cells(experiment)
    said = {cell: described(study.models[cell[1]]) or cell[1] for cell in cells}
    if len({(cell[0], cell[2], name) for cell, name in said.items()}) == len(cells):
        return said
    return {cell: cell[1] for cell in cells}


def entries(results: Results, experiment: str) -> dict[str, list[Entry]]:
    """Of each dataset the baseline, then the other models by their mean accuracy; of a relation only if it is alone."""
    study, cells, tests = results.study, results.of("cells", experiment), results.comparisons(experiment)
    names, baseline = named(study, experiment), study.experiments[experiment].baseline
    counted = cells["dataset"].map(lambda dataset: study.datasets[dataset].all_or_none)
    shown, relation = (cells, cells[:0]) if counted.all() else (cells[~counted], cells[counted])
    relating = {
        name_of(names, cell): (cell, of_cell(tests, cell)) for _, cell in relation[::-1].iterrows()
    }  # of several relations the first
    made: dict[str, list[Entry]] = {}
    for dataset, part in shown.groupby("dataset", sort=False):
        order = (part["model"] != baseline).to_frame("other").assign(mean=-part["mean"])
        for at in order.sort_values(["other", "mean"], kind="stable").index:
            cell = part.loc[at]
            name = name_of(names, cell)
            full = f"{name} · {cell['recipe']}" if part["recipe"].nunique() > 1 else name
            costs = costs_of(results, dataset, cell["model"], baseline)
            made.setdefault(dataset, []).append(Entry(full, cell, costs, of_cell(tests, cell), relating.get(name)))
    return made


def name_of(names: dict[Cell, str], cell: pd.Series) -> str:
    return names[cell["dataset"], cell["model"], cell["recipe"]]


def costs_of(results: Results, dataset: str, model: str, baseline: str) -> dict[str, float]:
    costs = results.frames["cost"]
    rows = costs[costs["dataset"] == dataset].set_index("model").reindex([model, baseline])  # some may be missing
    own, other = rows.iloc[0], rows.iloc[1]
    if model == baseline:
        return {name: own[name] for name in COUNTS} | {"training_step": own["training_step_ms"]}
    ratio = own["training_step_ratio"] / other["training_step_ratio"]
    return {name: own[name] / other[name] for name in COUNTS} | {"training_step": ratio}


def table(results: Results, experiment: str, most: int | None = None) -> Table:
    """A row a model; of the first `most` datasets."""
    found = dict(list(entries(results, experiment).items())[:most])
    relates = any(entry.relating for part in found.values() for entry in part)
    rows: list[tuple[str, ...]] = []
    for dataset, part in found.items():
        rows += [(dataset,)] * (len(found) > 1)
        rows += [row(results, entry, relates) for entry in part]
    head = ("module", "parameters, MACs", "training step", "beside the baseline", "attention used in")
    note = (
        f"{'' if len(found) > 1 else f'On {next(iter(found))}. '}Parameters, MACs and training step relative to the "
        "baseline’s. ↑ ↓: significant among these models; =: equal within the margin; in brackets the 95 % interval. "
        "Attention is used if accuracy falls without it."
    )
    if relates:
        told = next(entry.relating for part in found.values() for entry in part if entry.relating)
        note += f" Relates places: runs that solve {told[0]['dataset']}."
    return Table((*head, *["relates places"] * relates), tuple(rows), "l" + "r" * (4 + relates), note)


def row(results: Results, entry: Entry, relates: bool) -> tuple[str, ...]:
    costs, cell = entry.costs, entry.cell
    if cell["model"] == results.study.experiments[cell["experiment"]].baseline:
        counts = f"{costs['parameters']:,.0f}, {num.value(costs['macs'], 'macs')}" if num.known(costs["macs"]) else "–"
        step = num.value(costs["training_step"], "training_step_ms")
        differs = f"{accuracy(cell, results.study.datasets[cell['dataset']].all_or_none)} %"
    else:
        counts, step = ", ".join(times(costs[name]) for name in COUNTS), times(costs["training_step"])
        differs = beside(entry.tests, cell)
    solved = "–"
    if entry.relating:
        of, test = entry.relating
        solved = f"{of['solved']} of {of['n']}" + "".join(MARK.get(wording.outcome(t), "") for _, t in test.iterrows())
    return (entry.name, counts, step, differs, life(cell), *[solved] * relates)


def times(ratio: Any) -> str:
    return f"× {ratio:.2f}" if num.known(ratio) else "–"
