"""The figure of accuracy or caption scores against ξ, the weight of the label or caption term."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.statistics import estimate
from reports.drawing import style as drawing
from reports.drawing.style import DOT, RING, STYLE
from reports.names import Name, percent
from reports.result_kinds import LABELS, Kind


def xi_figure(study: pd.DataFrame, names: Mapping[str, Name], kind: Kind = LABELS) -> Figure:
    """Draws the studied scores of this kind of results against ξ.

    There is a row of panels per proportion and a column per score (for labels, top-1 and top-5). Every repetition is a
    dot, and the means are joined. ξ is a category, evenly spaced in the order of its values, so that 0 has a place.
    `auto` is labelled with the number that it stood for. An empty study makes a figure that says so.

    Args:
        study: from `statistics.xi_study`.
    """
    with rc_context(STYLE):
        proportions = sorted(study["proportion"].unique())
        if not proportions:
            return drawing.notice("No ξ study among these results: no system was run with several values of ξ.")
        names = {system: name for system, name in names.items() if system in set(study["system"])}
        figure, rows = drawing.grid(len(proportions), [kind.scores[metric] for metric in kind.studied])
        for panels, proportion in zip(rows, proportions, strict=True):
            part = study[study["proportion"] == proportion]
            for axes, metric in zip(panels, kind.studied, strict=True):
                _panel(axes, part, metric, names)
                axes.set_title(f"{kind.scores[metric]}, {percent(proportion)} of the {kind.learns}")
                axes.set_xlabel(f"Weight of the {kind.learns[:-1]} term, ξ")
        means = estimate(study, list(kind.studied), ["system", "proportion", "xi"])
        drawing.legend(figure, names, [DOT, RING] if drawing.is_short(means).any() else [DOT])
    return figure


def _panel(axes: Axes, part: pd.DataFrame, metric: str, names: Mapping[str, Name]) -> None:
    """Draws one score at one proportion."""
    ticks = _tick_labels(part)
    means = estimate(part, [metric], ["system", "xi"])
    for rank, (system, name) in enumerate(names.items()):
        shift = 0.2 * (rank - (len(names) - 1) / 2)  # side by side, so that no system hides another
        x = {xi: index + shift for index, xi in enumerate(ticks)}
        drawing.mean_line(
            axes, list(x.values()), means[means["system"] == system].set_index("xi").reindex(list(x)), name
        )
        done = part[(part["system"] == system) & (part["status"] == "done")]
        dots = DOT | {"color": drawing.look(name)["color"], "label": ""}
        axes.plot([x[xi] + 0.08 for xi in done["xi"]], done[metric], **dots, zorder=5)
    axes.set_xticks(range(len(ticks)), list(ticks.values()))
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    drawing.measure_axis(axes, metric)


def _tick_labels(part: pd.DataFrame) -> dict[str, str]:
    """Returns the tick label of each ξ as asked, in the order of values; `auto` is last if its value is unknown."""
    resolved = part[part["xi"] == "auto"]["xi_value"].dropna()
    auto = math.inf if resolved.empty else float(resolved.mean())
    values = {xi: auto if xi == "auto" else float(xi) for xi in part["xi"].unique()}
    numbers = " to ".join(dict.fromkeys(f"{value:.4g}" for value in (resolved.min(), resolved.max())))
    texts = {"auto": "auto" if resolved.empty else f"auto\n= {numbers}"}
    return {xi: texts.get(xi, xi) for xi in sorted(values, key=lambda xi: (values[xi], xi))}
