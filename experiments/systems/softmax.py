"""Softmax (ours): the variational autoencoder with a softmax classifier on the code."""

from __future__ import annotations

from experiments.learning.contract import Task, register
from experiments.learning.variational import VariationalLearner, VariationalSettings
from experiments.learning.variational_system import VariationalSystem
from vae.labels import Softmax


@register
class SoftmaxSystem(VariationalSystem[VariationalSettings]):
    """Eq (18) with a categorical likelihood of the label."""

    name = "softmax"
    version = 4
    Settings = VariationalSettings

    def learner(self, task: Task, settings: VariationalSettings) -> VariationalLearner[VariationalSettings]:
        """Returns a learner at epoch 0."""
        return VariationalLearner(task, settings, lambda size: Softmax(size, task.classes, settings.precision))
