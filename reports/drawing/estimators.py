"""The figure of gradient estimators: the error of one gradient, and results after equal training time."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from reports.drawing import style as drawing
from reports.drawing.style import DOT, INK, MARKERS, PALETTE, PAPER, STYLE, Look
from reports.inputs.estimators import READINGS

TICK = 16  # characters of an estimator's name below an axis
ERRORS = {"bias": "Relative bias", "variance": "Relative variance"}
OUTCOMES = {"kl_switches": "KL of the switches (nats)", "elbo": "Bound (nats)", "top1": "top-1, validation (%)"}


def estimator_figure(gradient: pd.DataFrame | None, training: pd.DataFrame | None) -> Figure:
    """Draws bias and variance of each estimator above, and results after equal training time below.

    Above there is a marker per training stage, at each number of draws; below, a dot per seed and their mean. The
    colour is the reading of q. Without one of the two tables its row of panels is left out.
    """
    with rc_context(STYLE):
        rows = [part is not None for part in (gradient, training)]
        layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.05, hspace=0.08)
        figure = Figure(figsize=(drawing.WIDTH, 0.5 + 2.6 * sum(rows)), layout=layout)
        grid = figure.add_gridspec(sum(rows), 6)
        stages: list[int] = []
        if gradient is not None:
            stages = sorted(int(stage) for stage in gradient["stage"].unique())
            for place, (measure, title) in enumerate(ERRORS.items()):
                _errors(figure.add_subplot(grid[0, 3 * place : 3 * place + 3]), gradient, measure, title, stages)
        if training is not None:
            for place, (measure, title) in enumerate(OUTCOMES.items()):
                axes = figure.add_subplot(grid[sum(rows) - 1, 2 * place : 2 * place + 2])
                _outcomes(axes, training, measure, title)
        readings: list[Look] = [
            {"color": _color(reading), "linewidth": 4, "label": f"{reading} q"}
            for reading in READINGS
            if any(part is not None and (part["reading"] == reading).any() for part in (gradient, training))
        ]
        marks: list[Look] = [
            {"marker": MARKERS[index], "color": INK, "linestyle": "none", "label": f"after {stage} epochs"}
            for index, stage in enumerate(stages)
        ]
        chance = {"marker": "_", "color": INK, "linestyle": "none", "markeredgewidth": 1.0, "label": "by chance"}
        marks += [chance] if gradient is not None and gradient["bias_se"].notna().any() else []
        seeds = [DOT | {"label": "one seed"}] if training is not None else []
        figure.legend(
            handles=[Line2D([], [], **own) for own in [*readings, *marks, *seeds]],
            loc="outside upper center",
            ncols=4,
            frameon=False,
            columnspacing=1.5,
        )
    return figure


def _color(reading: str) -> str:
    return PALETTE[READINGS.index(reading)]


def _names(table: pd.DataFrame) -> list[str]:
    """Returns the categories in the order of the file."""
    return list(dict.fromkeys(table["category"]))


def _errors(axes: Axes, gradient: pd.DataFrame, measure: str, title: str, stages: Sequence[int]) -> None:
    """Draws one measure of the gradient's error by estimator, number of draws, reading and stage."""
    several = gradient.groupby("estimator")["draws"].transform("nunique") > 1
    category = gradient["estimator"] + ("\n×" + gradient["draws"].astype(str)).where(several, "")
    table = gradient.assign(category=category)
    names = _names(table)
    for row in table.itertuples():
        shift = 0.22 * (READINGS.index(row.reading) - 0.5) + 0.16 * (
            stages.index(row.stage) / max(1, len(stages) - 1) - 0.5
        )
        x, value = names.index(row.category) + shift, getattr(row, measure)
        own: Look = {"linestyle": "none", "color": _color(row.reading)}
        if measure == "bias":
            axes.plot(x, row.bias_se, **own, marker="_", markeredgewidth=1.0, zorder=2)
        mark: Look = {"marker": MARKERS[stages.index(row.stage)], "markeredgecolor": PAPER, "markeredgewidth": 0.5}
        axes.plot(x, value, **own, **mark, zorder=3)
    positive = table.loc[table[measure] > 0, measure]
    axes.set_yscale("symlog", linthresh=float(positive.min()) if len(positive) else 1.0)
    axes.set_ylim(bottom=0 if not len(positive) else -0.15 * float(positive.min()))
    _categories(axes, names, title)


def _outcomes(axes: Axes, training: pd.DataFrame, measure: str, title: str) -> None:
    """Draws one result of training by estimator and reading, a dot per seed and a bar at the mean."""
    table = training.assign(category=training["estimator"])
    names = _names(table)
    for (estimator, reading), rows in table.groupby(["estimator", "reading"], sort=False):
        x = names.index(estimator) + 0.3 * (READINGS.index(reading) - 0.5)
        dots = DOT | {"color": _color(reading), "label": ""}
        axes.plot([x] * len(rows), rows[measure], **dots)
        axes.plot([x - 0.11, x + 0.11], [rows[measure].mean()] * 2, color=_color(reading))
    _categories(axes, names, title)


def _categories(axes: Axes, names: Sequence[str], title: str) -> None:
    """Labels the axes of a panel over categories."""
    axes.set_xticks(
        range(len(names)), ["\n".join(drawing.plain(line, TICK) for line in name.split("\n")) for name in names]
    )
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_title(title)
    axes.set_axisbelow(True)
    sns.despine(ax=axes)
