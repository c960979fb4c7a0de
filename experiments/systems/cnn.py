"""A small modern network on the labelled images alone: what the systems that share it are compared with."""

from __future__ import annotations

from experiments.learning.averaged import AveragedLearner, AveragedSettings
from experiments.learning.contract import System, Task, register


@register
class CnnSystem(System[AveragedSettings, AveragedLearner[AveragedSettings]]):
    """The network of `modern_network` on labels alone; no row of Table 1."""

    name = "cnn"
    version = 1
    shares = ("supervised",)
    uses_xi = False
    Settings = AveragedSettings

    def learner(self, task: Task, settings: AveragedSettings) -> AveragedLearner[AveragedSettings]:
        """Returns a learner at epoch 0."""
        return AveragedLearner(task, settings)
