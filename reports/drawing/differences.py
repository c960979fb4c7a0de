"""The figures of paired differences against the labelled or captioned proportion, with intervals and a zero line."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.comparison import EACH
from reports.drawing import style as drawing
from reports.drawing.style import INK, RING, STYLE
from reports.names import Name, by_origin


def difference_figure(compared: pd.DataFrame, names: Mapping[str, Name]) -> Figure:
    """Draws differences in top-1 (points) from `comparison.compare`.

    There is a column of panels per baseline, and a row each for the paper's systems and those beyond it. Systems stand
    side by side at each proportion, so that no interval hides another.
    """
    each = compared[compared["family"] == EACH]
    with rc_context(STYLE):
        if not each["n"].any():
            return drawing.notice("No paired differences: no repetition of a system and a baseline has finished.")
        groups = {origin: group for origin, group in by_origin(names).items() if each["system"].isin(list(group)).any()}
        baselines = [system for system in names if system in set(each["baseline"])]
        baselines.sort(key=lambda system: names[system].learns_from != "labelled images")
        figure, rows = drawing.grid(len(groups), [_against(names[system]) for system in baselines])
        proportions = sorted(each["proportion"].unique())
        drawn: dict[str, Name] = {}
        for panels, (origin, group) in zip(rows, groups.items(), strict=True):
            for axes, baseline in zip(panels, baselines, strict=True):
                lines = each[(each["baseline"] == baseline) & each["system"].isin(list(group))]
                drawn |= _panel(axes, lines, names, proportions)
                if lines.empty:
                    axes.remove()
            apart = "Beyond the paper:\n" if origin == "beyond" else ""
            panels[0].set_ylabel(f"{apart}Difference in top-1 (points)")
        drawing.same_heights(figure.axes)
        shown = {system: name for system, name in names.items() if system in drawn}
        drawing.legend(figure, shown, [RING] if drawing.is_short(each).any() else [])
    return figure


def score_difference_figure(compared: Mapping[str, pd.DataFrame], names: Mapping[str, Name]) -> Figure:
    """Draws differences in caption scores, a row of panels per score and a column per system compared with.

    Args:
        compared: from `comparison.compare`, by the title of the score.
    """
    parts = {title: table[table["family"] == EACH] for title, table in compared.items()}
    others = [system for system in names if any((part["baseline"] == system).any() for part in parts.values())]
    with rc_context(STYLE):
        if not any(part["n"].any() for part in parts.values()):
            return drawing.notice("No paired differences: no repetition of two systems has finished.")
        figure, rows = drawing.grid(len(parts), [_against(names[system]) for system in others])
        proportions = sorted({proportion for part in parts.values() for proportion in part["proportion"]})
        drawn: dict[str, Name] = {}
        for panels, (title, part) in zip(rows, parts.items(), strict=True):
            for axes, other in zip(panels, others, strict=True):
                drawn |= _panel(axes, part[part["baseline"] == other], names, proportions, "Captioned")
            panels[0].set_ylabel(f"Difference in {title}")
            drawing.same_heights(panels)
        short = any(drawing.is_short(part).any() for part in parts.values())
        drawing.legend(figure, {system: names[system] for system in names if system in drawn}, [RING] if short else [])
    return figure


def _against(name: Name) -> str:
    return f"against {drawing.plain(name.label)}"


def _panel(
    axes: Axes,
    lines: pd.DataFrame,
    names: Mapping[str, Name],
    proportions: list[float],
    annotated: str = "Labelled",
) -> dict[str, Name]:
    """Draws one panel; returns the systems in it."""
    drawn = {system: names[system] for system in names if system in set(lines["system"])}
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    step = (proportions[-1] / proportions[0]) ** 0.012 if len(proportions) > 1 else 1.02
    for rank, (system, name) in enumerate(drawn.items()):
        line = lines[lines["system"] == system].set_index("proportion").reindex(proportions)
        shift = step ** (2 * rank - (len(drawn) - 1))
        drawing.mean_line(axes, [proportion * shift for proportion in proportions], line, name)
    drawing.proportion_axis(axes, proportions, {}, gap=0.2)
    axes.set_xlabel(f"{annotated} proportion")
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
    return drawn
