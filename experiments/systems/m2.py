"""M2 of Kingma et al. (2014): the class as a second cause of the image, on the paper's networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from experiments.systems.contract import System, Task, register
from experiments.variational import VariationalLearner, VariationalSettings
from vae.class_conditional import ClassConditional
from vae.labels import Softmax
from vae.model import Batch


class ClassConditionalLearner(VariationalLearner):
    """Learns from all images and the labels at hand, which its bound uses too."""

    Model = ClassConditional
    averages = ()  # its q(y|X) reads the mean code

    def __init__(self, task: Task, settings: VariationalSettings) -> None:
        super().__init__(task, settings, lambda size, classes: Softmax(size, classes, settings.precision))

    def _batch(self, indices: np.ndarray, labelled: np.ndarray) -> Batch:
        labels = self._known_labels(indices) if self.label_weight else None
        return replace(super()._batch(indices, labelled), labels=labels)


@register
class M2(System):
    """No row of Table 1: ξ weighs the classifier's own term, α of the reference's eq. (9)."""

    name = "m2"
    version = 1
    shares = "vae"
    uses_xi = True
    Settings = VariationalSettings

    def learner(self, task: Task, settings: VariationalSettings) -> ClassConditionalLearner:
        """A learner at epoch 0."""
        return ClassConditionalLearner(task, settings)
