"""Figures for a paper: accuracy against labelled proportion, and against ξ. Same input, same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter

from reports.names import Name, percent
from reports.statistics import ACCURACIES, summarise

WIDTH = 6.75  # inches: the text width of a two-column page
PANEL = 2.45  # inches: height of one row of panels
INK, PAPER, RULE = "#222222", "#ffffff", "#d9d9d9"
PALETTE = sns.color_palette("colorblind").as_hex()
MARKERS = "os^DvPX"
LINE = 98  # characters of the legend's size side by side
# What a legend explains beside the systems: a mean of fewer repetitions than asked, and a single one.
RING = {"marker": "o", "linestyle": "none", "color": INK, "markerfacecolor": PAPER, "markeredgewidth": 1.1}
RING |= {"label": "repetitions missing"}
DOT = {
    "marker": "o",
    "linestyle": "none",
    "color": INK,
    "markersize": 2.6,
    "alpha": 0.6,
    "markeredgewidth": 0,
}
DOT |= {"label": "one repetition"}
NO_DATE = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
STYLE = {
    **sns.axes_style("ticks"),
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.linewidth": 0.5,
    "grid.color": RULE,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.width": 0.5,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.minor.size": 2,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.2,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "reports",
    "pdf.fonttype": 42,
}


def files(figure: Figure, stem: str) -> dict[str, bytes]:
    """Content of figures/STEM.{png,svg,pdf}, by path; png at 200 dpi, no dates in any."""
    content = {}
    with rc_context(STYLE):
        for kind, metadata in NO_DATE.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            content[f"figures/{stem}.{kind}"] = buffer.getvalue()
    return content


def accuracy_figure(tidy: pd.DataFrame, names: Mapping[str, Name], labelled: Mapping[float, int]) -> Figure:
    """Figure 1: accuracy (%) against labelled proportion (logarithmic), a panel each for top-1 and top-5,
    a line with a ±1 sd band per system, from the tidy numbers of a table (`tables.table1`).

    A missing mean breaks its line; a hollow marker stands for fewer repetitions than asked. `labelled` puts
    the number of labelled images under the proportions it knows.
    """
    with rc_context(STYLE):
        figure, rows = _panels(1)
        proportions = sorted(tidy["proportion"].unique())
        for axes, metric in zip(rows[0], ACCURACIES, strict=True):
            block = tidy[tidy["metric"] == metric]
            for system, name in names.items():
                line = block[block["system"] == system].set_index("proportion").reindex(proportions)
                low, high = line["mean"] - line["std"], line["mean"] + line["std"]
                axes.fill_between(proportions, low, high, color=_look(name)["color"], alpha=0.16, linewidth=0)
                _line(axes, proportions, line, name)
            _proportion_axis(axes, proportions, labelled)
            _accuracy_axis(axes)
            axes.set_xlabel("Labelled proportion" + (" (labelled images)" if labelled else ""))
        _legend(figure, names, [RING] if _short(tidy).any() else [])
    return figure


def xi_figure(study: pd.DataFrame, names: Mapping[str, Name]) -> Figure:
    """Accuracy (%) against ξ at each proportion of the study (`statistics.xi_study`): one row of panels a
    proportion, a column each for top-1 and top-5, every repetition a dot, the means joined.

    ξ is a category, evenly spaced in the order of its value, so that 0 has a place; `auto` is labelled with
    the number it stood for. An empty study makes a figure that says so.
    """
    with rc_context(STYLE):
        proportions = sorted(study["proportion"].unique())
        if not proportions:
            return _notice("No ξ study among these results: no system was run with several values of ξ.")
        names = {system: name for system, name in names.items() if system in set(study["system"])}
        figure, rows = _panels(len(proportions))
        for panels, proportion in zip(rows, proportions, strict=True):
            part = study[study["proportion"] == proportion]
            for axes, metric in zip(panels, ACCURACIES, strict=True):
                _xi_panel(axes, part, metric, names)
                axes.set_title(f"{ACCURACIES[metric]}, {percent(proportion)} of the labels")
        means = summarise(study, list(ACCURACIES), ["system", "proportion", "xi"])
        _legend(figure, names, [DOT, RING] if _short(means).any() else [DOT])
    return figure


def _panels(rows: int) -> tuple[Figure, list[list[Axes]]]:
    figure = Figure(figsize=(WIDTH, 0.35 + PANEL * rows), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.04, wspace=0.04, hspace=0.06)
    grid = figure.subplots(rows, len(ACCURACIES), squeeze=False)
    for axes, title in zip(grid[0], ACCURACIES.values(), strict=True):
        axes.set_title(title)
    return figure, [list(row) for row in grid]


def _notice(text: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 0.8), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color=INK)
    return figure


def _look(name: Name) -> dict:
    """Colour and marker by rank, so a system looks the same in every figure; dashes for labels alone."""
    return {
        "color": PALETTE[name.place % len(PALETTE)],
        "marker": MARKERS[name.place % len(MARKERS)],
        "linestyle": "--" if name.learns_from == "labelled images" else "-",
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.6,
    }


def _short(tidy: pd.DataFrame) -> pd.Series:
    """Where some, but not all, of the repetitions asked for finished."""
    return (tidy["n"] > 0) & (tidy["n"] < tidy["asked"])


def _line(axes: Axes, x: Sequence[float], line: pd.DataFrame, name: Name) -> None:
    """Means at x with bars of ±1 sd; a missing one breaks the line, a short one is a ring."""
    look, x, mean, std = _look(name), pd.Series(x, line.index), line["mean"], line["std"]
    axes.plot(x, mean, **look, zorder=3)
    axes.errorbar(x, mean, std, fmt="none", ecolor=look["color"], elinewidth=0.8, alpha=0.6, zorder=2)
    short = _short(line)
    ring = look | RING | {"markeredgecolor": look["color"], "marker": look["marker"]}
    axes.plot(x[short], mean[short], **ring | {"label": ""}, zorder=4)


def _proportion_axis(axes: Axes, proportions: Sequence[float], labelled: Mapping[float, int]) -> None:
    """A logarithmic axis with a tick at every proportion and a label at as many as have room."""
    axes.set_xscale("log")
    shown = _with_room(proportions)
    texts = [percent(p) + (f"\n{labelled[p]:,}" if p in labelled else "") for p in shown]
    axes.set_xticks(shown, texts)
    axes.set_xticks([p for p in proportions if p not in shown], minor=True)
    axes.xaxis.set_minor_formatter(NullFormatter())
    margin = (proportions[-1] / proportions[0]) ** 0.05 if len(proportions) > 1 else 1.5
    axes.set_xlim(proportions[0] / margin, proportions[-1] * margin)


def _with_room(proportions: Sequence[float], gap: float = 0.13) -> list[float]:
    """The first, the last, and from the left each that is `gap` of the axis from its neighbours kept."""
    first, last = proportions[0], proportions[-1]
    kept = [first]
    span = math.log(last / first) or 1.0
    for proportion in proportions[1:-1]:
        room = min(math.log(proportion / kept[-1]), math.log(last / proportion))
        if room >= gap * span:
            kept.append(proportion)
    return kept if first == last else [*kept, last]


def _accuracy_axis(axes: Axes) -> None:
    """Accuracies end at 100 %, however wide a band; few round ticks."""
    axes.set_ylabel("Accuracy (%)")
    empty = all(pd.isna(line.get_ydata()).all() for line in axes.lines)
    low, high = (0, 100) if empty else axes.get_ylim()
    axes.set_ylim(max(low, -1.0), min(high, 100 + 0.03 * (100 - low)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def _xi_panel(axes: Axes, part: pd.DataFrame, metric: str, names: Mapping[str, Name]) -> None:
    ticks = _xi_ticks(part)
    means = summarise(part, [metric], ["system", "xi"])
    for rank, (system, name) in enumerate(names.items()):
        shift = 0.2 * (rank - (len(names) - 1) / 2)  # systems side by side: none hides another
        x = {xi: index + shift for index, xi in enumerate(ticks)}
        _line(axes, list(x.values()), means[means["system"] == system].set_index("xi").reindex(list(x)), name)
        done = part[(part["system"] == system) & (part["status"] == "done")]
        dots = DOT | {"color": _look(name)["color"], "label": ""}
        axes.plot([x[xi] + 0.08 for xi in done["xi"]], done[metric], **dots, zorder=5)
    axes.set_xticks(range(len(ticks)), list(ticks.values()))
    axes.set_xlim(-0.5, len(ticks) - 0.5)
    axes.set_xlabel("Weight of the label term, ξ")
    _accuracy_axis(axes)


def _xi_ticks(part: pd.DataFrame) -> dict[str, str]:
    """ξ as asked → its tick label, in the order of the numbers they stand for (`auto` last where unknown)."""
    found = part[part["xi"] == "auto"]["xi_value"].dropna()
    auto = math.inf if found.empty else float(found.mean())
    values = {xi: auto if xi == "auto" else float(xi) for xi in part["xi"].unique()}
    resolved = " to ".join(dict.fromkeys(f"{value:.4g}" for value in (found.min(), found.max())))
    texts = {"auto": "auto" if found.empty else f"auto\n= {resolved}"}
    return {xi: texts.get(xi, xi) for xi in sorted(values, key=lambda xi: (values[xi], xi))}


def _legend(figure: Figure, names: Mapping[str, Name], extra: Sequence[Mapping]) -> None:
    """One legend over all panels, outside them, so that it never covers data; then the places are fixed."""
    looks = [*({**_look(name), "label": name.label} for name in names.values()), *extra]
    room = [len(look["label"]) + 7 for look in looks]  # in characters, the handle's included
    columns = len(looks) if sum(room) <= LINE else max(1, LINE // max(room))
    handles = [Line2D([], [], **look) for look in looks]
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.5,
    )
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")
