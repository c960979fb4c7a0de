"""What a system is: the contract between a trial and one row of Table 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from data.prepared.store import ImageStore
from data.registry import Registry
from experiments.learning.caption_batches import Captions
from experiments.learning.ranks import ALONE, Ranks

LABELS, CAPTIONS = "labels", "captions"


@dataclass(frozen=True)
class Task:
    """All that a system may learn from in one trial; the test part is not in it.

    Attributes:
        store: all images of the dataset.
        train: indices of all training images; their labels must not be read.
        labelled: indices of the training images whose labels, or captions, may be read.
        validation: indices of the images on which choices are made.
        proportion: the labelled proportion ρ, above 0 and at most 1.
        xi: ξ, the weight of the label term in eq (18): "auto", a number, or None for a system without it.
        seed: the repetition, counted from 0.
        axes: dataset, system, proportion and repetition: the names that `data.seeds.seed_of` derives every random
            stream of the trial from.
        device: where the learner trains.
        ranks: the processes that train the trial together.
        captions: those of all images, for a dataset that has captions instead of labels.
    """

    store: ImageStore
    train: np.ndarray
    labelled: np.ndarray
    validation: np.ndarray
    proportion: float
    xi: float | str | None
    seed: int
    axes: Mapping[str, Any]
    device: torch.device
    ranks: Ranks = ALONE
    captions: Captions | None = None

    @property
    def classes(self) -> int:
        """The number of classes, C."""
        return len(self.store.classes)


class Learner:
    """A system that learns one task.

    Everything random in epoch e comes from a stream that is named after e. So a learner that is restored after epoch
    e − 1 goes on with the same digits as one that never stopped.

    Attributes:
        model: the network.
        epochs: epochs of training; the weights of the last one are tested.
        steps_per_epoch: optimisation steps in an epoch.
        images_per_step: images that a step draws, of all kinds; a changed copy counts as another image.
        answers: whether it can name classes, or caption images, before `finish`.
        averages: numbers of codes N_s; test predictions that average over so many codes are compared.
        xi_value: ξ as a number, where the system has it.
        least_memory: bytes that a training step needs at least, as far as that is known beforehand.
    """

    model: torch.nn.Module
    epochs: int
    steps_per_epoch: int
    images_per_step: int = 0
    answers: bool = True
    averages: Sequence[int] = ()
    xi_value: float | None = None
    least_memory: int = 0

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains for one epoch, counted from 0.

        Yields each step's scalars: `loss` (which is minimised), `images` (the number of images in the step), and
        whatever else is worth a curve.
        """
        raise TypeError(f"{type(self).__name__} does not define epoch()")

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Returns the logarithms of the class probabilities [b, C] of float images [b, N_c, H, W] in [0, 1].

        The model is in evaluation mode, without gradients; every call gives the same digits.
        """
        raise TypeError(f"{type(self).__name__} does not define log_probabilities()")

    def average(self, images: Tensor, draws: int) -> Tensor:
        """Returns what `log_probabilities` gives with `draws` codes per image; `draws` is one of `averages`."""
        raise TypeError(f"{type(self).__name__} does not define average()")

    def bound(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns the terms [b] of each image's lower bound in nats, among them `elbo` and `kl_switches`.

        Empty for a system without a bound.
        """
        return {}

    def finish(self) -> None:
        """Ends the training: called once, before anything is tested."""

    def pictures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns pictures to keep, float [H, W, N_c] in [0, 1], by name, such as `reconstructions` and `samples`."""
        return {}

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """Returns reconstructions of images [b, N_c, H, W]; None for a system that makes none."""
        return None

    def captioner(self) -> Mapping[str, Any] | None:
        """Returns what `python -m vae` needs beside the weights to caption pictures, as plain values.

        None for a learner whose model captions no new pictures.
        """
        return None

    def state(self) -> dict[str, Any]:
        """Returns all that `restore` needs to go on after this epoch: tensors and plain values only."""
        raise TypeError(f"{type(self).__name__} does not define state()")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        raise TypeError(f"{type(self).__name__} does not define restore()")


SettingsT = TypeVar("SettingsT", bound=BaseModel)
LearnerT = TypeVar("LearnerT", bound=Learner)


class Stack:
    """Learners of one system that train as one program, each with the numbers that it would have alone.

    The learners themselves change only when `settle` puts into them what the stack has learned.
    """

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains all T learners for one epoch, as `Learner.epoch`.

        Yields each step's scalars: a tensor [T] where the learners differ.
        """
        raise TypeError(f"{type(self).__name__} does not define epoch()")

    def settle(self) -> None:
        """Brings each learner to where it would be if it had trained alone."""
        raise TypeError(f"{type(self).__name__} does not define settle()")


class System(Generic[SettingsT, LearnerT]):
    """One row of Table 1: what learns, and from which settings.

    A system is a subclass, called `<Name>System`, in a file of `experiments/systems`. Its settings are a pydantic
    model beside it, called `<Name>Settings`.

    Attributes:
        name: the system's name in params.yaml.
        version: a number that is raised whenever results would change; part of a trial's identity, the hash that
            names a trial (see `version_of`).
        shares: sections of params.yaml whose settings the system shares with others.
        uses_xi: whether ξ, the weight of the label term, means anything to it.
        learns: LABELS or CAPTIONS: what it reads of the labelled images.
        Settings: the model that checks its settings.
        spreads: whether its learner trains on a part of each batch where a task has several ranks.
        settings_of: the system whose own settings it takes, where it has none of its own.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    shares: ClassVar[tuple[str, ...]]
    uses_xi: ClassVar[bool]
    learns: ClassVar[str] = LABELS
    Settings: ClassVar[type[BaseModel]]
    spreads: ClassVar[bool] = False
    settings_of: ClassVar[str] = ""

    def learner(self, task: Task, settings: SettingsT) -> LearnerT:
        """Returns a learner at epoch 0, whose weights are drawn from the task's own stream."""
        raise TypeError(f"{type(self).__name__} does not define learner()")

    def version_of(self, dataset: str, settings: SettingsT) -> int:
        """Returns the version that enters the identity of a trial; it is raised whenever its result would change."""
        return self.version

    def stacks(self, dataset: str, xi: float | str | None, settings: SettingsT) -> bool:
        """Returns whether a trial of these settings may be stacked with others.

        The others have the same dataset and settings, and differ in repetition, proportion and ξ alone; this method
        must say so for each ξ among them.
        """
        return False

    def stack(self, learners: Sequence[LearnerT]) -> Stack:
        """Returns a stack of learners that have trained equally many epochs; it starts from their present states."""
        raise TypeError(f"{type(self).__name__} does not define stack()")


# Systems of any settings and learners: whoever takes one from here makes both by it.
AnySystem = System[Any, Any]
SYSTEMS: Registry[AnySystem] = Registry("experiments.systems", "system")
SystemClass = TypeVar("SystemClass", bound=type[AnySystem])


def register(system: SystemClass) -> SystemClass:
    """Makes a system known by its name; a decorator of its class. ValueError for a name that is taken."""
    SYSTEMS.add(system.name, system())
    return system
