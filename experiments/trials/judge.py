"""What evaluates a learner: on the validation part after every epoch, on the test part once at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from experiments.learning.contract import Learner, Task


class Judge(ABC):
    """Evaluates the learners of one kind of task, images with labels or images with captions."""

    measure: ClassVar[str]  # the validation measure that a search maximises
    most: ClassVar[int]  # validation images that are looked at after an epoch, at most

    @property
    def score_name(self) -> str:
        """Name of the search's measure in a trial's rows and results, such as `validation_accuracy`."""
        return f"validation_{self.measure}"

    @abstractmethod
    def validated(self, learner: Learner, task: Task, indices: np.ndarray | None = None) -> dict[str, float]:
        """Returns validation measures by name.

        Args:
            learner: what is evaluated.
            task: its task.
            indices: images to look at, where not the whole validation part.
        """

    @abstractmethod
    def tested(self, learner: Learner, task: Task, test: np.ndarray) -> dict[str, Any]:
        """Returns what enters the trial's result. Reads the test images, whose indices are `test`."""
