"""What an estimator does: it says what the decoder unpools with, and turns learning signals into gradients."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn

from vae.pooling import Switches, SwitchPosterior

# The bound, the labels at hand, and the labels that are missing.
SOURCES = ("images", "labels", "missing")


class Estimator(nn.Module, ABC):
    """Estimates ∇ E_q(z|X)[signal] for the parameters of q. Layers are counted from the image, from 0.

    Args:
        values: N_X, values in an image.
        layers: the layers that pool.
    """

    name: ClassVar[str]
    readings: ClassVar[frozenset[str]] = frozenset({"factorised", "shared"})
    draws: int = 1  # of an image's switches in one step: the batch comes so many times over, whole behind whole

    def __init__(self, values: int, layers: Sequence[int]) -> None:
        super().__init__()

    @classmethod
    def keeps_statistics(cls, layers: Sequence[int]) -> bool:
        """Whether an estimator of those layers has more than weights to remember between steps."""
        return False

    @abstractmethod
    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """What `layer` unpools with: one draw per block, or the probabilities where the expectation is taken
        in closed form."""

    @abstractmethod
    def surrogate(
        self, source: str, images: Tensor, switches: Mapping[int, Switches], signals: Mapping[int, Tensor]
    ) -> Tensor:
        """A scalar to be added to the objective per image, whose gradient stands in for the score-function part.

        Args:
            source: one of `SOURCES`, the part of the objective that the signals come from: each has its own scale.
            images: [B, N_c, H, W], the input that the switches depend on, `draws` times over as all that follows.
            switches: by layer, as drawn.
            signals: by layer, [B], without gradient: all parts of the objective that the layer's draws influence.
        """


_estimators: dict[str, type[Estimator]] = {}


def register(estimator: type[Estimator]) -> type[Estimator]:
    """Class decorator that makes an estimator known by its name; a name taken twice is a ValueError."""
    if estimator.name in _estimators:
        raise ValueError(f"two estimators are named {estimator.name!r}")
    _estimators[estimator.name] = estimator
    return estimator


def estimator_names() -> list[str]:
    """Names of all estimators in this folder, sorted."""
    package = importlib.import_module("vae.estimators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"vae.estimators.{module.name}")
    return sorted(_estimators)


def estimator_named(name: str) -> type[Estimator]:
    """The estimator of that name.

    Raises:
        KeyError: no file of this folder registers it; the message lists the known ones.
    """
    known = estimator_names()
    if name not in known:
        raise KeyError(f"unknown estimator {name!r}: known are {', '.join(known)}")
    return _estimators[name]
