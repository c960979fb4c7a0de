"""Evaluation of a classifier: accuracies, calibration, the terms of its bound, and the time of a prediction."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from data.prepared.store import ImageStore, batches
from experiments.learning.contract import Learner, Task
from experiments.learning.device import now
from experiments.trials.judge import Judge


class _Tally:
    """Running sums over the predictions for all images."""

    def __init__(self) -> None:
        self.hits, self.seconds = torch.zeros(2, dtype=torch.long), 0.0
        self.log_probabilities: list[Tensor] = []
        self.labels: list[Tensor] = []

    def add(self, predict: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, device: torch.device) -> None:
        started = now(device)
        log_probabilities = predict(images)
        self.seconds += now(device) - started
        self.log_probabilities.append(log_probabilities.cpu())
        self.labels.append(labels)
        self.hits += _hits(self.log_probabilities[-1], labels)

    @property
    def means(self) -> dict[str, float]:
        """`top1`, `top5` and `ece` in percent, and `ms_per_image`."""
        labels = torch.cat(self.labels)
        top1, top5 = (100.0 * count / len(labels) for count in self.hits.tolist())
        ece = 100.0 * expected_calibration_error(torch.cat(self.log_probabilities).exp(), labels)
        return {"top1": top1, "top5": top5, "ece": ece, "ms_per_image": 1000 * self.seconds / len(labels)}


def evaluate(
    learner: Learner, store: ImageStore, indices: np.ndarray, device: torch.device, averages: Sequence[int] = ()
) -> dict[str, Any]:
    """Returns means over the images with these indices, from one pass over them.

    `top1` and `top5` are percentages of images whose label is the most probable class, or among the min(5, C) most
    probable; `ece` is the expected calibration error in percent; `ms_per_image` is the time of a prediction alone. The
    terms of the learner's bound follow (`elbo`, `kl_switches`, …: nats per image), where it has one. `averaging`
    holds the first four values for each number of draws in `averages`, instead of the learner's own number.
    """
    own, others = _Tally(), {draws: _Tally() for draws in averages}
    terms: dict[str, list[Tensor]] = {}
    for chosen in batches(store, indices):
        images, labels = store.batch(chosen, device), torch.from_numpy(store.labels[chosen])
        own.add(learner.log_probabilities, images, labels, device)
        for draws, tally in others.items():
            tally.add(partial(learner.average, draws=draws), images, labels, device)
        for name, values in learner.bound(images).items():
            terms.setdefault(name, []).append(values.detach().double().cpu())
    bound = {name: torch.cat(values).mean().item() for name, values in terms.items()}
    averaging = [{"draws": draws, **tally.means} for draws, tally in others.items()]
    return {**own.means, **bound, "averaging": averaging}


class LabelJudge(Judge):
    """Evaluates learners of images with labels."""

    measure: ClassVar[str] = "accuracy"
    most: ClassVar[int] = sys.maxsize  # the whole validation part

    def validated(self, learner: Learner, task: Task, indices: np.ndarray | None = None) -> dict[str, float]:
        """Returns the terms of the bound, and `accuracy` in percent unless the labels take no part yet (ξ = 0)."""
        scores = evaluate(learner, task.store, task.validation if indices is None else indices, task.device)
        if learner.answers:
            scores["accuracy"] = scores["top1"]
        for name in ("top1", "top5", "ece", "ms_per_image", "averaging"):
            del scores[name]
        return scores

    def tested(self, learner: Learner, task: Task, test: np.ndarray) -> dict[str, Any]:
        """Returns accuracies, calibration, the bound's terms and the time of a prediction on the test part."""
        scores = evaluate(learner, task.store, test, task.device, learner.averages)
        return {
            **{name: scores[name] for name in ("top1", "top5", "ece", "averaging")},
            **{name: scores.get(name) for name in ("elbo", "kl_switches")},
            "test_ms_per_image": scores["ms_per_image"],
        }


def _hits(log_probabilities: Tensor, labels: Tensor) -> Tensor:
    """Returns how many labels are the most probable class, and among the five most probable, int64 [2]."""
    best = log_probabilities.topk(min(5, log_probabilities.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([best[:, 0].sum(), best.any(1).sum()])


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
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
