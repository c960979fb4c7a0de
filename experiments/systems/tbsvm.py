"""Transductive BSVM: the paper's model, with the missing labels of the unlabelled images marginalised.

Joachims (1999) put each unlabelled point on one side of a support vector machine's margin. Here each point is on all
sides, weighted by the probabilities that the model itself gives them (`VariationalAutoencoder._marginalised_term`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from experiments.learning.contract import Task, register
from experiments.learning.randomness import Stream
from experiments.learning.recipes import Picked, Recipe
from experiments.learning.variational import VariationalLearner
from experiments.learning.variational_system import VariationalSystem
from experiments.systems.bsvm import BsvmSettings
from vae.estimators.contract import LABELS, MISSING
from vae.labels import BayesianSVM
from vae.training import Trainer


class TbsvmSettings(BsvmSettings):
    """The settings of `bsvm`, and those of the missing labels."""

    marginalised_batch: int = Field(
        ge=1, le=65_536, description="images a step whose labels are marginalised where missing"
    )
    marginalised_weight: float = Field(gt=0, le=1e6, description="of their term, against that of the known labels")
    marginalised_warmup: float = Field(ge=0, le=1, description="share of the steps in which it rises from 0")


class TbsvmLearner(VariationalLearner[TbsvmSettings]):
    """Learns from all images, the labels of the labelled ones, and its own beliefs about the other labels."""

    label_terms: ClassVar[Sequence[str]] = (LABELS, MISSING)

    def __init__(self, task: Task, settings: TbsvmSettings) -> None:
        super().__init__(
            task, settings, lambda size: BayesianSVM(size, task.classes, settings.precision, settings.gamma)
        )
        if self.label_weight:
            self.images_per_step += 2 * settings.marginalised_batch  # unchanged and augmented

    def recipe(self, indices: np.ndarray, labelled: np.ndarray, stream: Stream, trainer: Trainer) -> Recipe:
        recipe = super().recipe(indices, labelled, stream, trainer)
        return {**recipe, "marginalised": self._marginalised(stream, trainer)} if self.label_weight else recipe

    def _marginalised(self, stream: Stream, trainer: Trainer) -> Recipe:
        """Returns the recipe of a `vae.model.Marginalised`: a batch drawn from all training images."""
        count = self.settings.marginalised_batch
        indices = self.task.train[torch.randint(len(self.task.train), (count,), generator=stream.host).numpy()]
        weight = self.settings.marginalised_weight * trainer.warmed_up(self.settings.marginalised_warmup)
        return {
            "images": Picked(indices),
            "views": self._changed(indices, stream),
            "labels": self._known_labels(indices),
            "weight": self.label_weight * weight,
        }


@register
class TbsvmSystem(VariationalSystem[TbsvmSettings]):
    """Eq (18) with a term for every image whose label is missing; no row of Table 1."""

    name = "tbsvm"
    version = 3
    spreads = False  # its third batch is not split into parts
    Settings = TbsvmSettings

    def learner(self, task: Task, settings: TbsvmSettings) -> TbsvmLearner:
        """Returns a learner at epoch 0."""
        return TbsvmLearner(task, settings)
