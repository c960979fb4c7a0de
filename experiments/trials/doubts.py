"""Reasons to doubt a trial that ended well: it may have learned nothing, or its test may be too small to tell."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor

from data.prepared.store import batches
from experiments.learning.contract import Learner, Task

CHANCE = 0.01  # level of the test that a trial is better than one answer for all images
WIDE = 0.10  # half-width of an accuracy's 95 % interval beyond which the test part is too small
EXPLAINED = 0.05  # share of the images' variance that reconstructions must explain, at least
PICTURED = 100  # validation images that are reconstructed, at most


def about_accuracy(right: int, labels: np.ndarray) -> list[str]:
    """Returns doubts about a classifier that is right on `right` of the test images, whose classes are `labels`."""
    count, commonest = len(labels), np.bincount(labels).max() / len(labels)
    found = []
    if binomtest(right, count, commonest, alternative="greater").pvalue > CHANCE:
        found.append(
            f"no better than chance: {100 * right / count:.1f} % of the test images are right, and the commonest class "
            f"is {100 * commonest:.1f} % of them"
        )
    interval = binomtest(right, count).proportion_ci(0.95, "wilson")
    if (half := (interval.high - interval.low) / 2) > WIDE:
        found.append(f"{count} test images tell its accuracy to ±{100 * half:.0f} points only")
    return found


def about_reconstructions(learner: Learner, task: Task) -> list[str]:
    """Returns doubts about a learner that reconstructs images, by those of the validation part."""
    some = task.validation[np.linspace(0, len(task.validation) - 1, min(PICTURED, len(task.validation))).astype(int)]
    images, made = [], []
    for chosen in batches(task.store, some):
        images.append(task.store.batch(chosen, task.device))
        reconstructed = learner.reconstruct(images[-1])
        if reconstructed is None:
            return []
        made.append(reconstructed)
    share = explained(torch.cat(images), torch.cat(made))
    if share >= EXPLAINED:
        return []
    return [f"its reconstructions hardly depend on the image: they explain {100 * share:.0f} % of the images' variance"]


def explained(images: Tensor, reconstructions: Tensor) -> float:
    """Returns 1 − Σ‖X − X̂‖² / Σ‖X − mean image‖² of images [n, N_c, H, W]; 0 where all images are the same."""
    images, reconstructions = images.double(), reconstructions.double()
    variance = (images - images.mean(0)).square().sum().item()
    return 1 - (images - reconstructions).square().sum().item() / variance if variance else 0.0
