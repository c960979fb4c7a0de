"""The figure of accuracy draws the means and intervals of the tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from reports.analysis.statistics import estimate, headline
from reports.drawing.accuracy import accuracy_figure
from reports.inputs.results import read_results
from reports.names import name_systems


@pytest.fixture(scope="module")
def results(sweep_files):
    return read_results(sweep_files.results)


@pytest.fixture(scope="module")
def tidy(results):
    return estimate(headline(results), ["top1", "top5"], ["system", "proportion"])


def drawn_lines(axes) -> list[np.ndarray]:
    """(x, y) of the joined lines of a panel, in the order drawn."""
    return [np.array(line.get_xydata(), float) for line in axes.lines if line.get_linestyle() in ("-", "--")]


def test_each_line_goes_through_its_means_and_breaks_at_a_gap(tidy):
    names = name_systems(tidy["system"])
    figure = accuracy_figure(tidy, names, {0.01: 35})
    assert [axes.get_title() for axes in figure.axes] == ["top-1", "top-5"]
    for axes, metric in zip(figure.axes, ["top1", "top5"], strict=True):
        lines = drawn_lines(axes)
        assert len(lines) == 4
        for system, line in zip(names, lines, strict=True):
            rows = tidy[(tidy["metric"] == metric) & (tidy["system"] == system)].sort_values("proportion")
            np.testing.assert_array_equal(line, rows[["proportion", "mean"]].to_numpy(float))
    softmax = drawn_lines(figure.axes[0])[list(names).index("softmax")]
    assert math.isnan(softmax[3, 1])


def test_the_band_is_the_interval(tidy):
    names = name_systems(tidy["system"])
    axes = accuracy_figure(tidy, names, {}).axes[0]
    band = axes.collections[list(names).index("googlenet") * 2]  # each system: a band, then its bars
    rows = tidy[(tidy["metric"] == "top1") & (tidy["system"] == "googlenet")]
    expected = {*np.round(rows["low"], 9), *np.round(rows["high"], 9)}
    heights = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
    assert set(np.round(heights, 9)) == expected


def test_the_legend_is_outside_every_panel(tidy):
    figure = accuracy_figure(tidy, name_systems(tidy["system"]), {})
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["AlexNet", "GoogLeNet", "BSVM (ours)", "Softmax (ours)", "repetitions missing"]
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert all(box.y0 >= axes.get_window_extent().y1 for axes in figure.axes)


def test_many_proportions_keep_their_ticks_and_as_many_labels_as_have_room():
    proportions = [0.01, 0.05, *(p / 10 for p in range(1, 11))]
    tidy = pd.DataFrame(
        {"metric": m, "system": "a", "proportion": p, "mean": 50.0, "low": 49.0, "high": 51.0, "n": 2, "asked": 2}
        for m in ("top1", "top5")
        for p in proportions
    )
    axes = accuracy_figure(tidy, name_systems(["a"]), {}).axes[0]
    major, minor = axes.get_xticks(), axes.get_xticks(minor=True)
    assert sorted([*major, *minor]) == pytest.approx(proportions)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1%", "5%", "10%", "20%", "40%", "100%"]


def test_results_without_anything_to_draw_still_make_a_figure(results):
    missing = results.assign(status="missing", top1=math.nan, top5=math.nan)
    tidy = estimate(headline(missing), ["top1", "top5"], ["system", "proportion"])
    figure = accuracy_figure(tidy, name_systems(tidy["system"]), {})
    assert all(np.isnan(line[:, 1]).all() for line in drawn_lines(figure.axes[0]))
