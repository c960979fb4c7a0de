"""McNemar's exact test against two libraries, and the numbers it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from mlxtend.evaluate import mcnemar as of_mlxtend
from scipy.stats import binomtest

from reports.analysis.mcnemar import discordant, fewest_images, mcnemar


@pytest.mark.parametrize(("only_ours", "only_theirs"), [(0, 0), (1, 0), (5, 0), (6, 0), (12, 3), (7, 7), (150, 110)])
def test_it_is_the_exact_test_of_two_libraries(only_ours, only_theirs):
    p = mcnemar(only_ours, only_theirs)
    assert p == mcnemar(only_theirs, only_ours)
    if only_ours + only_theirs:
        assert p == pytest.approx(binomtest(only_ours, only_ours + only_theirs).pvalue, rel=1e-12)
        _, expected = of_mlxtend(np.array([[50, only_ours], [only_theirs, 9]]), exact=True)
        assert p == pytest.approx(min(1.0, expected), rel=1e-12)
    else:
        assert p == 1.0


def test_images_about_which_one_alone_is_right():
    labels, ours, theirs = (np.array(row) for row in ([0, 1, 2, 3, 4, 5], [0, 1, 2, 0, 0, 0], [0, 1, 0, 3, 4, 1]))
    assert discordant(ours, theirs, labels) == (1, 2)


def test_the_fewest_images_that_can_tell():
    fewest = fewest_images()
    assert mcnemar(fewest, 0) <= 0.05 < mcnemar(fewest - 1, 0)
