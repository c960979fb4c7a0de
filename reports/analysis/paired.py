"""Statistics of paired differences over few repetitions: exact test, correction, and what could be seen at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, t

LEVEL = 0.05
POWER = 0.8
EXACT = 14  # differences up to which all 2^n sign flips are made
FLIPS = 1 << EXACT  # drawn beyond that


def sign_flip(differences: Sequence[float], alternative: str = "two-sided") -> float:
    """p of the sign-flip permutation test that the mean difference is 0 ("two-sided"), or not above ("greater")
    or below it ("less"): the share of sign assignments with a mean at least as extreme. Exact, over all 2^n, up to
    n = 14; beyond that over flips drawn from a fixed seed, the one seen counted in. Missing without differences.

    Right whatever the differences' distribution, as long as under the null it is symmetric about 0 and the
    repetitions are independent.
    """
    d = np.asarray(differences, float)
    if not d.size:
        return math.nan
    means = _signs(d.size) @ d / d.size
    seen = d.mean()
    slack = 1e-9 * np.abs(d).max()  # sums in another order are still ties
    extreme = {
        "two-sided": np.abs(means) >= abs(seen) - slack,
        "greater": means >= seen - slack,
        "less": means <= seen + slack,
    }
    return float(extreme[alternative].mean())


def _signs(n: int) -> np.ndarray:
    """(flips, n) of ±1; the first row flips nothing."""
    if n <= EXACT:
        return 1.0 - 2.0 * ((np.arange(1 << n)[:, None] >> np.arange(n)) & 1)
    signs = np.random.default_rng(n).choice([-1.0, 1.0], size=(FLIPS, n))
    signs[0] = 1.0
    return signs


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p of each member of a family; missing ones stay missing and do not count."""
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        adjusted[place] = highest
    return adjusted


def simes(p: Sequence[float]) -> float:
    """Simes' p that every null of a family is true; it may be used for tests that depend on each other positively,
    as differences from one and the same system do (Simes 1986, https://doi.org/10.1093/biomet/73.3.751)."""
    return min(len(p) * value / rank for rank, value in enumerate(sorted(p), 1))


def smallest_p(n: int) -> float:
    """The smallest two-sided p that n differences can have: all of one sign, 2/2^n."""
    return min(1.0, 2.0 ** (1 - n))


def repetitions_needed(family: int) -> int:
    """The fewest repetitions with which one of a family's differences can be significant after Holm's correction."""
    return math.ceil(math.log2(2 * family / LEVEL))


def detectable(sd: float, n: int) -> float:
    """The mean difference that a paired t test of n repetitions finds with 80 % power at the 5 % level, given the
    standard deviation of the differences; missing with n < 2."""
    if n < 2 or math.isnan(sd):
        return math.nan
    return _noncentrality(n) * sd / math.sqrt(n)


def _noncentrality(n: int) -> float:
    """That of the t statistic at which it passes its upper critical value with 80 %; passing the lower one is
    then impossible to any digit that counts."""
    critical = t.ppf(1 - LEVEL / 2, n - 1)
    return brentq(lambda shift: nct.sf(critical, n - 1, shift) - POWER, 0.0, 4 * critical)
