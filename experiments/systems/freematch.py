"""FreeMatch (Wang et al. 2023): FixMatch whose thresholds follow how sure the network is, overall and of each class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from experiments.learning.averaged import UnlabelledLearner, UnlabelledSettings
from experiments.learning.contract import System, Task, register
from experiments.learning.strong_augmentation import strongly_changed


class FreeMatchSettings(UnlabelledSettings):
    """Section `supervised` of params.yaml and the system's own."""

    threshold_decay: float = Field(ge=0, lt=1, description="of the averages that thresholds are made of")
    fairness_weight: float = Field(ge=0, le=1e3, description="of the fairness loss")


class FreeMatchLearner(UnlabelledLearner[FreeMatchSettings]):
    """Adds the cross-entropy of the guesses above their class's threshold, and the fairness loss.

    Attributes:
        confidence: τ_t, the average of the highest probability.
        probabilities: p̃_t [C], the average of the class probabilities.
        histogram: h̃_t [C], the average share of each class among the guesses.
    """

    def __init__(self, task: Task, settings: FreeMatchSettings) -> None:
        super().__init__(task, settings)
        even = torch.full((task.classes,), 1 / task.classes, device=task.device)
        self.confidence, self.probabilities, self.histogram = even[0].clone(), even.clone(), even.clone()

    def _loss(self, chosen: Tensor) -> Tensor:
        images = self._drawn()
        with torch.no_grad():
            guesses = self._outputs(self.settings.augmented(images)).softmax(1)
        sure = self.sure(guesses)
        loss, scores = self._together(chosen, strongly_changed(self.settings.augmented(images)))
        learned = (F.cross_entropy(scores, guesses.argmax(1), reduction="none") * sure).mean()
        loss = loss + self.settings.unlabelled_weight * learned
        return loss + self.settings.fairness_weight * self.unfairness(scores, sure)

    def sure(self, guesses: Tensor) -> Tensor:
        """Updates the averages by class probabilities [b, C]; returns whether each is above its class's threshold."""
        highest, classes = guesses.max(1)
        shares = torch.bincount(classes, minlength=guesses.shape[1]) / len(guesses)
        new = 1 - self.settings.threshold_decay
        self.confidence.lerp_(highest.mean().to(self.confidence), new)
        self.probabilities.lerp_(guesses.mean(0).to(self.probabilities), new)
        self.histogram.lerp_(shares.to(self.histogram), new)
        thresholds = self.confidence * self.probabilities / self.probabilities.max()
        return highest >= thresholds[classes]

    def unfairness(self, scores: Tensor, sure: Tensor) -> Tensor:
        """Returns −H(SumNorm(p̃ / h̃), SumNorm(p̄ / h̄)), with p̄ and h̄ from the sure images' strong views.

        It is 0 where no image is sure. A class without a guess, whose share is 0, is left out.
        """
        if not sure.any():
            return scores.new_zeros(())
        predicted = scores[sure].softmax(1)
        shares = torch.bincount(predicted.argmax(1), minlength=scores.shape[1]) / len(predicted)
        expected = _over(self.probabilities, self.histogram)
        found = _over(predicted.mean(0), shares)
        return (expected * (found + 1e-12).log()).sum()

    def state(self) -> dict[str, Any]:
        statistics = (self.confidence, self.probabilities, self.histogram)
        return {**super().state(), "thresholds": [each.clone() for each in statistics]}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        found = [each.to(self.task.device).clone() for each in state["thresholds"]]
        self.confidence, self.probabilities, self.histogram = found


def _over(probabilities: Tensor, shares: Tensor) -> Tensor:
    """Returns SumNorm(p / h): the ratios, 0 where a share is 0, scaled to add up to 1."""
    ratios = torch.where(shares > 0, probabilities / shares.clamp(min=1e-12), 0.0)
    return ratios / ratios.sum()


@register
class FreeMatchSystem(System[FreeMatchSettings, FreeMatchLearner]):
    """A row beyond Table 1."""

    name = "freematch"
    version = 1
    shares = ("supervised",)
    uses_xi = False
    Settings = FreeMatchSettings

    def learner(self, task: Task, settings: FreeMatchSettings) -> FreeMatchLearner:
        """Returns a learner at epoch 0."""
        return FreeMatchLearner(task, settings)
