"""A difference in accuracy over repetitions and test images, both taken as samples: a two-way random-effects model.

All repetitions are tested on the same images, so that results are not independent in either direction. This is the
problem of reader studies, where the same readers judge the same cases in two ways, and their standard analysis of
variance answers it: Dorfman, Berbaum and Metz 1992 (https://doi.org/10.1097/00004424-199209000-00015), with the degrees
of freedom of Hillis 2007 (https://doi.org/10.1002/sim.2532). Readers are repetitions here, and cases are test images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

TAIL = 0.975


@dataclass(frozen=True)
class TwoWay:
    """A mean difference and what is known of it, in the units of the differences.

    Attributes:
        mean: over repetitions and images.
        by_repetitions: the standard error that comes from the repetitions: labelled images, initial weights, batches.
        by_images: the standard error that comes from the images.
        low, high: the ends of the 95 % interval, for other repetitions and other images; missing with one repetition.
        p: two-sided, of a mean of 0; missing with one repetition.
    """

    mean: float
    by_repetitions: float
    by_images: float
    low: float
    high: float
    p: float


def two_way(differences: np.ndarray) -> TwoWay:
    """Analyses differences [R, N]: of each of R repetitions for each of N images.

    In the model d = μ + repetition + image + rest, with independent parts of mean 0, the variance of the mean is
    σ²_repetition/R + σ²_image/N + σ²_rest/(R N). The mean squares estimate it by
    (MS_repetition + max(MS_image − MS_rest, 0))/(R N), whose first part alone is s²/R of the repetitions' means.
    """
    repetitions, images = differences.shape
    mean = float(differences.mean())
    if repetitions < 2 or images < 2:
        return TwoWay(mean, *[math.nan] * 5)
    by_repetition, by_image = differences.mean(1), differences.mean(0)
    rest = differences - by_repetition[:, None] - by_image[None, :] + mean
    of_repetitions = images * float(by_repetition.var(ddof=1))
    of_images = repetitions * float(by_image.var(ddof=1))
    of_rest = float(np.square(rest).sum()) / ((repetitions - 1) * (images - 1))
    added, count = max(of_images - of_rest, 0.0), differences.size
    error = math.sqrt((of_repetitions + added) / count)
    parts = math.sqrt(of_repetitions / count), math.sqrt(added / count)
    if error == 0:
        return TwoWay(mean, *parts, mean, mean, 1.0 if mean == 0 else 0.0)
    share = of_repetitions / (of_repetitions + added)  # of the variance that the repetitions alone give
    freedom = (repetitions - 1) / share**2 if share > 0 else math.inf
    reach = float(t.ppf(TAIL, freedom)) * error
    return TwoWay(mean, *parts, mean - reach, mean + reach, float(2 * t.sf(abs(mean) / error, freedom)))
