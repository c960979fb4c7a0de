"""Calibration of predicted probabilities: how far they are from accuracies, and the temperature that mends them."""

from __future__ import annotations

import torch
from scipy.optimize import brentq
from torch import Tensor

BINS = 15  # of the calibration error, as in Guo et al. 2017
COLDEST, HOTTEST = 0.01, 1000.0  # temperatures; the likelihood of predictions that are all right grows towards 0
LEAST = -1e4  # log-probability; one of −∞ would make the likelihood 0 at every temperature


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = BINS) -> float:
    """Returns the expected calibration error, a fraction (Guo et al. 2017, eq. (3)).

    It is the sum over bins of the share of images in the bin times |accuracy in it − mean confidence in it|.
    Confidence is the probability of the most probable class; the bins cut it into equal widths.

    Args:
        probabilities: class probabilities [n, C].
        labels: true classes [n].
        bins: number of bins.
    """
    confidence, guess = probabilities.double().max(1)
    upper = torch.arange(1, bins, dtype=torch.double) / bins  # bin m is ((m − 1) / M, m / M]
    gap = (guess == labels).double() - confidence
    sums = torch.zeros(bins, dtype=torch.double).index_add_(0, torch.bucketize(confidence, upper), gap)
    return sums.abs().sum().item() / len(labels)


def scaled(log_probabilities: Tensor, temperature: float) -> Tensor:
    """Returns the class probabilities softmax(log p / T), float64 [n, C] (Guo et al. 2017, eq. (9)).

    The most probable class stays the most probable one, so no accuracy changes.
    """
    return (log_probabilities.double().clamp(min=LEAST) / temperature).softmax(1)


def fitted_temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """Returns the temperature T between COLDEST and HOTTEST at which the labels are most likely.

    The negative log-likelihood is convex in β = 1/T: its derivative, the mean of E_β[log p] − log p_label, grows with
    β. So the best β is where that is 0, or an end of the range.

    Args:
        log_probabilities: of the classes [n, C], of images that were not trained on.
        labels: true classes [n].
    """
    values = log_probabilities.double().clamp(min=LEAST)
    own = values.gather(1, labels[:, None]).mean().item()

    def slope(beta: float) -> float:
        return ((beta * values).softmax(1) * values).sum(1).mean().item() - own

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return 1 / brentq(slope, low, high, xtol=1e-12, rtol=1e-9)
