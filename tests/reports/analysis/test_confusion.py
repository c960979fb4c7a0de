"""Confusions against scikit-learn's matrix, and the mistakes in it."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from reports.analysis.confusion import accuracies, confusion, matrix, mistakes


def test_counts_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    labels, guesses = rng.integers(0, 5, 200), [rng.integers(0, 6, 200) for _ in range(3)]
    counts = confusion(labels, guesses)
    expected = sum(confusion_matrix(labels, said, labels=range(7)) for said in guesses)
    found = np.zeros((7, 7), int)
    found[counts["true"], counts["said"]] = counts["count"]
    assert np.array_equal(found, expected)
    shares = matrix(counts, 7)
    assert shares[:5] == pytest.approx(100 * expected[:5] / expected[:5].sum(1, keepdims=True))
    assert np.isnan(shares[5:]).all()
    assert accuracies(counts, 7)[:5] == pytest.approx(np.diag(shares)[:5])
    assert np.isnan(accuracies(counts, 7)[5:]).all()


def test_a_class_that_is_never_recognised_has_no_hits():
    assert accuracies(confusion(np.array([0, 0, 1]), [np.array([1, 1, 1])]), 2).tolist() == [0.0, 100.0]


def test_mistakes_come_by_number_and_then_by_class():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    counts = confusion(labels, [np.array([1, 1, 0, 2, 2, 0, 2, 0])])
    rows = mistakes(counts, 3)[["true", "said", "count"]].to_numpy().tolist()
    assert rows == [[0, 1, 2], [1, 2, 2], [1, 0, 1]]
    assert len(mistakes(counts, 9)) == 4
