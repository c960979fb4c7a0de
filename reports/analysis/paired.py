"""Statistics of paired differences over few repetitions: exact tests, corrections, and detectable differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, t

LEVEL = 0.05  # of significance
POWER = 0.8
EXACT = 14  # up to this number of differences all 2^n sign assignments are enumerated
FLIPS = 1 << EXACT  # sign assignments drawn beyond that


def sign_flip(differences: Sequence[float], alternative: str = "two-sided") -> float:
    """Returns p of the sign-flip permutation test for the mean of paired differences.

    p is the share of sign assignments whose mean is at least as extreme as the observed one. Up to n = 14 all 2^n
    assignments are enumerated; beyond that they are drawn from a fixed seed, with the observed one counted in. p is
    missing without differences. The test is valid for any distribution that is symmetric about 0 under the null, given
    independent repetitions.

    `scipy.stats.permutation_test` does not give the same p: it recognises ties by a tolerance relative to the observed
    mean, so that it misses them where that mean is near 0, and it refuses a single difference.

    Args:
        alternative: "two-sided", "greater" or "less", the alternatives to a mean of 0, not above 0, not below 0.
    """
    d = np.asarray(differences, float)
    if not d.size:
        return math.nan
    means = _signs(d.size) @ d / d.size
    observed = d.mean()
    slack = 1e-9 * np.abs(d).max()  # equal means that were summed in another order still tie
    extreme = {
        "two-sided": np.abs(means) >= abs(observed) - slack,
        "greater": means >= observed - slack,
        "less": means <= observed + slack,
    }
    return float(extreme[alternative].mean())


def _signs(n: int) -> np.ndarray:
    """Returns sign assignments of ±1, [assignments, n]; the first row flips nothing."""
    if n <= EXACT:
        return 1.0 - 2.0 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1)
    signs = np.random.default_rng(n).choice([-1.0, 1.0], size=(FLIPS, n))
    signs[0] = 1.0
    return signs


def holm(p: Sequence[float]) -> list[float]:
    """Returns Holm's adjusted p of each member of a family; a missing p stays missing and is not counted."""
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        adjusted[place] = highest
    return adjusted


def simes(p: Sequence[float]) -> float:
    """Returns Simes' p of the hypothesis that every null of a family is true.

    It is valid for positively dependent tests, such as differences from the same system (Simes 1986,
    https://doi.org/10.1093/biomet/73.3.751).
    """
    return min(len(p) * value / rank for rank, value in enumerate(sorted(p), 1))


def smallest_p(n: int) -> float:
    """Returns the smallest two-sided p that n differences can have, 2/2^n, when all have the same sign."""
    return min(1.0, 2.0 ** (1 - n))


def repetitions_needed(family: int) -> int:
    """Returns the fewest repetitions with which a difference of the family can be significant after Holm's correction.

    Args:
        family: the number of its differences.
    """
    return math.ceil(math.log2(2 * family / LEVEL))


def detectable(sd: float, n: int) -> float:
    """Returns the mean difference that a paired t test of n repetitions detects with 80 % power at the 5 % level.

    Args:
        sd: standard deviation of the differences; with n < 2 or a missing sd the result is missing.
    """
    if n < 2 or math.isnan(sd):
        return math.nan
    return _noncentrality(n) * sd / math.sqrt(n)


@cache
def _noncentrality(n: int) -> float:
    """Returns the noncentrality at which the t statistic exceeds its upper critical value with 80 % probability.

    The probability that it falls below the lower critical value is then negligible.
    """
    critical = t.ppf(1 - LEVEL / 2, n - 1)
    return brentq(lambda shift: nct.sf(critical, n - 1, shift) - POWER, 0.0, 4 * critical)
