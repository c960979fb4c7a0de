"""The figure of accuracy, calibration and time against N_s, the number of codes averaged over."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.figure import Figure

from reports.drawing import style as drawing
from reports.drawing.style import RING, STYLE
from reports.names import Name

MEASURES = {"top1": "top-1 (%)", "ece": "Calibration error (%)", "ms_per_image": "ms an image"}


def averaging_figure(tidy: pd.DataFrame, names: Mapping[str, Name]) -> Figure:
    """Draws a panel per measure against N_s; the axis of time is logarithmic.

    N_s is a category, evenly spaced, so that the mean code (N_s = 0) has a place.

    Args:
        tidy: from `statistics.estimate` by system and draws.
    """
    with rc_context(STYLE):
        figure, (panels,) = drawing.grid(1, list(MEASURES.values()))
        ticks = sorted(tidy["draws"].unique())
        names = {system: name for system, name in names.items() if system in set(tidy["system"])}
        for axes, measure in zip(panels, MEASURES, strict=True):
            for rank, (system, name) in enumerate(names.items()):
                rows = tidy[(tidy["metric"] == measure) & (tidy["system"] == system)]
                line = rows.set_index("draws").reindex(ticks)
                shift = 0.12 * (rank - (len(names) - 1) / 2)
                drawing.mean_line(axes, [index + shift for index in range(len(ticks))], line, name)
            axes.set_xticks(range(len(ticks)), ["mean\ncode" if draws == 0 else str(draws) for draws in ticks])
            axes.set_xlabel("Codes averaged over, N_s")
            sns.despine(ax=axes)
        if (tidy.loc[tidy["metric"] == "ms_per_image", "mean"] > 0).any():
            panels[-1].set_yscale("log")
        drawing.legend(figure, names, [RING] if drawing.is_short(tidy).any() else [])
    return figure
