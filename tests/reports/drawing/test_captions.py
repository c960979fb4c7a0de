"""The figure of caption scores draws the means of the tables."""

from __future__ import annotations

import numpy as np

from reports.analysis.statistics import estimate, headline
from reports.drawing.captions import caption_figure
from reports.inputs.results import read_results
from reports.names import name_systems


def test_each_line_goes_through_its_means(captioned):
    rows = headline(read_results(captioned.results))
    names = name_systems(rows["system"])
    tidy = estimate(rows, ["bleu4", "cider", "meteor", "perplexity"], ["system", "proportion"])
    figure = caption_figure(tidy, names, {0.02: 80})
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "linear", "linear", "log"]
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    for axes, score in zip(figure.axes, ["bleu4", "cider", "meteor", "perplexity"], strict=True):
        drawn = [line.get_ydata() for line in axes.lines if line.get_linestyle() in ("-", "--")]
        for system, line in zip(names, drawn, strict=True):
            wanted = tidy[(tidy["metric"] == score) & (tidy["system"] == system)].sort_values("proportion")
            np.testing.assert_array_equal(np.asarray(line, float), wanted["mean"])
