"""The paper's model without the bound of the images: what is left learns from labels alone.

It is the ablation that says what the images teach. Encoder, label model, batches of labelled images, their
augmentation, the noise of the code and the schedule stay. A trial also starts from the weights, and draws the labelled
images in the order, of the trial with the bound at the same proportion and repetition, so that a pair of them differs
in the bound alone. For the same reason both standardise images by the ground and the scale of all training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from data.errors import UserError
from experiments.learning.contract import Task
from experiments.learning.randomness import Stream
from experiments.learning.recipes import Recipe
from experiments.learning.variational import VariationalLearner
from vae.training import Trainer


class WithoutBound(VariationalLearner[Any]):
    """Leaves the bound out of a learner; to be named before it among the bases of a class.

    Attributes:
        pair: the system with the bound, whose random streams are used.

    Raises:
        UserError: ξ is 0, which would leave nothing to learn from.
    """

    pair: ClassVar[str]

    def __init__(self, task: Task, *arguments: Any) -> None:
        if task.xi == 0:
            raise UserError(
                f"system {task.axes['system']!r} learns from labels alone, so ξ = 0 leaves it nothing to learn from: "
                "give it another ξ, or leave it out"
            )
        super().__init__(replace(task, axes={**task.axes, "system": self.pair}), *arguments)
        self.model.decoder.requires_grad_(False)
        self.images_per_step -= self.batch

    def recipe(self, indices: np.ndarray, labelled: np.ndarray, stream: Stream, trainer: Trainer) -> Recipe:
        """Returns what a step learns from: labelled images and what else has labels, or guesses of them."""
        recipe = super().recipe(indices, labelled, stream, trainer)
        return {name: part for name, part in recipe.items() if name != "images"}

    def bound(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns nothing: the decoder is not trained."""
        return {}

    def reconstruct(self, images: Tensor) -> None:
        """Returns nothing: the decoder is not trained."""

    def pictures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns nothing: the decoder is not trained."""
        return {}
