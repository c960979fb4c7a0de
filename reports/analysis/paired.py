"""Statistics of paired differences over few repetitions: exact tests, corrections, and detectable differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def max_t(family: Sequence[Mapping[int, float]]) -> list[float]:
    """Returns the corrected two-sided p of each member of a family of comparisons, by step-down max-T.

    This is the procedure of Westfall and Young (Resampling-Based Multiple Testing, 1993) with the sign flips of
    `sign_flip`: a flip turns the differences of a repetition in all comparisons at once, so that what
    comparisons share, such as a system or the labelled images, counts once. Each comparison is first held against the
    largest statistic of all, then against that of those which are not ahead of it. The smallest p is that of one
    comparison, however many there are. It bounds the probability of any false finding, where the differences of a
    repetition, all together, are symmetric about 0 under the null.

    The statistic is |Σ d| / √Σ d², which grows with Student's t and depends on flips through its numerator alone.

    Args:
        family: for each comparison its differences by repetition; p is missing where there are none.
    """
    repetitions = sorted(set().union(*family)) if family else []
    table = np.array([[differences.get(seed, 0.0) for seed in repetitions] for differences in family])
    known = [place for place, differences in enumerate(family) if differences]
    corrected = [math.nan] * len(family)
    if not known:
        return corrected
    norms = np.sqrt(np.square(table).sum(1, keepdims=True))
    scaled = np.divide(table, norms, out=np.zeros_like(table), where=norms > 0)
    statistics = np.abs(_signs(len(repetitions)) @ scaled.T)
    for place, p in zip(known, step_down(statistics[:, known]), strict=True):
        corrected[place] = p
    return corrected


def step_down(statistics: np.ndarray) -> list[float]:
    """Returns the corrected p of each comparison by step-down max-T (Westfall and Young 1993, algorithm 4.1).

    Args:
        statistics: [assignments, comparisons], of equally probable assignments under the null; the first row is the
            observed one. The larger, the more extreme.
    """
    observed = statistics[0]
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(statistics[:, order[::-1]], axis=1)[:, ::-1]  # of a comparison and those behind it
    corrected, highest = [math.nan] * len(observed), 0.0
    for step, place in enumerate(order):
        highest = max(highest, float((largest[:, step] >= observed[place] - 1e-9).mean()))
        corrected[place] = highest
    return corrected


def simes(p: Sequence[float]) -> float:
    """Returns Simes' p of the hypothesis that every null of a family is true.

    It is valid for positively dependent tests, such as differences from the same system (Simes 1986,
    https://doi.org/10.1093/biomet/73.3.751).
    """
    return min(len(p) * value / rank for rank, value in enumerate(sorted(p), 1))


def smallest_p(n: int) -> float:
    """Returns the smallest two-sided p that n differences can have, 2/2^n, when all have the same sign."""
    return min(1.0, 2.0 ** (1 - n))


def repetitions_needed() -> int:
    """Returns the fewest repetitions with which a difference can be significant, in a family of any size."""
    return math.ceil(math.log2(2 / LEVEL))


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
