"""Classifiers whose prediction is that of an average of their weights, with or without images that have no labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from experiments.learning.contract import Task
from experiments.learning.modern_network import modern_network
from experiments.learning.supervised import ClassifierLearner, SupervisedSettings


class AveragedSettings(SupervisedSettings):
    """Section `supervised` of params.yaml, and the average of the weights."""

    averaging: float = Field(ge=0, lt=1, description="decay of the average of the weights, which predicts; 0: the last")


class UnlabelledSettings(AveragedSettings):
    """The same for a system that learns from images without labels too."""

    unlabelled_batch: int = Field(ge=2, le=65_536, description="images a step whose labels are not used")
    unlabelled_weight: float = Field(gt=0, le=1e6, description="of the loss on them")


AveragedSettingsT = TypeVar("AveragedSettingsT", bound=AveragedSettings)
UnlabelledSettingsT = TypeVar("UnlabelledSettingsT", bound=UnlabelledSettings)


class AveragedLearner(ClassifierLearner[AveragedSettingsT]):
    """Trains the network of `modern_network` on labelled images; an exponential average of its weights predicts.

    Attributes:
        average_model: the network with averaged weights, and with the statistics of the last step's normalisation.
        taken: steps so far.
    """

    def __init__(self, task: Task, settings: AveragedSettingsT) -> None:
        super().__init__(task, settings, lambda: modern_network(task.store.shape, task.classes))
        self.average_model = copy.deepcopy(self.model).requires_grad_(False)
        self.taken = 0

    def _step(self, chosen: Tensor, rate: float, share: float) -> Tensor:
        loss = super()._step(chosen, rate, share)
        self.taken += 1
        self._update_average()
        return loss

    @torch.no_grad()
    def _update_average(self) -> None:
        """Moves the average towards the weights; its first steps count less, so that it forgets where it began."""
        decay = min(self.settings.averaging, self.taken / (self.taken + 9))
        pairs = zip(self.average_model.parameters(), self.model.parameters(), strict=True)
        for average, weight in pairs:
            average.lerp_(weight, 1 - decay)
        for kept, statistic in zip(self.average_model.buffers(), self.model.buffers(), strict=True):
            kept.copy_(statistic)

    @torch.no_grad()
    def log_probabilities(self, images: Tensor) -> Tensor:
        """Returns log p(y | X) [b, C] under the averaged weights."""
        self.average_model.eval()
        return self._outputs_of(self.average_model, images).log_softmax(1)

    def _outputs_of(self, model: torch.nn.Module, images: Tensor) -> Tensor:
        """Returns a network's scores [b, C]."""
        with self.settings.autocast(self.task.device):
            scores: Tensor = model(images.contiguous(memory_format=torch.channels_last))
        return scores.to(images.dtype)

    def finish(self) -> None:
        """Puts the averaged weights into the network, whose weights are kept."""
        self.model.load_state_dict(self.average_model.state_dict())

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "average": copy.deepcopy(self.average_model.state_dict()),
            "taken": self.taken,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self.average_model.load_state_dict(state["average"])
        self.taken = state["taken"]


class UnlabelledLearner(AveragedLearner[UnlabelledSettingsT]):
    """Learns from labelled images, and from all training images without their labels.

    A step's labelled images and the changed images that it learns from pass through the network as one batch, so they
    share the statistics of its normalisation. The images that labels are guessed on pass through it before, as another.
    """

    def __init__(self, task: Task, settings: UnlabelledSettingsT) -> None:
        super().__init__(task, settings)
        self.images_per_step += 2 * settings.unlabelled_batch  # two views of each

    def _drawn(self) -> Tensor:
        """Draws a batch of training images, any of them, unchanged."""
        drawn = torch.randint(len(self.task.train), (self.settings.unlabelled_batch,))
        return self.task.store.batch(self.task.train[drawn.numpy()], self.task.device)

    def _together(self, chosen: Tensor, views: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the cross-entropy of the chosen labelled images, augmented, and the scores of `views`."""
        images = self.task.store.batch(self.task.labelled[chosen.numpy()], self.task.device)
        labels = self.labels[chosen.to(self.task.device)]
        both = self._outputs(torch.cat([self.settings.augmented(images), views]))
        scores, of_views = both.split([len(images), len(views)])
        return F.cross_entropy(scores, labels), of_views

    def ramp(self, share: float) -> float:
        """Returns a weight that rises from e⁻⁵ to 1 in that share of the steps (Laine & Aila 2017)."""
        done = min(1.0, self.taken / (share * self.epochs * self.steps_per_epoch)) if share else 1.0
        return math.exp(-5 * (1 - done) ** 2)
