"""The figure of caption scores against the captioned proportion."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib import rc_context
from matplotlib.figure import Figure

from reports.drawing import style as drawing
from reports.drawing.accuracy import lines
from reports.drawing.style import RING, STYLE
from reports.names import Name
from reports.scores import SCORES

DRAWN = ("bleu4", "cider", "meteor", "perplexity")
BETTER = {"highest": "", "lowest": " (lower is better)"}


def caption_figure(tidy: pd.DataFrame, names: Mapping[str, Name], labelled: Mapping[float, int]) -> Figure:
    """Draws a panel per score against the captioned proportion (logarithmic).

    There is a line per system with a band from `low` to `high`. The axis of perplexity is logarithmic. A score that no
    system has gets no panel. A missing mean breaks its line; a hollow marker means fewer repetitions than asked.

    Args:
        tidy: from `statistics.estimate`.
        labelled: the number of captioned images by proportion, shown under the proportions that it has.
    """
    available = set(tidy.loc[tidy["n"] > 0, "metric"])
    scores = [score for score in DRAWN if score in available]
    with rc_context(STYLE):
        if not scores:
            return drawing.notice("No scores: no trial has finished.")
        wide = 2 if len(scores) == 4 else len(scores)
        figure, rows = drawing.grid(len(scores) // wide, [""] * wide)
        proportions = sorted(tidy["proportion"].unique())
        panels = [axes for row in rows for axes in row]
        for axes, score in zip(panels, scores, strict=True):
            axes.set_title(SCORES[score].title + BETTER[SCORES[score].best])
            lines(axes, tidy[tidy["metric"] == score], names, proportions)
            drawing.proportion_axis(axes, proportions, labelled, gap=0.13 if wide < 3 else 0.22)
            drawing.measure_axis(axes, score)
        for axes in rows[-1]:
            axes.set_xlabel("Captioned proportion" + (" (images)" if labelled else ""))
        drawing.legend(figure, names, [RING] if _short(tidy, scores) else [])
    return figure


def _short(tidy: pd.DataFrame, scores: list[str]) -> bool:
    return bool((drawing.is_short(tidy) & tidy["metric"].isin(scores)).any())
