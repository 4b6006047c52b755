"""The report's tables, six columns at most; those of an experiment hold its runs alone."""

from collections.abc import Callable, Iterable, Iterator

import pandas as pd

from cnntention.report import declared, wording
from cnntention.report import numbers as num
from cnntention.report.document import Table
from cnntention.report.figures.cost import measured
from cnntention.report.reading import CELL, Results, of_cell
from cnntention.results.words import Verdict

MARK = {"higher": " ↑", "lower": " ↓", "equivalent": " ="}


def by_dataset(cells: pd.DataFrame) -> Iterator[tuple[list[tuple[str]], pd.DataFrame]]:
    """The cells of each dataset, with a heading where there are several."""
    for dataset, subset in cells.groupby("dataset", sort=False):
        yield ([(dataset,)] if cells["dataset"].nunique() > 1 else []), subset


def scores(results: Results, experiment: str) -> Table:
    """A row a cell: runs, test accuracy, the difference from the baseline, and in how many runs attention is used."""
    cells, tests = results.of("cells", experiment), results.comparisons(experiment)
    cue, recipes = cells["solved"].notna().any(), cells["recipe"].nunique()
    tested, attends = len(tests) > 0, cells["alive"].notna().any()
    head = ["model", "runs", *(["solved"] if cue else []), "test accuracy, %"]
    head += [*(["beside the baseline"] if tested else []), *(["attention used in"] if attends else [])]
    rows: list[tuple[str, ...]] = []
    for title, subset in by_dataset(cells):
        rows += title
        for _, cell in subset.iterrows():
            row = [wording.cell_name(cell, recipes), runs(cell)]
            row += [solved(cell)] if cue else []
            row += [accuracy(cell, results.study.datasets[cell["dataset"]].all_or_none)]
            row += [beside(tests, cell)] if tested else []
            row += [life(cell)] if attends else []
            rows.append(tuple(row))
    note = "Mean ± sample standard deviation over seeds."
    if cue:
        note += " Solved: runs, with Clopper and Pearson’s 95 % interval; where it is all or none, accuracy is a range."
    if tested:
        note += " ↑ ↓: significant in this table; =: equal within the margin; in brackets the 95 % interval."
    if attends:
        note += " Attention is used if accuracy falls without it, and alive if it changes the features."
    return Table(tuple(head), tuple(rows), "l" + "r" * (len(head) - 1), note)


def solved(cell: pd.Series) -> str:
    if not num.known(cell["solved"]):
        return "–"
    return num.counted(cell["solved"], cell["n"], cell["solved_low"], cell["solved_high"])


def accuracy(cell: pd.Series, all_or_none: bool) -> str:
    if not all_or_none:
        return num.spread(cell["mean"], cell["sd"], "test_accuracy")
    return "–".join(dict.fromkeys(num.bare(cell[end], "test_accuracy") for end in ("min", "max")))


def runs(cell: pd.Series) -> str:
    return f"{cell['n']}" + (f" ({cell['diverged']} diverged)" if cell["diverged"] else "")


def life(cell: pd.Series) -> str:
    if not num.known(cell["alive"]):
        return "no attention"
    n = cell["n"] - cell["diverged"]
    return f"{cell['used']} of {num.count(n, 'run')}" + (f" (alive in {cell['alive']})" if cell["alive"] < n else "")


def beside(tests: pd.DataFrame, cell: pd.Series) -> str:
    subset = of_cell(tests, cell)
    if not len(subset):
        return "–"
    test = subset.iloc[0]
    return wording.effect(test) + MARK.get(wording.outcome(test), "")


def claims(results: Results, experiment: str) -> Table | None:
    """The claims that an experiment decides: a heading a claim, a row a test."""
    told = results.of("claims", experiment)
    rows: list[tuple[str, ...]] = []
    for _, claim in told.iterrows():
        tests = results.tests_of(claim["claim"])
        if not len(tests):
            continue
        note = f"Claimed: “{claim['claimed']}” " if claim["claimed"] else ""
        note += f"Metric: {num.unit(claim['metric']).name}, on {num.listing(tests['dataset'])}."
        note += f" Source: {claim['source']}." if claim["source"] else ""
        note += f" Original study: {claim['published']}." if claim["published"] else ""
        note += f" {declared.of_claim(claim)}"
        rows.append((f"{claim['claim']}: {claim['sentence']} — {claim['verdict']}\n{note}",))
        for _, test in tests.iterrows():
            where = f" on {test['dataset']}" if tests["dataset"].nunique() > 1 else ""
            row = (wording.compared(test) + where, wording.effect(test), num.p_value(test["p_adjusted"]))
            rows.append((*row, f"{wording.verdict(test)}: {wording.reason(test)}"))
    head = ("compared", "difference [95 %]", "p, adjusted", "verdict")
    return Table(head, tuple(rows), "lrrl") if rows else None


def not_run(results: Results) -> Table | None:
    """The claims that were not tested."""
    told = results.frames["claims"]
    rows = told[told["verdict"] == Verdict.NOT_RUN][["claim", "sentence", "experiment"]].itertuples(
        index=False, name=None
    )
    made = tuple(rows)
    return Table(("claim", "sentence", "experiment"), made, "lll") if made else None


def grouped(subset: pd.DataFrame, row: Callable[[pd.DataFrame], Iterable[str]], *keys: str) -> tuple:
    """A row a cell (and module), as `row` makes it of the cell's runs; a heading a dataset."""
    rows: list[tuple[str, ...]] = []
    for title, part in by_dataset(subset):
        rows += title
        for _, group in part.groupby(["model", "recipe", *keys], sort=False):
            first = group.iloc[0]
            rows.append(
                (wording.cell_name(first, subset["recipe"].nunique()), *(first[key] for key in keys), *row(group))
            )
    return tuple(rows)


