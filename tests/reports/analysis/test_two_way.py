"""Differences over repetitions and images against other ways to the same numbers, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from reports.analysis.two_way import two_way


def drawn(rng, repetitions, images, spread, mean=0.0):
    """Differences with independent parts of a repetition, of an image, and of both; `spread` has their deviations."""
    of_repetition, of_image, of_both = spread
    table = mean + of_repetition * rng.normal(size=(repetitions, 1)) + of_image * rng.normal(size=(1, images))
    return table + of_both * rng.normal(size=(repetitions, images))


def by_regression(table):
    """Mean squares of a two-way layout from least squares with indicator columns, and what Hillis makes of them."""
    repetitions, images = table.shape
    rows, columns = np.repeat(np.arange(repetitions), images), np.tile(np.arange(images), repetitions)
    of_rows, of_columns = np.eye(repetitions)[rows], np.eye(images)[columns]
    y = table.ravel()

    def left(*parts):
        design = np.hstack([np.ones((len(y), 1)), *parts])
        return np.square(y - design @ np.linalg.lstsq(design, y, rcond=None)[0]).sum()

    rest = left(of_rows, of_columns)
    r = (left(of_columns) - rest) / (repetitions - 1)
    c = (left(of_rows) - rest) / (images - 1)
    e = rest / ((repetitions - 1) * (images - 1))
    denominator = r + max(c - e, 0)
    freedom = denominator**2 / (r**2 / (repetitions - 1))
    return math.sqrt(denominator / len(y)), freedom


@pytest.mark.parametrize("spread", [(1.0, 2.0, 1.0), (0.1, 0.0, 1.0), (2.0, 0.5, 0.0)])
def test_it_is_the_analysis_of_variance_by_least_squares(spread):
    table = drawn(np.random.default_rng(3), 5, 12, spread, mean=0.7)
    error, freedom = by_regression(table)
    found = two_way(table)
    assert found.mean == pytest.approx(table.mean())
    assert math.hypot(found.by_repetitions, found.by_images) == pytest.approx(error)
    assert found.p == pytest.approx(2 * t.sf(abs(table.mean()) / error, freedom))
    assert (found.low, found.high) == pytest.approx(t.interval(0.95, freedom, table.mean(), error))


def test_the_part_of_the_repetitions_is_their_standard_error():
    table = drawn(np.random.default_rng(1), 7, 30, (1.0, 2.0, 1.0))
    assert two_way(table).by_repetitions == pytest.approx(table.mean(1).std(ddof=1) / math.sqrt(7))


def test_images_that_are_all_alike_leave_the_paired_t_test():
    of_repetitions = np.array([0.4, 1.1, -0.2, 0.9, 0.6])
    found = two_way(np.repeat(of_repetitions[:, None], 20, axis=1))
    assert found.p == pytest.approx(ttest_1samp(of_repetitions, 0).pvalue)
    assert found.by_images == pytest.approx(0, abs=1e-12)


def test_its_standard_error_is_that_of_the_pigeonhole_bootstrap():
    """Owen 2007: repetitions and images are drawn again, independently; it overstates the variance a little."""
    rng = np.random.default_rng(5)
    table = drawn(rng, 25, 400, (1.0, 8.0, 3.0))
    found = two_way(table)
    means = [table[rng.integers(25, size=25)][:, rng.integers(400, size=400)].mean() for _ in range(2000)]
    assert math.hypot(found.by_repetitions, found.by_images) == pytest.approx(np.std(means), rel=0.08)


@pytest.mark.parametrize("spread", [(0.3, 4.0, 2.0), (1.0, 0.0, 3.0)])
def test_its_interval_covers_what_it_says(spread):
    """And the repetitions alone do not, where images matter: they all see the same ones."""
    rng = np.random.default_rng(11)
    covered = alone = 0
    for _ in range(500):
        table = drawn(rng, 6, 150, spread)
        found = two_way(table)
        covered += found.low <= 0 <= found.high
        alone += ttest_1samp(table.mean(1), 0).pvalue > 0.05
    assert covered / 500 == pytest.approx(0.95, abs=0.03)
    assert alone / 500 < 0.85 or spread[1] == 0


def test_it_covers_differences_of_right_and_wrong():
    """Images that are easier for one system than for the other, and systems that are equal over all images."""
    rng = np.random.default_rng(2)
    covered = alone = 0
    for _ in range(500):
        ease, favour = rng.normal(2, 2, 200), rng.normal(0, 1, 200)
        right = [
            rng.normal(size=(12, 200)) + rng.normal(0, 0.3, (12, 1)) + ease + sign * favour > 0 for sign in (1, -1)
        ]
        table = right[0].astype(float) - right[1]
        found = two_way(table)
        covered += found.low <= 0 <= found.high
        alone += ttest_1samp(table.mean(1), 0).pvalue > 0.05
    assert covered / 500 == pytest.approx(0.95, abs=0.03)
    assert alone / 500 < 0.9


def test_one_repetition_says_nothing_of_others():
    found = two_way(np.array([[1.0, 0.0, -1.0, 1.0]]))
    assert found.mean == 0.25
    assert all(map(math.isnan, (found.low, found.high, found.p, found.by_images)))


def test_equal_systems_are_equal():
    found = two_way(np.zeros((4, 9)))
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)
