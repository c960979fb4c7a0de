"""What a system is: the contract between a trial and one row of Table 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

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

    `train` indexes every training image (their labels are off limits), `labelled` the subset whose
    labels may be used, `validation` the images on which choices are made. `xi` is ξ of eq (18) as the
    trial asks for it: "auto", a number, or None for a system without it.
    """

    store: ImageStore
    train: np.ndarray
    labelled: np.ndarray
    validation: np.ndarray
    proportion: float
    xi: float | str | None
    seed: int  # repetition: the axis that, with the names below, every random stream is derived from
    axes: Mapping[str, Any]  # dataset, system, proportion, repetition: names for `data.seeds.seed_of`
    device: torch.device
    ranks: Ranks = ALONE  # the processes that train it together, for a system that `spreads`
    captions: Captions | None = None  # of all images, where they have captions instead of labels

    @property
    def classes(self) -> int:
        """C, the number of classes."""
        return len(self.store.classes)


class Learner:
    """A system at work on one task. Everything random in epoch e comes from a stream named after e,
    so a learner restored after epoch e − 1 goes on with the digits of one that never stopped."""

    model: torch.nn.Module
    epochs: int  # passes of training, at most
    steps_per_epoch: int
    patience: int | None = None  # epochs without a better validation score after which training ends
    selects_by: str = "accuracy"  # validation measure whose best epoch is kept: "accuracy", "elbo" or "cider"
    averages: Sequence[int] = ()  # numbers of codes N_s whose averages are compared on the test part
    xi_value: float | None = None  # ξ as a number, where the system has it

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains for one epoch (counted from 0), yielding each step's scalars: `loss` (minimised),
        `images` (how many were seen), and whatever else is worth a curve."""
        raise TypeError(f"{type(self).__name__} does not define epoch()")

    def predict(self, images: Tensor) -> Tensor:
        """Class probabilities [b, C] of float images [b, N_c, H, W] in [0, 1]; no gradients, evaluation mode,
        the same digits at every call."""
        raise TypeError(f"{type(self).__name__} does not define predict()")

    def average(self, images: Tensor, draws: int) -> Tensor:
        """What `predict` would give with so many codes, one of `averages`."""
        raise TypeError(f"{type(self).__name__} does not define average()")

    def bound(self, images: Tensor) -> Mapping[str, Tensor]:
        """Per-image terms [b] of the lower bound, `elbo` and `kl_switches` among them (nats);
        empty for systems that have none."""
        return {}

    def finish(self) -> None:
        """Called once, with the best epoch's weights back in place, before anything is tested."""

    def pictures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Pictures worth keeping, by name (`reconstructions`, `samples`), float [H, W, N_c] in [0, 1]."""
        return {}

    def captioner(self) -> Mapping[str, Any] | None:
        """Plain values from which, with the weights, `python -m vae` captions pictures; None where it cannot."""
        return None

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on after this epoch (tensors and plain values only)."""
        raise TypeError(f"{type(self).__name__} does not define state()")

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state` gave."""
        raise TypeError(f"{type(self).__name__} does not define restore()")


class Stack:
    """Learners of one system that train as one program, each with the numbers it would have alone.

    What they have learned is the stack's own until `settle` puts it back into them.
    """

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """As `Learner.epoch`, for all: each step's scalars, a tensor [T] where it differs between the T learners."""
        raise TypeError(f"{type(self).__name__} does not define epoch()")

    def settle(self) -> None:
        """Each learner is as far as if it had trained alone."""
        raise TypeError(f"{type(self).__name__} does not define settle()")


class System:
    """One row of Table 1. Subclass it in a file of this folder; `name` is what params.yaml says."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever results would change; part of a trial's identity
    shares: ClassVar[tuple[str, ...]]  # sections of params.yaml whose settings it shares with its relatives
    uses_xi: ClassVar[bool]
    learns: ClassVar[str] = LABELS  # or CAPTIONS: what it needs of some of its images
    Settings: ClassVar[type[BaseModel]]
    spreads: ClassVar[bool] = False  # whether its learner takes a part of each batch where a task has several ranks

    def learner(self, task: Task, settings: BaseModel) -> Learner:
        """A learner at epoch 0, its weights drawn from the task's own stream."""
        raise TypeError(f"{type(self).__name__} does not define learner()")

    def stacks(self, dataset: str, xi: float | str | None, settings: BaseModel) -> bool:
        """Whether trials with these settings that differ in repetition, proportion and ξ alone, where this says so of
        each ξ, may be handed to `stack`."""
        return False

    def stack(self, learners: Sequence[Learner]) -> Stack:
        """Learners that are equally far, from where they are now."""
        raise TypeError(f"{type(self).__name__} does not define stack()")


SYSTEMS: Registry[System] = Registry("experiments.systems", "system")


def register(system: type[System]) -> type[System]:
    """Class decorator that makes a system known by its name; a name taken twice is a ValueError."""
    SYSTEMS.add(system.name, system())
    return system
