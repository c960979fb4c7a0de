"""BSVM's encoder and label model on the labelled images alone: the paper's model without the bound."""

from __future__ import annotations

from typing import Any

from experiments.learning.contract import Task, register
from experiments.learning.variational_system import VariationalSystem
from experiments.learning.without_bound import WithoutBound
from experiments.systems.bsvm import BsvmSettings
from vae.labels import BayesianSVM


class EncoderLearner(WithoutBound):
    """Maximises the label term of eq (18) alone."""

    pair = "bsvm"

    def __init__(self, task: Task, settings: BsvmSettings) -> None:
        super().__init__(
            task, settings, lambda size: BayesianSVM(size, task.classes, settings.precision, settings.gamma)
        )


@register
class EncoderSystem(VariationalSystem[BsvmSettings]):
    """What `bsvm` is compared with to see what the images teach, with settings of its own; no row of Table 1."""

    name = "encoder"
    version = 1
    spreads = False  # its steps have no images to divide
    Settings = BsvmSettings

    def learner(self, task: Task, settings: BsvmSettings) -> EncoderLearner:
        """Returns a learner at epoch 0."""
        return EncoderLearner(task, settings)

    def stacks(self, *_: Any) -> bool:
        """Returns False: a stack runs the program with the bound."""
        return False
