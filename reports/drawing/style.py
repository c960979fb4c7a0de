"""What all figures share: style, the looks of the systems, axes, legends and files.

The same input gives the same bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from reports.foreign_text import one_line
from reports.names import Name, percent

WIDTH = 6.75  # inches: the text width of a two-column page
PANEL = 2.45  # inches: height of one row of panels
INK, PAPER, RULE = "#222222", "#ffffff", "#d9d9d9"
FAINT = "#a3a3a3"  # for reference lines; readable on light and dark paper
# Colours by a system's place in systems.csv. First the systems of labels, then those of captions. The latter have
# figures of their own, so they use the best three colours again: ours that of BSVM, the network that learns from
# captioned images alone that of AlexNet. Last are systems that are not in systems.csv, the pale pink at the end.
_ORDER = (*(0, 1, 2, 3, 4, 5, 9), *(2, 0, 1), *(8, 7, 6))
PALETTE = [sns.color_palette("colorblind").as_hex()[index] for index in _ORDER]
MARKERS = "os^DvPX^osos^"
LINE = 98  # characters that fit in one line of a legend
LINE_HEIGHT, ROOM = 0.17, 6  # inches of a line of a legend; lines for which a figure has room without growing
NAME = 60  # characters of a name that a figure shows
Look = dict[str, Any]  # keyword arguments of Matplotlib, which have many types
# Marks that a legend explains beside the systems: a mean of fewer repetitions than asked, and a single repetition.
RING: Look = {"marker": "o", "linestyle": "none", "color": INK, "markerfacecolor": PAPER, "markeredgewidth": 1.1}
RING |= {"label": "repetitions missing"}
DOT: Look = {
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
    """Returns the content of figures/STEM.{png,svg,pdf} by path; the PNG has 200 dpi, and no file holds a date."""
    content = {}
    with rc_context(STYLE):
        for kind, metadata in NO_DATE.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            content[f"figures/{stem}.{kind}"] = buffer.getvalue()
    return content


def grid(rows: int, titles: Sequence[str]) -> tuple[Figure, list[list[Axes]]]:
    """Makes a figure of rows of panels, the first row with these titles."""
    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.04, wspace=0.04, hspace=0.06)
    figure = Figure(figsize=(WIDTH, 0.35 + PANEL * rows), layout=layout)
    panels = figure.subplots(rows, len(titles), squeeze=False)
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title)
    return figure, [list(row) for row in panels]


def notice(text: str) -> Figure:
    """Makes a figure with a text instead of data."""
    figure = Figure(figsize=(WIDTH, 0.8), layout="constrained")
    figure.text(0.5, 0.5, text, ha="center", va="center", color=INK)
    return figure


def plain(name: str, most: int = NAME) -> str:
    """Returns a name as Matplotlib draws it letter by letter: in one line, shortened, and never as mathematics.

    Args:
        most: the number of characters for which there is room.
    """
    name = one_line(name)
    return (name if len(name) <= most else f"{name[: most - 1]}…").replace("$", r"\$")


def look(name: Name) -> Look:
    """Returns the colour, marker and line of a system, the same in every figure; dashes mean labels alone."""
    return {
        "color": PALETTE[name.place % len(PALETTE)],
        "marker": MARKERS[name.place % len(MARKERS)],
        "linestyle": "--" if name.learns_from == "labelled images" else "-",
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.6,
    }


def is_short(tidy: pd.DataFrame) -> pd.Series:
    """Tells, by row, whether some but not all of the repetitions asked for finished."""
    return (tidy["n"] > 0) & (tidy["n"] < tidy["asked"])


def mean_line(axes: Axes, x: Sequence[float], line: pd.DataFrame, name: Name) -> None:
    """Draws means at x with bars from `low` to `high`.

    A missing mean breaks the line; a mean of fewer repetitions than asked is a ring.
    """
    own, x, mean = look(name), pd.Series(x, line.index), line["mean"]
    axes.plot(x, mean, **own, zorder=3)
    ends = [(mean - line["low"]).clip(lower=0), (line["high"] - mean).clip(lower=0)]
    axes.errorbar(x, mean, ends, fmt="none", ecolor=own["color"], elinewidth=0.8, alpha=0.6, zorder=2)
    short = is_short(line)
    ring = own | RING | {"markeredgecolor": own["color"], "marker": own["marker"]}
    axes.plot(x[short], mean[short], **ring | {"label": ""}, zorder=4)


def proportion_axis(axes: Axes, proportions: Sequence[float], labelled: Mapping[float, int], gap: float = 0.13) -> None:
    """Makes the x axis logarithmic, with a tick at every proportion and labels at least `gap` of its length apart."""
    axes.set_xscale("log")
    shown = _with_room(proportions, gap)
    texts = [percent(p) + (f"\n{labelled[p]:,}" if p in labelled else "") for p in shown]
    axes.set_xticks(shown, texts)
    axes.set_xticks([p for p in proportions if p not in shown], minor=True)
    axes.xaxis.set_minor_formatter(NullFormatter())
    margin = (proportions[-1] / proportions[0]) ** 0.05 if len(proportions) > 1 else 1.5
    axes.set_xlim(proportions[0] / margin, proportions[-1] * margin)


def _with_room(proportions: Sequence[float], gap: float) -> list[float]:
    """Chooses the proportions with a label: the first, the last, and each that is `gap` of the axis from those kept."""
    first, last = proportions[0], proportions[-1]
    kept = [first]
    span = math.log(last / first) or 1.0
    for proportion in proportions[1:-1]:
        room = min(math.log(proportion / kept[-1]), math.log(last / proportion))
        if room >= gap * span:
            kept.append(proportion)
    return kept if first == last else [*kept, last]


def accuracy_axis(axes: Axes) -> None:
    """Ends the y axis at 100 %, however wide a band is, with few round ticks."""
    axes.set_ylabel("Accuracy (%)")
    low, high = (0, 100) if _empty(axes) else axes.get_ylim()
    axes.set_ylim(max(low, -1.0), min(high, 100 + 0.03 * (100 - low)))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def _empty(axes: Axes) -> bool:
    return all(pd.isna(line.get_ydata()).all() for line in axes.lines)


def score_axis(axes: Axes) -> None:
    """Starts the y axis near 0 where a band goes below it, with few round ticks."""
    low, high = (0, 1) if _empty(axes) else axes.get_ylim()
    axes.set_ylim(max(low, -0.03 * high), high)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def ratio_axis(axes: Axes) -> None:
    """Makes the y axis logarithmic, with plain numbers at 1, 2 and 5, or evenly spaced where the axis spans little."""
    if _empty(axes):
        axes.set_ylim(1, 10)
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = high / low > 8
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_axisbelow(True)
    sns.despine(ax=axes)


def measure_axis(axes: Axes, metric: str) -> None:
    """Formats the y axis for a column of results.csv."""
    {"top1": accuracy_axis, "top5": accuracy_axis, "perplexity": ratio_axis}.get(metric, score_axis)(axes)


def same_heights(panels: Sequence[Axes]) -> None:
    """Gives all panels the same range of y."""
    low = min(axes.get_ylim()[0] for axes in panels)
    high = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)


def legend(figure: Figure, names: Mapping[str, Name], extra: Sequence[Mapping]) -> None:
    """Adds one legend above all panels, where it covers no data, then fixes the layout."""
    looks = [*({**look(name), "label": plain(name.label)} for name in names.values()), *extra]
    room = [len(own["label"]) + 7 for own in looks]  # in characters, the handle included
    columns = len(looks) if sum(room) <= LINE else max(1, LINE // max(room))
    handles = [Line2D([], [], **own) for own in looks]
    lines = math.ceil(len(looks) / columns)
    figure.set_figheight(figure.get_figheight() + LINE_HEIGHT * max(0, lines - ROOM))
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=columns,
        frameon=False,
        handlelength=2.4,
        columnspacing=1.5,
    )
    if layout := figure.get_layout_engine():
        layout.execute(figure)
    figure.set_layout_engine("none")
