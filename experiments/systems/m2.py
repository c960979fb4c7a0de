"""M2 of Kingma et al. (2014): the class as a second cause of the image, on the paper's networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.learning.contract import Task, register
from experiments.learning.recipes import Recipe
from experiments.learning.stacking import VariationalSystem
from experiments.learning.variational import VariationalLearner, VariationalSettings
from vae.class_conditional import ClassConditional
from vae.labels import Softmax


class ClassConditionalLearner(VariationalLearner):
    """Learns from all images and the labels at hand, which its bound uses too."""

    Model = ClassConditional
    averages = ()  # its q(y|X) reads the mean code

    def __init__(self, task: Task, settings: VariationalSettings) -> None:
        super().__init__(task, settings, lambda size: Softmax(size, task.classes, settings.precision))

    def recipe(self, indices: np.ndarray, *others: Any) -> Recipe:
        recipe = super().recipe(indices, *others)
        return {**recipe, "labels": self._known_labels(indices)} if self.label_weight else recipe


@register
class M2(VariationalSystem):
    """No row of Table 1: ξ weighs the classifier's own term, α of the reference's eq. (9)."""

    name = "m2"
    version = 1
    Settings = VariationalSettings

    def learner(self, task: Task, settings: VariationalSettings) -> ClassConditionalLearner:
        """A learner at epoch 0."""
        return ClassConditionalLearner(task, settings)
