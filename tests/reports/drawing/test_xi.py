"""The figure of ξ draws every repetition, at the place of its ξ."""

from __future__ import annotations

import numpy as np
import pytest

from reports.analysis.statistics import headline, xi_study
from reports.drawing.xi import xi_figure
from reports.inputs.results import read_results
from reports.names import name_systems


@pytest.fixture(scope="module")
def results(sweep_files):
    return read_results(sweep_files.results)


def test_xi_zero_and_auto_have_their_places_in_the_order_of_values(results):
    study = xi_study(results)
    figure = xi_figure(study, name_systems(results["system"]))
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
    labels = [label.get_text() for label in xi_figure(study, name_systems(["bsvm"])).axes[0].get_xticklabels()]
    assert labels == ["0", "1", "10", "auto\n= 5 to 784"]


def test_results_without_a_study_make_a_figure_that_says_so(results):
    figure = xi_figure(xi_study(headline(results)), name_systems(results["system"]))
    assert "No ξ study" in figure.texts[0].get_text()
