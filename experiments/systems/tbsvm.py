"""Transductive BSVM: the paper's model, with the missing labels of the unlabelled images marginalised.

Joachims (1999) put each unlabelled point on one side of a support vector machine's margin; here it is on all sides,
with the probability that the model itself gives it there (`VariationalAutoencoder._marginalised_term`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from pydantic import Field

from experiments.systems.bsvm import Bsvm
from experiments.systems.contract import System, Task, register
from experiments.variational import VariationalLearner
from vae.labels import BayesianSVM
from vae.model import Batch, Marginalised


class TransductiveLearner(VariationalLearner):
    """Learns from all images, the labels at hand, and what it takes the other labels to be."""

    def __init__(self, task: Task, settings: TransductiveBsvm.Settings) -> None:
        super().__init__(
            task, settings, lambda size, classes: BayesianSVM(size, classes, settings.precision, settings.gamma)
        )

    def _batch(self, indices: np.ndarray, labelled: np.ndarray) -> Batch:
        batch = super()._batch(indices, labelled)
        return replace(batch, marginalised=self._marginalised()) if self.label_weight else batch

    def _marginalised(self) -> Marginalised:
        drawn = torch.randint(len(self.task.train), (self.settings.marginalised_batch,)).numpy()
        indices = self.task.train[drawn]
        images = self.task.store.batch(indices, self.task.device)
        weight = self.settings.marginalised_weight * self.trainer.risen(self.settings.marginalised_warmup)
        views, labels = self.settings.augmented(images), self._known_labels(indices)
        return Marginalised(images, views, labels, self.label_weight * weight)


@register
class TransductiveBsvm(System):
    """No row of Table 1: eq (18) with a term for every image whose label is missing."""

    name = "tbsvm"
    version = 1
    shares = "vae"
    uses_xi = True

    class Settings(Bsvm.Settings):
        """The BSVM's settings and those of the missing labels."""

        marginalised_batch: int = Field(ge=1, description="images a step whose labels are marginalised where missing")
        marginalised_weight: float = Field(gt=0, description="of their term, against that of the labels at hand")
        marginalised_warmup: float = Field(ge=0, le=1, description="share of the steps in which it rises from 0")

    def learner(self, task: Task, settings: Settings) -> TransductiveLearner:
        """A learner at epoch 0."""
        return TransductiveLearner(task, settings)
