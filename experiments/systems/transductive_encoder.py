"""Transductive BSVM without the bound: the images teach through the missing labels that are marginalised, alone."""

from __future__ import annotations

from typing import Any

from experiments.learning.contract import Task, register
from experiments.learning.variational_system import VariationalSystem
from experiments.learning.without_bound import WithoutBound
from experiments.systems.tbsvm import TbsvmLearner, TbsvmSettings


class TransductiveEncoderLearner(WithoutBound, TbsvmLearner):
    """Maximises the terms of the known and of the missing labels."""

    pair = "tbsvm"

    def __init__(self, task: Task, settings: TbsvmSettings) -> None:
        super().__init__(task, settings)


@register
class TransductiveEncoderSystem(VariationalSystem[TbsvmSettings]):
    """What `tbsvm` is compared with to see what the bound adds; no row of Table 1."""

    name = "transductive-encoder"
    version = 1
    spreads = False
    Settings = TbsvmSettings

    def learner(self, task: Task, settings: TbsvmSettings) -> TransductiveEncoderLearner:
        """Returns a learner at epoch 0."""
        return TransductiveEncoderLearner(task, settings)

    def stacks(self, *_: Any) -> bool:
        """Returns False: a stack runs the program with the bound."""
        return False
