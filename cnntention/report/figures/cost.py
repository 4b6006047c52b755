"""What the models cost."""

from typing import TYPE_CHECKING

from cnntention.report import theme
from cnntention.report.catalogue import always, figure

if TYPE_CHECKING:
    import pandas as pd

    from cnntention.report.reading import Results


def measured(results: "Results") -> "pd.DataFrame":
    """A row an image size and model: where datasets share both, the first."""
    return results.frames["cost"].drop_duplicates(["image", "model"]).reset_index(drop=True)


@figure("cost", "MACs and training time, relative to a model without attention", always)
def cost(results: "Results", _: str = ""):
    """Two panels: MACs and training time, relative to the first model without attention."""
    rows, styles = measured(results), theme.styles(results.study)
    sheet = theme.canvas(8.2, 0.7 + 0.25 * len(rows))
    panels = sheet.subplots(1, 2, sharey=True)
    for y, row in rows.iterrows():
        colour, marker = styles[row["model"]]
        panels[0].plot([row["macs_ratio"]], [y], marker=marker, color=colour, markersize=6)
        ends = [row[f"training_step_ratio_{end}"] for end in ("q25", "q75")]
        panels[1].plot(ends, [y, y], color=colour, linewidth=2, alpha=0.5)
        panels[1].plot([row["training_step_ratio"]], [y], marker=marker, color=colour, markersize=6)
    for axes, title in zip(panels, ("MACs, ×", "Time of a training step, ×"), strict=True):
        axes.axvline(1, color=theme.GREY, linewidth=1, zorder=1)
        axes.set_xlabel(title)
        axes.margins(x=0.08)
        theme.rows(axes, rows["model"] + (", " + rows["image"] if rows["image"].nunique() > 1 else ""))
    return sheet, (
        "Relative to the first model without attention on images of the same size. Bars: quartiles over the rounds of "
        "all processes; in a round all models take turns."
    )
