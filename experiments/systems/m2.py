"""M2 of Kingma et al. (2014), with the paper's networks: the class is a second cause of the image, beside the code."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.learning.contract import Task, register
from experiments.learning.randomness import Stream
from experiments.learning.recipes import Recipe
from experiments.learning.variational import VariationalLearner, VariationalSettings
from experiments.learning.variational_system import VariationalSystem
from vae.class_conditional import ClassConditional
from vae.labels import Softmax
from vae.training import Trainer


class M2Learner(VariationalLearner[VariationalSettings]):
    """Learns from all images and the labels of the labelled ones, which its bound uses too."""

    Model = ClassConditional
    averages: Sequence[int] = ()  # its q(y | X) reads the mean code

    def __init__(self, task: Task, settings: VariationalSettings) -> None:
        super().__init__(task, settings, lambda size: Softmax(size, task.classes, settings.precision))

    def recipe(self, indices: np.ndarray, labelled: np.ndarray, stream: Stream, trainer: Trainer) -> Recipe:
        recipe = super().recipe(indices, labelled, stream, trainer)
        return {**recipe, "labels": self._known_labels(indices)} if self.label_weight else recipe


@register
class M2System(VariationalSystem[VariationalSettings]):
    """ξ weighs the classifier's own term, as α does in the reference's eq. (9); no row of Table 1."""

    name = "m2"
    version = 3
    Settings = VariationalSettings

    def learner(self, task: Task, settings: VariationalSettings) -> M2Learner:
        """Returns a learner at epoch 0."""
        return M2Learner(task, settings)
