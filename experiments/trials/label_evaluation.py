"""Evaluation of a classifier: accuracies, calibration, predictions, the terms of its bound, and a prediction's time."""

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
from experiments.trial_store.predictions import Predictions, fingerprint
from experiments.trials import doubts
from experiments.trials.calibration import expected_calibration_error, fitted_temperature, scaled
from experiments.trials.judge import Judge


class _Tally:
    """The predictions for all images, and the time that they took."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._log_probabilities: list[Tensor] = []
        self._best: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, predict: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor, device: torch.device) -> None:
        started = now(device)
        log_probabilities = predict(images)
        self.seconds += now(device) - started
        log_probabilities = log_probabilities.cpu()
        self._log_probabilities.append(log_probabilities)
        self._best.append(log_probabilities.topk(min(5, log_probabilities.shape[1]), dim=1).indices)
        self._labels.append(labels)

    @property
    def log_probabilities(self) -> Tensor:
        """Of the classes, [n, C]."""
        return torch.cat(self._log_probabilities)

    @property
    def labels(self) -> Tensor:
        """The true classes, int64 [n]."""
        return torch.cat(self._labels)

    @property
    def guesses(self) -> Tensor:
        """The most probable classes, int64 [n]."""
        return torch.cat(self._best)[:, 0]

    @property
    def means(self) -> dict[str, float]:
        """`top1`, `top5` and `ece` in percent, and `ms_per_image`."""
        labels = self.labels
        right = torch.cat(self._best) == labels[:, None]
        return {
            "top1": 100.0 * int(right[:, 0].sum()) / len(labels),
            "top5": 100.0 * int(right.any(1).sum()) / len(labels),
            "ece": 100.0 * expected_calibration_error(self.log_probabilities.exp(), labels),
            "ms_per_image": 1000 * self.seconds / len(labels),
        }


def evaluate(
    learner: Learner, store: ImageStore, indices: np.ndarray, device: torch.device, averages: Sequence[int] = ()
) -> dict[str, Any]:
    """Returns means over the images with these indices, from one pass over them, and the predictions themselves.

    `top1` and `top5` are percentages of images whose label is the most probable class, or among the min(5, C) most
    probable; `ece` is the expected calibration error in percent; `ms_per_image` is the time of a prediction alone. The
    terms of the learner's bound follow (`elbo`, `kl_switches`, …: nats per image), where it has one. `averaging`
    holds the first four values for each number of draws in `averages`, instead of the learner's own number. `tally`
    holds `log_probabilities` [n, C], `guesses` [n] and `labels` [n].
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
    return {**own.means, **bound, "averaging": averaging, "tally": own}


def temperature_of(learner: Learner, task: Task) -> float:
    """Returns the temperature that fits the learner's predictions on the validation part best."""
    tally = _Tally()
    for chosen in batches(task.store, task.validation):
        images, labels = task.store.batch(chosen, task.device), torch.from_numpy(task.store.labels[chosen])
        tally.add(learner.log_probabilities, images, labels, task.device)
    return fitted_temperature(tally.log_probabilities, tally.labels)


class LabelJudge(Judge):
    """Evaluates learners of images with labels."""

    measure: ClassVar[str] = "accuracy"
    most: ClassVar[int] = sys.maxsize  # the whole validation part

    def validated(self, learner: Learner, task: Task, indices: np.ndarray | None = None) -> dict[str, float]:
        """Returns the terms of the bound, and `accuracy` in percent unless the labels take no part yet (ξ = 0)."""
        scores = evaluate(learner, task.store, task.validation if indices is None else indices, task.device)
        if learner.answers:
            scores["accuracy"] = scores["top1"]
        for name in ("top1", "top5", "ece", "ms_per_image", "averaging", "tally"):
            del scores[name]
        return scores

    def tested(self, learner: Learner, task: Task, test: np.ndarray) -> dict[str, Any]:
        """Returns accuracies, calibration, the bound's terms and the time of a prediction on the test part.

        `ece_scaled` is the calibration error at the `temperature` that was fitted on the validation part; `predicted`
        holds the `Predictions`, and `doubts` says what speaks against the trial, if anything does.
        """
        scores = evaluate(learner, task.store, test, task.device, learner.averages)
        tally, temperature = scores["tally"], temperature_of(learner, task)
        tempered = scaled(tally.log_probabilities, temperature)
        own = tally.log_probabilities.gather(1, tally.guesses[:, None])[:, 0].clamp(max=0)
        predictions = Predictions(fingerprint(task.store.fingerprint, test), tally.guesses.numpy(), own.numpy())
        return {
            **{name: scores[name] for name in ("top1", "top5", "ece", "averaging")},
            "ece_scaled": 100.0 * expected_calibration_error(tempered, tally.labels),
            "temperature": temperature,
            **{name: scores.get(name) for name in ("elbo", "kl_switches")},
            "test_ms_per_image": scores["ms_per_image"],
            "predicted": predictions,
            "doubts": [
                *doubts.about_accuracy(int((tally.guesses == tally.labels).sum()), tally.labels.numpy()),
                *doubts.about_reconstructions(learner, task),
            ],
        }
