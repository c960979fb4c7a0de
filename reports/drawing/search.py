"""The figure of the searches for settings: the importance of each parameter, and the score trial by trial."""

from __future__ import annotations

from collections.abc import Mapping

import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from reports.drawing import style as drawing
from reports.drawing.style import INK, PAPER, STYLE, Look
from reports.inputs.search import Search
from reports.names import Name

PARAMETER = 30  # characters of a parameter's name beside an axis
COMPLETE: Look = {"marker": "o", "linestyle": "none", "markersize": 3.5}
COMPLETE |= {"markeredgecolor": PAPER, "markeredgewidth": 0.4}
PRUNED: Look = {"marker": "o", "linestyle": "none", "markersize": 3}
PRUNED |= {"markerfacecolor": "none", "markeredgewidth": 0.7}
SHIPPED: Look = {"color": INK, "linestyle": ":", "linewidth": 1.0}


def search_figure(searches: Mapping[str, Search], names: Mapping[str, Name]) -> Figure:
    """Draws a row of panels per system: the importance of each parameter, and the scores (%) with the best so far."""
    heights = [1.0 + 0.2 * max(4, len(search.importances)) for search in searches.values()]
    with rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.06)
        figure = Figure(figsize=(drawing.WIDTH, 0.5 + sum(heights)), layout=layout)
        rows = figure.subplots(len(searches), 2, squeeze=False, gridspec_kw={"height_ratios": heights})
        for (left, right), (system, search) in zip(rows, searches.items(), strict=True):
            color = drawing.look(names[system])["color"]
            _importances(left, search, color)
            _scores(right, search, color)
            label = drawing.plain(names[system].label)
            left.set_title(f"{label}: importance")
            right.set_title(f"{label}: score by trial")
        rows[-1][0].set_xlabel("Share of the score’s variance")
        rows[-1][1].set_xlabel("Trial")
        handles = [
            Line2D([], [], **COMPLETE, color=INK, label="complete"),
            Line2D([], [], **PRUNED, color=INK, label="pruned"),
            Line2D([], [], color=INK, label="best so far"),
            Line2D([], [], **SHIPPED, label="settings as shipped"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _importances(axes: Axes, search: Search, color: str) -> None:
    ordered = sorted(search.importances.items(), key=lambda item: item[1])
    places = range(len(ordered))
    axes.barh(places, [share for _, share in ordered], color=color, height=0.6)
    axes.set_yticks(places, [drawing.plain(name, PARAMETER) for name, _ in ordered])
    axes.grid(visible=False)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def _scores(axes: Axes, search: Search, color: str) -> None:
    trials = search.trials
    complete, pruned = (trials[trials["state"] == state] for state in ("complete", "pruned"))
    axes.plot(pruned["number"], pruned["score"], **PRUNED, color=color)
    axes.plot(complete["number"], complete["score"], **COMPLETE, color=color, zorder=3)
    axes.step(complete["number"], complete["score"].cummax(), where="post", color=color, linewidth=1.2)
    if search.shipped_score is not None:
        axes.axhline(search.shipped_score, **SHIPPED)
    axes.set_ylabel("Validation (%)")
    sns.despine(ax=axes)
