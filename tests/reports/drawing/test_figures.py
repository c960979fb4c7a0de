"""What the figures draw is what the tables say; same input, same bytes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reports.analysis.statistics import estimate, headline, xi_study
from reports.drawing import accuracy as figures
from reports.drawing import style as drawing
from reports.inputs.results import read_results
from reports.names import name_systems


@pytest.fixture(scope="module")
def results(leavings):
    return read_results(leavings.results)


@pytest.fixture(scope="module")
def tidy(results):
    return estimate(headline(results), ["top1", "top5"], ["system", "proportion"])


def drawn_lines(axes) -> list[np.ndarray]:
    """(x, y) of the joined lines of a panel, in the order drawn."""
    return [np.array(line.get_xydata(), float) for line in axes.lines if line.get_linestyle() in ("-", "--")]


def test_each_line_goes_through_its_means_and_breaks_at_a_gap(tidy):
    names = name_systems(tidy["system"])
    figure = figures.accuracy_figure(tidy, names, {0.01: 35})
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
    axes = figures.accuracy_figure(tidy, names, {}).axes[0]
    band = axes.collections[list(names).index("googlenet") * 2]  # each system: a band, then its bars
    rows = tidy[(tidy["metric"] == "top1") & (tidy["system"] == "googlenet")]
    expected = {*np.round(rows["low"], 9), *np.round(rows["high"], 9)}
    heights = np.concatenate([path.vertices[:, 1] for path in band.get_paths()])
    assert set(np.round(heights, 9)) == expected


def test_the_legend_is_outside_every_panel(tidy):
    figure = figures.accuracy_figure(tidy, name_systems(tidy["system"]), {})
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
    axes = figures.accuracy_figure(tidy, name_systems(["a"]), {}).axes[0]
    major, minor = axes.get_xticks(), axes.get_xticks(minor=True)
    assert sorted([*major, *minor]) == pytest.approx(proportions)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1%", "5%", "10%", "20%", "40%", "100%"]


def test_xi_zero_and_auto_have_their_places_in_the_order_of_values(results):
    study = xi_study(results)
    figure = figures.xi_figure(study, name_systems(results["system"]))
    axes = figure.axes[0]
    assert axes.get_title() == "top-1, 10% of the labels"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "10", "auto\n= 784"]
    dots = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_markersize() < 3]
    drawn = sorted(np.concatenate([line.get_ydata() for line in dots]))
    assert drawn == sorted(study.loc[study["status"] == "done", "top1"])
    assert len(drawn) == 7


def test_auto_that_stood_for_several_numbers_says_which(results):
    study = xi_study(results).copy()
    study.loc[(study["xi"] == "auto") & (study["seed"] == 1), "xi_value"] = 5.0
    labels = [label.get_text() for label in figures.xi_figure(study, name_systems(["bsvm"])).axes[0].get_xticklabels()]
    assert labels == ["0", "1", "10", "auto\n= 5 to 784"]


def test_results_without_anything_to_draw_still_make_figures(results):
    nothing = figures.xi_figure(xi_study(headline(results)), name_systems(results["system"]))
    assert "No ξ study" in nothing.texts[0].get_text()
    missing = results.assign(status="missing", top1=math.nan, top5=math.nan)
    tidy = estimate(headline(missing), ["top1", "top5"], ["system", "proportion"])
    figure = figures.accuracy_figure(tidy, name_systems(tidy["system"]), {})
    assert all(np.isnan(line[:, 1]).all() for line in drawn_lines(figure.axes[0]))


def test_a_system_looks_the_same_whatever_it_stands_beside():
    everyone = name_systems(["alexnet", "googlenet", "bsvm", "softmax", "mine"])
    alone = name_systems(["softmax", "mine"])
    assert alone["softmax"] == everyone["softmax"]
    assert alone["mine"].place == everyone["mine"].place == 10


def test_files_carry_no_date_and_are_200_dots_an_inch(report):
    assert b"<dc:date>" not in (report / "figures" / "figure1.svg").read_bytes()
    assert b"CreationDate" not in (report / "figures" / "figure1.pdf").read_bytes()
    png = Image.open(report / "figures" / "figure1.png")
    assert png.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    assert png.width == round(drawing.WIDTH * 200)
