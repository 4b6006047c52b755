"""What stands under each figure: n, what the marks are, hardware where times are shown; and its alternative text."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd

from cnntention.report import attention_plots, cams, learning_plots, plots, text
from cnntention.report.figures import mapped

if TYPE_CHECKING:
    from cnntention.report.figures import Figure
    from cnntention.report.sources import Tables


def of(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    """(caption, alternative text) of a figure."""
    makers = {"accuracy": accuracy, "distance": distance, "validation": curves, "loss": curves, "macs": cost}
    makers |= {"time": cost, "gates": gates, "norms": norms, "attention": attention}
    caption, alt = makers.get(figure.kind, grid)(figure, tables)
    where = f"{figure.dataset}, recipe {figure.recipe}" if figure.recipe else figure.dataset
    count = f"{text.seeds(tables.of('accuracy', figure.dataset, figure.recipe)['n'])} per model"
    if figure.topic == "alive":
        count = f"{text.seeds(tables.of('accuracy', figure.dataset)['n'])} per model and recipe"
    if figure.topic == "looks":
        chosen = cams.read(tables, figure.dataset, figure.recipe).seeds
        count = f"one run per model, seed {text.listing([str(seed) for seed in chosen])}"
    return f"{figure.title}, {where} ({count}). {caption}", alt


def means(figure: "Figure", tables: "Tables") -> str:
    cells = tables.of("accuracy", figure.dataset, figure.recipe)
    many = cells["recipe"].nunique() > 1
    return "; ".join(
        f"{c['model']}{' by ' + c['recipe'] if many else ''} {text.scored(c)}" for _, c in cells.iterrows()
    )


def accuracy(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    cells, runs = tables.of("accuracy", figure.dataset), tables.of("runs", figure.dataset)
    half = (runs["test_accuracy_high"] - runs["test_accuracy_low"]).mean() / 2
    marks = "A dot is a run"
    if cells["n"].max() > 1:
        marks += ", the line their mean, the band ± one sample standard deviation over seeds; seeds run downwards"
    named = plots.levels(tables.study, figure.dataset, tables.classes_of(figure.dataset))
    lines = text.listing([f"{name} ({text.number(level, 0)} %)" for name, level in named.items()])
    caption = (
        f"{marks}. Sampling the test images alone leaves each run a 95 % binomial (Wilson) interval of about ± "
        f"{text.percent(half)} points, not drawn. A dashed line marks {lines} where the axis reaches it."
    )
    return caption, f"Dot plot of test accuracy on {figure.dataset}: {means(figure, tables)}."


def distance(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    named = plots.levels(tables.study, figure.dataset, tables.classes_of(figure.dataset))
    lines = text.listing([f"{name} ({text.number(level, 0)} %)" for name, level in named.items()])
    return (
        f"Marks are means over seeds, dots runs, set slightly apart. Dashed lines: {lines}.",
        f"Test accuracy on {figure.dataset} where cue and match are near, at mid distance and far: "
        f"{means(figure, tables)} over all distances.",
    )


def gates(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    cells = attention_plots.panels(tables, figure.dataset, "gate")
    ends = []
    for (model, recipe), own in cells.items():
        last = at_the_end(tables, figure, model, recipe, own).abs()
        ends.append(f"{model} by {recipe} {text.number(last.to_numpy().mean(), 3)}")
    wide = " The axis is linear up to ±1 and logarithmic beyond." if attention_plots.open_wide(cells) else ""
    return (
        f"A line is one module of one run: the learned factor on what it adds; at 0 it is off.{wide}",
        f"Gates over the epochs on {figure.dataset}; mean size at the end: {'; '.join(ends)}.",
    )


def at_the_end(tables: "Tables", figure: "Figure", model: str, recipe: str, epochs: pd.DataFrame) -> pd.DataFrame:
    """The last epoch of each run of a cell that did not diverge, by seed."""
    runs = tables.of("runs", figure.dataset, recipe)
    seeds = runs.loc[(runs["model"] == model) & (runs["ended"] != "diverged"), "seed"]
    return epochs[epochs["seed"].isin(seeds)].sort_values("epoch").groupby("seed").last().drop(columns="epoch")


def norms(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    cells = attention_plots.panels(tables, figure.dataset, "query")
    ends = []
    for (model, recipe), own in cells.items():
        last = at_the_end(tables, figure, model, recipe, own)
        ends.append(f"{model} by {recipe} {last.to_numpy().mean():.2g}")
    return (
        "A line is one layer of one module of one run: the L2 norm of its weights. Where query, key and value fall "
        "towards 0 together, weight decay has turned the module off; what is below "
        f"{attention_plots.LEAST_NORM:g} is drawn there.",
        f"Norms of the attention’s weights on {figure.dataset}; the queries’ mean at the end: {'; '.join(ends)}.",
    )


def attention(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    found = cams.read(tables, figure.dataset, figure.recipe)
    columns = attention_plots.modules_shown(figure, tables, found)
    places = text.listing(list(dict.fromkeys(place for _, _, place in attention_plots.rows_shown(columns))))
    models = text.listing(mapped(tables.study, figure.dataset)[1])
    strongest = " (strongest: the peak of the Grad-CAM map)" if "strongest" in places else ""
    return (
        f"What one place, the ring, looks at: {places}{strongest}. Mean over heads; each map is scaled to its own "
        "largest weight, written above it as a multiple of what uniform attention gives.",
        f"Grid of attention maps on {figure.dataset}, by query place ({places}), of {models}.",
    )


def curves(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    cells = tables.of("accuracy", figure.dataset, figure.recipe)
    rows = tables.of("curves", figure.dataset, figure.recipe)
    marks = "A line is a run."
    if cells["n"].max() > 1:
        marks = "Thin lines are seeds, thick ones their mean as far as all runs of a model go."
    marks += cut_short(tables.of("runs", figure.dataset, figure.recipe))
    if figure.kind == "validation":
        split, images = learning_plots.monitored(figure, tables)
        unseen = "validation images that no training saw"
        whose = unseen if split == "validation" else "test images, which this recipe watches"
        ends = last_means(rows, "val_accuracy", lambda value: f"{text.percent(value)} %")
        far = learning_plots.falls_far(rows["val_accuracy"], images)
        scaled = " The axis is logarithmic in the error, so that late differences show." if far else ""
        return (
            f"On {images:,} {whose}. {marks}{scaled}",
            f"{split.capitalize()} accuracy over {rows['epoch'].max()} epochs on {figure.dataset}; "
            f"mean at the last epoch of all runs: {ends}.",
        )
    ends = last_means(rows, "train_loss", lambda value: text.number(value, 3))
    return (
        f"Mean cross-entropy of each epoch’s augmented batches while they were learned. {marks}",
        f"Training loss over {rows['epoch'].max()} epochs on {figure.dataset}; mean at the last epoch of all runs: "
        f"{ends}.",
    )


def cut_short(runs: pd.DataFrame) -> str:
    """How many runs did not last all epochs, as a sentence; empty where all did."""
    counts, words = runs["ended"].value_counts(), {"early stopping": "stopped early", "diverged": "diverged"}
    parts = text.listing([f"{counts[why]} {how}" for why, how in words.items() if why in counts])
    return f" Of {text.plural(len(runs), 'run')} {parts}." if parts else ""


def last_means(rows: pd.DataFrame, column: str, shown: Callable[[float], str]) -> str:
    """Each model's mean at the last epoch that all of its runs have, and which that is if it is not the last of all."""
    ends, longest = [], rows["epoch"].max()
    for model, own in rows.groupby("model", sort=False):
        mean = learning_plots.shared_mean(own, column)
        where = "" if mean.empty or mean.index[-1] == longest else f" (epoch {mean.index[-1]})"
        ends.append(f"{model} {shown(mean.iloc[-1]) if len(mean) else 'none'}{where}")
    return "; ".join(ends)


