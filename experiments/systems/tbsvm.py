"""Transductive BSVM: the paper's model, with the missing labels of the unlabelled images marginalised.

Joachims (1999) put the unlabelled points on either side of a support vector machine's margin; here each is on all
sides, by the probability that the model itself gives it there (`vae.model`, the missing labels' term). Where every image
is labelled it is the BSVM.
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
from vae.model import Batch, Unlabelled


class TransductiveLearner(VariationalLearner):
    """Learns from all images, the labels at hand, and what it takes the other labels to be."""

    def __init__(self, task: Task, settings: TransductiveBsvm.Settings) -> None:
        super().__init__(
            task, settings, lambda size, classes: BayesianSVM(size, classes, settings.precision, settings.gamma)
        )
        self.unlabelled = np.setdiff1d(task.train, task.labelled)

    def _batch(self, indices: np.ndarray, labelled: np.ndarray) -> Batch:
        batch = super()._batch(indices, labelled)
        return replace(batch, unlabelled=self._unlabelled()) if self.label_weight and len(self.unlabelled) else batch

    def _unlabelled(self) -> Unlabelled:
        drawn = torch.randint(len(self.unlabelled), (self.settings.unlabelled_batch,))
        images = self.task.store.batch(self.unlabelled[drawn.numpy()], self.task.device)
        weight = self.settings.unlabelled_weight * self.trainer.risen(self.settings.unlabelled_warmup)
        return Unlabelled(images, self.settings.augmented(images), self.label_weight * weight)


@register
class TransductiveBsvm(System):
    """No row of Table 1: eq (18) with a term for every image without a label."""

    name = "tbsvm"
    version = 1
    shares = "vae"
    uses_xi = True

    class Settings(Bsvm.Settings):
        """The BSVM's settings and those of the missing labels."""

        unlabelled_batch: int = Field(ge=1, description="images without labels in a step, beside `batch`")
        unlabelled_weight: float = Field(gt=0, description="of all missing labels, against that of all labels at hand")
        unlabelled_warmup: float = Field(ge=0, le=1, description="share of the steps in which that weight rises from 0")

    def learner(self, task: Task, settings: Settings) -> TransductiveLearner:
        """A learner at epoch 0."""
        return TransductiveLearner(task, settings)
