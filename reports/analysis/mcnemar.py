"""McNemar's exact test: of two trained models, is one right about more of the same test images than the other?"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import binom

from reports.analysis.paired import LEVEL


def discordant(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> tuple[int, int]:
    """Returns about how many images [n] only ours is right, and only theirs; both give the class of each image."""
    right, theirs_right = ours == labels, theirs == labels
    return int((right & ~theirs_right).sum()), int((theirs_right & ~right).sum())


def mcnemar(only_ours: int, only_theirs: int) -> float:
    """Returns the two-sided exact p of these two numbers of images.

    If both models are right equally often, each image about which one of them alone is right falls to either with
    probability 1/2, so that their division is binomial. p is 1 without such images.
    """
    fewer, both = min(only_ours, only_theirs), only_ours + only_theirs
    return min(1.0, 2 * float(binom.cdf(fewer, both, 0.5)))


def fewest_images() -> int:
    """Returns about how many images one model alone has to be right, and the other about none, for p ≤ 5 %."""
    return math.ceil(math.log2(2 / LEVEL))