def cost(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    cells, found = tables.of("accuracy", figure.dataset), tables.of("cost", figure.dataset)
    marks = "Marks are means over seeds." if cells["n"].max() > 1 else "Marks are single runs."
    if tables.of("pareto", figure.dataset)["high"].notna().any():
        marks += " Vertical bars: 95 % t intervals of the means."
    marks += (
        " Ringed: on the Pareto front, every other model that costs no more is less accurate; dashed: perhaps, the "
        "seeds do not tell (95 % t interval of the difference, at least three seeds each); no ring: not on it."
    )
    if cells["recipe"].nunique() > 1:
        marks += " Recipes of one model cost the same and are set slightly apart; each has a front of its own."
    if figure.kind == "macs":
        ends = "; ".join(f"{row['model']} {row['macs'] / 1e6:.2f}" for _, row in found.iterrows())
        return (
            f"{marks} MACs are counted, not timed.",
            f"Scatter plot of test accuracy against million MACs on {figure.dataset}. MMACs: {ends}. "
            f"Accuracy: {means(figure, tables)}.",
        )
    ends = "; ".join(f"{row['model']} {row['training_step_ms']:.1f} ms" for _, row in found.iterrows())
    return (
        f"{marks} Horizontal bars: quartiles of the step’s time. Measured in fp32 on "
        f"{text.listing(text.distinct(found['hardware']))}, {tables.in_turn}",
        f"Scatter plot of test accuracy against the time of a training step on {figure.dataset}. Step: {ends}. "
        f"Accuracy: {means(figure, tables)}.",
    )


def grid(figure: "Figure", tables: "Tables") -> tuple[str, str]:
    found = cams.read(tables, figure.dataset, figure.recipe)
    scale = "each map is scaled to its own largest value, so strengths cannot be compared between maps"
    if figure.kind == "cam-stages":
        shown = text.listing([f"test image {found.index[row]}" for row in found.staged])
        return (
            f"The maps of all three stages for the predicted class, on {shown}; {scale}.",
            f"Grad-CAM maps of three stages of {text.listing(list(found.models))} on {shown} of {figure.dataset}.",
        )
    target = figure.kind.removeprefix("cam-")
    of_class = (
        "the class that the model predicts"
        if target == "predicted"
        else "the true class, also where the model is wrong"
    )
    own = min(found.showcase, len(found.rows))
    chosen = f"{text.plural(own, 'image')} that the original study shows, then " if own else ""
    empty = found.empty(target)
    none = (
        f" {text.plural(empty, 'map')} of {len(found.rows) * len(found.models)} without positive evidence."
        if empty
        else ""
    )
    right = "; ".join(f"{m} {found.correct(m)}" for m in found.models)
    models = text.listing(list(found.models))
    return (
        f"Last stage, for {of_class}; {chosen}{len(found.rows) - own} of a seeded sample of the test split. Above each "
        f"map the predicted class, ✗ where it is wrong; brighter is more evidence; {scale}.{none}",
        f"Grid of Grad-CAM maps: {len(found.rows)} test images of {figure.dataset}, models {models}. "
        f"Predicted correctly: {right}.{none}",
    )
