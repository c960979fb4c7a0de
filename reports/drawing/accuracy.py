"""The figure of accuracy against the labelled proportion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.drawing import style as drawing
from reports.drawing.style import FAINT, RING, STYLE
from reports.names import Name, by_origin
from reports.result_kinds import ACCURACIES

GREY = {"color": FAINT, "linewidth": 1.0, "label": "systems as above"}


def accuracy_figure(tidy: pd.DataFrame, names: Mapping[str, Name], labelled: Mapping[float, int]) -> Figure:
    """Draws Figure 1: accuracy (%) against the labelled proportion (logarithmic).

    There is a panel each for top-1 and top-5, and in it a line per system with a band from `low` to `high`. Systems
    beyond the paper have panels of their own below, with the paper's systems in grey. A missing mean breaks its line; a
    hollow marker means fewer repetitions than asked.

    Args:
        tidy: from `statistics.estimate`.
        labelled: the number of labelled images by proportion, shown under the proportions that it has.
    """
    groups = by_origin(names)
    with rc_context(STYLE):
        figure, rows = drawing.grid(len(groups), list(ACCURACIES.values()))
        proportions = sorted(tidy["proportion"].unique())
        for panels, group in zip(rows, groups.values(), strict=True):
            for axes, metric in zip(panels, ACCURACIES, strict=True):
                block = tidy[tidy["metric"] == metric]
                if panels is not rows[0]:
                    axes.set_title(f"{ACCURACIES[metric]}, beyond the paper")
                    _reference(axes, block, groups["paper"])
                lines(axes, block, group, proportions)
                drawing.proportion_axis(axes, proportions, labelled)
                drawing.accuracy_axis(axes)
        for column in zip(*rows, strict=True):
            drawing.same_heights(column)
        for axes in rows[-1]:
            axes.set_xlabel("Labelled proportion" + (" (labelled images)" if labelled else ""))
        extra = ([GREY] if len(groups) > 1 else []) + ([RING] if drawing.is_short(tidy).any() else [])
        drawing.legend(figure, names, extra)
    return figure


def lines(axes: Axes, block: pd.DataFrame, names: Mapping[str, Name], proportions: Sequence[float]) -> None:
    """Draws each system's means over the proportions, with their band."""
    for system, name in names.items():
        line = block[block["system"] == system].set_index("proportion").reindex(proportions)
        color = drawing.look(name)["color"]
        axes.fill_between(proportions, line["low"], line["high"], color=color, alpha=0.16, linewidth=0)
        drawing.mean_line(axes, proportions, line, name)


def _reference(axes: Axes, block: pd.DataFrame, names: Mapping[str, Name]) -> None:
    """Draws systems in grey, for reference."""
    for system, name in names.items():
        line = block[block["system"] == system].sort_values("proportion")
        style = drawing.look(name)["linestyle"]
        axes.plot(line["proportion"], line["mean"], color=FAINT, linewidth=1.0, linestyle=style, zorder=1)
