"""Figure of caption scores against captioned proportion."""

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
    """A panel per score against captioned proportion (logarithmic), a line with a band from `low` to `high` per system
    (`statistics.estimate`); perplexity is logarithmic, and a score that nobody has leaves its panel out.

    A missing mean breaks its line; a hollow marker stands for fewer repetitions than asked. `labelled` puts the number
    of captioned images under the proportions it knows.
    """
    known = set(tidy.loc[tidy["n"] > 0, "metric"])
    scores = [score for score in DRAWN if score in known]
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
