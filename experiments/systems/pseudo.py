"""AlexNet with pseudo-labels (Lee 2013): what a user with many images and few labels would try first.

Each step also draws images without labels. The network guesses the label of each unchanged image; where it is sure
enough, it learns that label on an augmented copy. The confidence threshold and the two views are those of FixMatch
(Sohn et al. 2020). Where every image is labelled, this is AlexNet.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from experiments.learning.contract import System, Task, register
from experiments.learning.supervised import ClassifierLearner
from experiments.systems.alexnet import AlexNet, AlexNetSettings


class PseudoSettings(AlexNetSettings):
    """AlexNet's settings and those of its pseudo-labels."""

    unlabelled_batch: int = Field(ge=1, le=65_536, description="images without labels in a step")
    confidence: float = Field(gt=0, lt=1, description="probability from which a guess is learned")
    unlabelled_weight: float = Field(gt=0, le=1e6, description="of the guessed labels' loss")


class PseudoLearner(ClassifierLearner[PseudoSettings]):
    """Learns from a task's labelled images, and from its own confident guesses on the others."""

    def __init__(self, task: Task, settings: PseudoSettings) -> None:
        super().__init__(
            task, settings, lambda: AlexNet(task.store.shape, task.classes, settings.width, settings.dropout)
        )
        self.unlabelled = np.setdiff1d(task.train, task.labelled)
        if len(self.unlabelled):
            self.images_per_step += 2 * settings.unlabelled_batch  # unchanged and augmented

    def _loss(self, chosen: Tensor) -> Tensor:
        loss = super()._loss(chosen)
        if not len(self.unlabelled):
            return loss
        drawn = torch.randint(len(self.unlabelled), (self.settings.unlabelled_batch,))
        images = self.task.store.batch(self.unlabelled[drawn.numpy()], self.task.device)
        confidence, guess = self.log_probabilities(images).exp().max(1)
        self.model.train()
        losses = F.cross_entropy(self._outputs(self.settings.augmented(images)), guess, reduction="none")
        return loss + self.settings.unlabelled_weight * (losses * (confidence >= self.settings.confidence)).mean()


@register
class PseudoSystem(System[PseudoSettings, PseudoLearner]):
    """AlexNet that is also taught by its own guesses; no row of Table 1."""

    name = "pseudo"
    version = 2
    shares = ("supervised",)
    uses_xi = False
    Settings = PseudoSettings

    def learner(self, task: Task, settings: PseudoSettings) -> PseudoLearner:
        """Returns a learner at epoch 0."""
        return PseudoLearner(task, settings)
