"""The figure of confusion matrices: what stands in its cells, and that every number of classes fits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from reports.drawing.confusion import Panel, confusion_figure
from reports.drawing.style import files


def panel(classes, mistakes):
    """A matrix in which 90 % are right, with these shares of mistakes by (true class, taken for)."""
    shares = 90.0 * np.eye(classes)
    for place, share in mistakes.items():
        shares[place] = share
    return Panel("System, 1%", shares)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_cells_hold_percentages_and_rare_mistakes_are_left_blank():
    figure = confusion_figure([[panel(3, {(0, 1): 9.96, (0, 2): 0.04, (1, 2): 3.21})]], ["a", "b", "c"])
    (axes,) = figure.axes
    assert texts(axes) == ["90", "10", "", "", "90", "3.2", "", "", "90"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Taken for", "True class")


def test_one_scale_of_colours_is_for_mistakes_alone():
    rows = [[panel(3, {(0, 1): 4.0})], [panel(3, {(2, 0): 20.0})]]
    few, many = confusion_figure(rows, ["a", "b", "c"]).axes
    assert [axes.collections[0].get_clim() for axes in (few, many)] == [(0, 20)] * 2
    assert few.collections[0].get_array().max() == 4.0  # not the 90 of the diagonal


def test_a_class_without_images_is_blank():
    shares = panel(2, {}).shares
    shares[1] = np.nan
    (axes,) = confusion_figure([[Panel("x", shares)]], ["a", "b"]).axes
    assert texts(axes) == ["90", "", "", ""]


@pytest.mark.parametrize("classes", [2, 20])
def test_names_stay_apart(classes):
    """Long names are shortened, and none is drawn over the next."""
    names = [f"{place:02d} a class with a long name" for place in range(classes)]
    figure = confusion_figure([[panel(classes, {}), panel(classes, {})]], names)
    assert files(figure, "confusion")["figures/confusion.png"]
    left = figure.axes[0]
    boxes = [label.get_window_extent() for label in left.get_yticklabels()]
    assert len(boxes) == classes
    assert all(above.y0 >= below.y1 - 0.5 for above, below in itertools.pairwise(boxes))
    assert figure.axes[1].get_yticklabels() == []
