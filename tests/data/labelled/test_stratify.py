"""Cuts and orders compared with their definitions, computed by fractions and brute force."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.labelled.stratify import apportion, cut, label_order, labelled_count

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)
SEEDS = st.integers(0, 2**63 - 1)


def _labels(sizes, seed):
    """Labels of classes with those sizes, shuffled. The numbers of the classes have gaps."""
    labels = np.repeat(3 * np.arange(len(sizes)), sizes)
    return np.random.default_rng(seed).permutation(labels)


def _counts(labels, classes):
    return [int((labels == 3 * c).sum()) for c in range(classes)]


@given(sizes=SIZES, data=st.data(), seed=SEEDS)
def test_a_cut_is_stratified_within_one_image_and_leaves_one_of_each_class(sizes, data, seed):
    labels = _labels(sizes, seed)
    size = data.draw(st.integers(0, sum(sizes) - len(sizes)))
    taken, rest = cut(labels, np.arange(len(labels)), size, seed)
    assert len(taken) == size
    assert sorted([*taken, *rest]) == list(range(len(labels)))
    assert np.all(np.diff(taken) > 0)
    assert np.all(np.diff(rest) > 0)
    counts = _counts(labels[taken], len(sizes))
    assert all(count <= n - 1 for count, n in zip(counts, sizes, strict=True))
    shares = [Fraction(size * n, sum(sizes)) for n in sizes]
    # "one of each class stays" can bind only where the share rounded up is the whole class
    if all(math.ceil(share) <= n - 1 for share, n in zip(shares, sizes, strict=True)):
        assert all(abs(count - share) < 1 for count, share in zip(counts, shares, strict=True))


def test_apportion_by_hand():
    # shares 6.3, 2.1, 0.6: one place left after the whole numbers, to the largest remainder
    assert apportion(np.array([210, 70, 20]), 9).tolist() == [6, 2, 1]
    # equal remainders: the lower class first
    assert apportion(np.array([10, 10, 10]), 4).tolist() == [2, 1, 1]
    # the class of one image keeps it although its remainder is the largest
    assert apportion(np.array([1, 3]), 1).tolist() == [0, 1]
    assert apportion(np.array([1, 5, 5]), 8).tolist() == [0, 4, 4]
    with pytest.raises(ValueError, match="cannot take 2 of 4 images"):
        apportion(np.array([1, 1, 2]), 2)


def test_a_cut_is_only_of_the_candidates():
    labels = _labels([20, 20], 0)
    candidates = np.arange(3, 33, 2)
    taken, rest = cut(labels, candidates, 5, seed=1)
    assert sorted([*taken, *rest]) == candidates.tolist()


def _webster_at_least_one(sizes, n):
    """All ways to share n ≥ C labels that the docstring allows: sets (low, high) per class at a common t.

    t runs through every value at which some class's rounded share changes; returns the bounds at the
    first t where n lies between the lowest and the highest sum.
    """
    half = Fraction(1, 2)
    for t in sorted({Fraction(2 * i + 1, 2 * n_c) for n_c in sizes for i in range(n_c)} | {Fraction(0)}):
        low = [max(1, math.ceil(n_c * t - half)) for n_c in sizes]
        high = [max(1, math.floor(n_c * t + half)) for n_c in sizes]
        if sum(low) <= n <= sum(high):
            return low, high
    raise AssertionError("no such t")


@given(sizes=SIZES, seed=SEEDS, data=st.data())
def test_prefixes_of_the_label_order_are_rounded_shares_with_at_least_one_each(sizes, seed, data):
    labels = _labels(sizes, seed)
    order = label_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    n = data.draw(st.integers(len(sizes), len(labels)))
    counts = _counts(labels[order[:n]], len(sizes))
    low, high = _webster_at_least_one(sizes, n)
    assert all(a <= count <= b for a, count, b in zip(low, counts, high, strict=True))
    # what follows for the distance to exact stratification, whatever the sizes
    total = sum(sizes)
    for count, n_c in zip(counts, sizes, strict=True):
        share, spread = Fraction(n * n_c, total), Fraction(len(sizes) * n_c, total)
        assert -Fraction(1, 2) - spread <= count - share <= 1 + spread / 2


@given(size=st.integers(1, 30), classes=st.integers(1, 8), seed=SEEDS)
def test_equal_classes_are_within_one_label_of_their_share_at_every_length(size, classes, seed):
    labels = _labels([size] * classes, seed)
    order = label_order(labels, seed)
    for n in range(classes, len(labels) + 1):
        counts = _counts(labels[order[:n]], classes)
        assert all(abs(Fraction(n, classes) - count) < 1 for count in counts)


def test_orders_are_independent_draws():
    labels = _labels([50] * 4, 0)
    first, second = label_order(labels, 1), label_order(labels, 2)
    assert first.tolist() != second.tolist()
    # each image of a class is equally likely to come first: 400 draws over 200 images, 4 firsts in each
    seen = np.zeros(200)
    for seed in range(400):
        seen[label_order(labels, seed)[:4]] += 1
    chi_square = float(((seen - 8) ** 2 / 8).sum())
    assert 130 < chi_square < 280  # 196 degrees of freedom: mean 196, standard deviation 20


@pytest.mark.parametrize(
    ("proportion", "images", "classes", "count"),
    [
        (0.01, 3500, 10, 35),
        (0.001, 3500, 10, 10),  # 3.5: fewer than the classes
        (0.005, 3500, 10, 18),  # 17.5, half up
        (0.145, 1000, 3, 145),
        (0.285, 100, 3, 29),  # 28.5, half up, though 0.285 * 100 is below it in floating point
        (1.0, 55_000, 10, 55_000),
        (1, 7, 3, 7),
    ],
)
def test_labelled_count(proportion, images, classes, count):
    assert labelled_count(proportion, images, classes) == count


@pytest.mark.parametrize("proportion", [0, -0.1, 1.0001, float("nan"), float("inf")])
def test_a_proportion_outside_is_refused(proportion):
    with pytest.raises(UserError, match="above 0 and at most 1"):
        labelled_count(proportion, 100, 10)
