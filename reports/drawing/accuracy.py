"""Figures of accuracy against labelled proportion, and of accuracy or scores against ξ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.analysis.statistics import estimate
from reports.drawing import style as drawing
from reports.drawing.style import DOT, FAINT, RING, STYLE
from reports.kinds import ACCURACIES, LABELS, Kind
from reports.names import Name, by_origin, percent

GREY = {"color": FAINT, "linewidth": 1.0, "label": "systems as above"}


def accuracy_figure(tidy: pd.DataFrame, names: Mapping[str, Name], labelled: Mapping[float, int]) -> Figure:
    """Figure 1: accuracy (%) against labelled proportion (logarithmic), a panel each for top-1 and top-5,
    a line with a band from `low` to `high` per system (`statistics.estimate`). Systems beyond the paper have panels
    of their own below, with the paper's systems in grey.

    A missing mean breaks its line; a hollow marker stands for fewer repetitions than asked. `labelled` puts
    the number of labelled images under the proportions it knows.
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
    """Each system's means over the proportions, with their band."""
    for system, name in names.items():
        line = block[block["system"] == system].set_index("proportion").reindex(proportions)
        color = drawing.look(name)["color"]
        axes.fill_between(proportions, line["low"], line["high"], color=color, alpha=0.16, linewidth=0)
        drawing.mean_line(axes, proportions, line, name)


def _reference(axes: Axes, block: pd.DataFrame, names: Mapping[str, Name]) -> None:
    for system, name in names.items():
        line = block[block["system"] == system].sort_values("proportion")
        style = drawing.look(name)["linestyle"]
        axes.plot(line["proportion"], line["mean"], color=FAINT, linewidth=1.0, linestyle=style, zorder=1)


def xi_figure(study: pd.DataFrame, names: Mapping[str, Name], kind: Kind = LABELS) -> Figure:
    """Accuracy (%), or whatever scores of its kind are studied, against ξ at each proportion of the study
    (`statistics.xi_study`): one row of panels a proportion, a column a score (for labels top-1 and top-5), every
    repetition a dot, the means joined.

    ξ is a category, evenly spaced in the order of its value, so that 0 has a place; `auto` is labelled with
    the number it stood for. An empty study makes a figure that says so.
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
                _xi_panel(axes, part, metric, names)
                axes.set_title(f"{kind.scores[metric]}, {percent(proportion)} of the {kind.learns}")
                axes.set_xlabel(f"Weight of the {kind.learns[:-1]} term, ξ")
        means = estimate(study, list(kind.studied), ["system", "proportion", "xi"])
        drawing.legend(figure, names, [DOT, RING] if drawing.is_short(means).any() else [DOT])
    return figure


def _xi_panel(axes: Axes, part: pd.DataFrame, metric: str, names: Mapping[str, Name]) -> None:
    ticks = _xi_ticks(part)
    means = estimate(part, [metric], ["system", "xi"])
    for rank, (system, name) in enumerate(names.items()):
        shift = 0.2 * (rank - (len(names) - 1) / 2)  # systems side by side: none hides another
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


def _xi_ticks(part: pd.DataFrame) -> dict[str, str]:
    """ξ as asked → its tick label, in the order of the numbers they stand for (`auto` last where unknown)."""
    found = part[part["xi"] == "auto"]["xi_value"].dropna()
    auto = math.inf if found.empty else float(found.mean())
    values = {xi: auto if xi == "auto" else float(xi) for xi in part["xi"].unique()}
    resolved = " to ".join(dict.fromkeys(f"{value:.4g}" for value in (found.min(), found.max())))
    texts = {"auto": "auto" if found.empty else f"auto\n= {resolved}"}
    return {xi: texts.get(xi, xi) for xi in sorted(values, key=lambda xi: (values[xi], xi))}
