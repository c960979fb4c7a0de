"""What an estimator does, and the registry of all estimators.

A switch is drawn, and drawing has no derivative. An estimator therefore decides what the decoder unpools with, and
turns learning signals into gradients for the posterior of the switches.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from vae.architecture import Architecture
from vae.pooling import Switches, SwitchPosterior

NO_COSTS: Mapping[int, Tensor] = MappingProxyType({})
IMAGES, LABELS, MISSING = "images", "labels", "missing"  # the parts of the objective that give learning signals


def sources_of(reading: str, label_terms: Sequence[str]) -> list[str]:
    """Returns the parts of the objective that the draws of the switches influence.

    Args:
        reading: of q (see `vae.model.VariationalAutoencoder`).
        label_terms: the parts beside the bound that the model is trained on, of `LABELS` and `MISSING`. They read the
            code, which depends on the draws under the shared reading alone.
    """
    return [IMAGES, *(label_terms if reading == "shared" else ())]


class Estimator(nn.Module, ABC):
    """Estimates ∇ E_q(z|X)[signal] with respect to the parameters of q. Layer 0 reads the image.

    Args:
        architecture: of the model.
        sources: the parts of the objective that give learning signals (see `sources_of`).

    Attributes:
        name: what the settings call it.
        readings: the readings of q that it can serve (see `vae.model.VariationalAutoencoder`).
        keeps_statistics: whether it keeps statistics, beside its weights, from step to step.
        draws: how often an image's switches are drawn in one step. The batch is repeated so many times, one whole batch
            after another.
    """

    name: ClassVar[str]
    readings: ClassVar[frozenset[str]] = frozenset({"factorised", "shared"})
    keeps_statistics: ClassVar[bool] = False
    draws: int = 1

    def __init__(self, architecture: Architecture, sources: Sequence[str] = (IMAGES,)) -> None:
        super().__init__()

    @classmethod
    def revision(cls, architecture: Architecture) -> int:
        """Returns a number that is raised whenever the estimator changes what such a model learns.

        It is part of the version of a trial, as that of the trial's system is.
        """
        return 0

    @abstractmethod
    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns what `layer` unpools with.

        That is one draw per block, or the probabilities where the expectation is taken in closed form.
        """

    @abstractmethod
    def surrogate(
        self,
        source: str,
        images: Tensor,
        switches: Mapping[int, Switches],
        signals: Mapping[int, Tensor],
        costs: Mapping[int, Tensor] = NO_COSTS,
    ) -> Tensor:
        """Returns a scalar to add to the objective per image. Its gradient is the estimate; its value means nothing.

        Args:
            source: the part of the objective that the signals come from, one of `sources`.
            images: [B, N_c, H, W], the input that the switches depend on, repeated `draws` times like all that follows.
            switches: by layer, as drawn.
            signals: by layer, [B], without gradient: the sum of all that the layer's draws influence.
            costs: by layer, [B], with gradient: the switches' KL terms as the objective weighs them. They come with the
                source `IMAGES`, which is the first of a step, and where no other gradient flows through the switches'
                probabilities, which is under the shared reading.
        """


# The registry has the words and the shape of `data.registry`, which the model may not import.
_known: dict[str, type[Estimator]] = {}


def register(estimator: type[Estimator]) -> type[Estimator]:
    """Makes an estimator known by its name; a class decorator.

    Raises:
        ValueError: the name is taken.
    """
    if estimator.name in _known:
        raise ValueError(f"two estimators are named {estimator.name!r}")
    _known[estimator.name] = estimator
    return estimator


def estimator_names() -> list[str]:
    """Returns the names of all estimators, sorted."""
    _load()
    return sorted(_known)


def estimator_named(name: str) -> type[Estimator]:
    """Returns the estimator of that name.

    Raises:
        KeyError: there is none; the message lists the known names.
    """
    _load()
    if name not in _known:
        raise KeyError(f"unknown estimator {name!r}: known are {', '.join(sorted(_known))}")
    return _known[name]


def _load() -> None:
    """Imports every module of this folder, so that its estimator registers itself."""
    package = importlib.import_module("vae.estimators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"vae.estimators.{module.name}")
