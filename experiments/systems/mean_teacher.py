"""Mean Teacher (Tarvainen & Valpola 2017): a network learns to agree with the average of its own past weights."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from experiments.learning.averaged import UnlabelledLearner, UnlabelledSettings
from experiments.learning.contract import System, Task, register


class MeanTeacherSettings(UnlabelledSettings):
    """Section `supervised` of params.yaml and the system's own."""

    rising: float = Field(ge=0, le=1, description="share of the steps in which the weight of the unlabelled loss rises")


class MeanTeacherLearner(UnlabelledLearner[MeanTeacherSettings]):
    """Adds the squared distance between the class probabilities of network and teacher, on two views of an image."""

    def _loss(self, chosen: Tensor) -> Tensor:
        images = self._drawn()
        with torch.no_grad():
            self.average_model.train()  # each batch has statistics of its own, as the network's has
            taught = self._outputs_of(self.average_model, self.settings.augmented(images)).softmax(1)
        loss, scores = self._together(chosen, self.settings.augmented(images))
        distance = (scores.softmax(1) - taught).square().sum(1).mean()
        return loss + self.settings.unlabelled_weight * self.ramp(self.settings.rising) * distance


@register
class MeanTeacherSystem(System[MeanTeacherSettings, MeanTeacherLearner]):
    """A row beyond Table 1."""

    name = "mean-teacher"
    version = 1
    shares = ("supervised",)
    uses_xi = False
    Settings = MeanTeacherSettings

    def learner(self, task: Task, settings: MeanTeacherSettings) -> MeanTeacherLearner:
        """Returns a learner at epoch 0."""
        return MeanTeacherLearner(task, settings)
