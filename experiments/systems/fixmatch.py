"""FixMatch (Sohn et al. 2020): what a network is sure of on a weakly changed image, it learns on a strong change."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from experiments.learning.averaged import UnlabelledLearner, UnlabelledSettings
from experiments.learning.contract import System, Task, register
from experiments.learning.strong_augmentation import strongly_changed


class FixMatchSettings(UnlabelledSettings):
    """Section `supervised` of params.yaml and the system's own."""

    confidence: float = Field(gt=0, lt=1, description="probability from which a guess is learned")


class FixMatchLearner(UnlabelledLearner[FixMatchSettings]):
    """Adds the cross-entropy of the guesses that are sure enough."""

    def _loss(self, chosen: Tensor) -> Tensor:
        images = self._drawn()
        confidence, guess = self._guesses(images).max(1)
        loss, scores = self._together(chosen, strongly_changed(self.settings.augmented(images)))
        losses = F.cross_entropy(scores, guess, reduction="none")
        return loss + self.settings.unlabelled_weight * (losses * (confidence >= self.settings.confidence)).mean()

    @torch.no_grad()
    def _guesses(self, images: Tensor) -> Tensor:
        """Returns the class probabilities [b, C] of weakly changed images, by the weights of this step."""
        return self._outputs(self.settings.augmented(images)).softmax(1)


@register
class FixMatchSystem(System[FixMatchSettings, FixMatchLearner]):
    """A row beyond Table 1."""

    name = "fixmatch"
    version = 1
    shares = ("supervised",)
    uses_xi = False
    Settings = FixMatchSettings

    def learner(self, task: Task, settings: FixMatchSettings) -> FixMatchLearner:
        """Returns a learner at epoch 0."""
        return FixMatchLearner(task, settings)
