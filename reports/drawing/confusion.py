"""The figure of confusion matrices: what the images of each class are taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import seaborn as sns
from matplotlib import rc_context
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.drawing.style import STYLE, WIDTH, plain

SHOWN = 0.5  # percent; rarer mistakes are coloured but not written out
NAME = 14  # characters of a class's name
LARGE = 12  # classes beyond which numbers and names are set smaller
# Not the colours of paper and ink, which a dark page turns round: a cell stays light, and its text dark.
LIGHT, FULL, TEXT, LINE = "#fbfbfb", "#ee9b4f", "#1f1f1f", "#e4e4e4"
COLOURS = LinearSegmentedColormap.from_list("mistakes", [LIGHT, FULL])


@dataclass(frozen=True, eq=False)
class Panel:
    """A confusion matrix.

    Attributes:
        title: above it.
        shares: percentages [C, C] of each true class's images, from `analysis.confusion.matrix`.
    """

    title: str
    shares: np.ndarray


def confusion_figure(rows: Sequence[Sequence[Panel]], names: Sequence[str]) -> Figure:
    """Draws rows of matrices: a row is a true class, a column what its images are taken for.

    The colour shows mistakes alone, on one scale, which the right answers would drown out; they stand on the diagonal.

    Args:
        rows: the panels.
        names: of the C classes.
    """
    columns = max(map(len, rows))
    side = WIDTH / columns
    largest = max([1.0, *(float(np.nanmax(_mistakes(panel.shares), initial=0)) for row in rows for panel in row)])
    size = 6.5 if len(names) <= LARGE else 4.5
    labels = [plain(name, NAME) for name in names]
    with rc_context({**STYLE, "axes.grid": False, "xtick.labelsize": size, "ytick.labelsize": size}):
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
        figure = Figure(figsize=(WIDTH, len(rows) * side), layout=layout)
        axes = figure.subplots(len(rows), columns, squeeze=False)
        for across, (row, panels) in enumerate(zip(axes, rows, strict=True)):
            for along, (panel, box) in enumerate(zip(panels, row, strict=True)):
                texts = np.vectorize(_written)(panel.shares)
                np.fill_diagonal(texts, [_written(value, 0) for value in np.diag(panel.shares)])
                sns.heatmap(
                    _mistakes(panel.shares),
                    ax=box,
                    vmin=0,
                    vmax=largest,
                    cmap=COLOURS,
                    annot=texts,
                    fmt="",
                    annot_kws={"size": size - 0.5, "color": TEXT},
                    linewidths=0.4,
                    linecolor=LINE,
                    square=True,
                    cbar=False,
                    xticklabels=labels,
                    yticklabels=labels if along == 0 else False,
                )
                box.set_title(plain(panel.title))
                box.tick_params(length=0)
                box.tick_params(axis="x", labelrotation=0 if max(map(len, labels)) <= 2 else 90)
                box.tick_params(axis="y", labelrotation=0)
                if across == len(rows) - 1:
                    box.set_xlabel("Taken for")
                if along == 0:
                    box.set_ylabel("True class")
    return figure


def _mistakes(shares: np.ndarray) -> np.ndarray:
    """Returns the shares with 0 on the diagonal and for classes without images."""
    return np.nan_to_num(shares * (1 - np.eye(len(shares))))


def _written(value: float, least: float = SHOWN) -> str:
    """Formats a percentage for a cell: whole from 10 on, and empty where it is rare or missing."""
    if np.isnan(value) or value < least:
        return ""
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