def learning(results: Results, experiment: str) -> Table:
    """A row a cell: how it learned."""

    def row(group: pd.DataFrame) -> Iterator[str]:
        yield num.between(group["epochs"])
        for column in ("train_accuracy", "val_accuracy", "learning_area"):
            yield num.bare(group[column].mean(), column)

    head = ("model", "epochs", "training accuracy, %", "monitored accuracy, %", "mean over epochs, %")
    return Table(head, grouped(results.runs_of(experiment), row), "lrrrr", "At the last epoch; means over runs.")


def modules(results: Results, experiment: str) -> Table:
    """A row a cell and attention module: states, change of the features, what accuracy falls without it."""

    def row(group: pd.DataFrame) -> Iterator[str]:
        yield ", ".join(f"{state} {count}" for state, count in group["state"].value_counts(sort=False).items())
        yield num.bare(group["relative_change"].median(), "relative_change")
        for kind in ("identity", "mean"):
            yield num.signed(-group[f"drop_{kind}"].mean(), "test_accuracy")

    head = ("model", "module", "state, runs", "change of features", "removed, points", "averaged, points")
    note = "Median change, relative to the features’ norm; mean change of accuracy when the module is replaced by the "
    note += "identity, or does to every image what it does on average."
    return Table(head, grouped(results.runs_of(experiment, "modules"), row, "module"), "lllrrr", note)


def maps(results: Results, experiment: str) -> Table:
    """A row a cell: scores of the last stage's Grad-CAM maps for the predicted class, beside an untrained network's."""
    subset, scored = results.runs_of(experiment), results.runs_of(experiment, "maps")
    untrained, regions = scored[scored["method"] == "untrained"], bool(subset["cam_mass"].notna().any())
    cue = bool(subset["lookup"].notna().any())

    def row(group: pd.DataFrame) -> Iterator[str]:
        if regions:
            same = untrained.merge(group[CELL].drop_duplicates(), on=CELL)["mass"].mean()
            yield f"{num.bare(group['cam_mass'].mean(), 'cam_mass')} ({num.bare(same, 'cam_mass')})"
            yield num.bare(group["cam_auc"].mean(), "cam_auc")
        yield num.bare(group["road"].mean(), "road")
        yield f"{int(group['cam_sane'].sum())} of {len(group)}"
        if cue:
            yield num.bare(group["lookup"].mean(), "lookup")

    head = ["model", *["on the region, % (untrained)", "AUC"] * regions, "ROAD", "sane maps", *["look-up, ×"] * cue]
    note = "Means over runs. ROAD: 0 for a random order of pixels. Sane: the map changes when weights are randomized."
    note += " Look-up: attention from match to cue, relative to uniform attention." if cue else ""
    return Table(tuple(head), grouped(subset, row), "l" + "r" * (len(head) - 1), note)


def cost(results: Results) -> Table:
    """A row an image size and model."""
    rows: list[tuple[str, ...]] = []
    costs = measured(results)
    for image, subset in costs.groupby("image", sort=False):
        batch, hardware = (num.listing(subset[name]) for name in ("batch_size", "hardware"))
        rows.append((f"images of {image}, batches of {batch}, {hardware}",))
        for _, row in subset.iterrows():
            ratio = f" (× {row['training_step_ratio']:.2f})" if num.known(row["training_step_ratio"]) else ""
            step, latency = (num.value(row[name], name) for name in ("training_step_ms", "latency_ms"))
            memory = f"{row['training_memory_bytes'] / 2**20:.0f} MiB"
            macs = f"{row['macs'] / 1e6:.1f} M"
            rows.append((row["model"], f"{row['parameters']:,}", macs, step + ratio, latency, memory))
    head = ("model", "parameters", "MACs", "training step", "latency", "training memory")
    return Table(head, tuple(rows), "lrrrrr", f"Energy: {num.listing(costs['energy'])}.")


def published(results: Results) -> Table | None:
    """The original study's test errors beside ours, where there are any."""
    told = results.frames["published"]
    rows = []
    for _, row in told[told["n"] > 0].iterrows():
        ours = f"{row['our_error']:.2f}" + (f" ± {row['our_sd']:.2f}" if num.known(row["our_sd"]) else "")
        theirs = f"{row['test_error']:.2f} ({row['epochs']} epochs)"
        rows.append((row["dataset"], row["model"], theirs, ours, f"{row['n']} by {row['our_recipe']}", row["note"]))
    head = ("dataset", "model", "published error, %", "our error, %", "our runs", "how theirs was made")
    return Table(head, tuple(rows), "llrrll") if rows else None


def datasets(results: Results) -> Table:
    """What the images are, and their source."""
    rows = []
    for _, row in results.frames["datasets"].iterrows():
        counts = " / ".join(f"{row[name]:,}" for name in ("train", "val", "test"))
        hashes = ", ".join(f"{digest[:8]}…" for digest in row["source_sha256"].split("; "))
        source = f"SHA-256 {hashes}" if row["source_sha256"] else "generated"
        rows.append((row["dataset"], row["image"], str(row["classes"]), counts, source, row["licence"]))
    head = ("dataset", "image", "classes", "train / val / test", "source", "licence")
    return Table(head, tuple(rows), "llrrll")
