"""Straight-through Gumbel-softmax (Jang, Gu & Poole 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vae.estimators.contract import Estimator, register
from vae.folding import Folded
from vae.noise import exponential_like
from vae.pooling import Switches, SwitchPosterior


class _StraightThrough(Folded):
    """Gives the one-hot weights as they are, and their gradient to the soft ones."""

    @staticmethod
    def forward(soft: Tensor, hard: Tensor) -> Tensor:
        return hard

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        pass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def relaxed(probabilities: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """softmax((log η + g) / τ) over a block's positions, [p², K, n², B]; zero where η is.

    Args:
        probabilities: η, [p², K, n², B].
        noise: g, standard Gumbel, of the same shape.
        temperature: τ.
    """
    never = probabilities < torch.finfo(probabilities.dtype).tiny  # padded: the logarithm's gradient is no number
    logits = probabilities.masked_fill(never, 1.0).log() + noise
    return (logits / temperature).masked_fill(never, -torch.inf).softmax(0)


@register
class Gumbel(Estimator):
    """Unpools with draws, one-hot and of the right distribution, and differentiates as if they were the softmax that
    approaches them as τ → 0. Biased, at every temperature: the slope at a draw stands in for what another
    position would have brought, which neglects the curvature of the squared error. What τ itself adds to the bias
    vanishes with it, and the variance grows.

    Args:
        temperature: τ; one half is where the reference's annealing ends, kept from the start.
    """

    name: ClassVar[str] = "gumbel"

    def __init__(self, values: int, layers: Sequence[int], temperature: float = 0.5) -> None:
        super().__init__(values, layers)
        if temperature <= 0:
            raise ValueError(f"temperature = {temperature:g}: must be above 0")
        self.temperature = temperature

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """One draw per block, whose gradient is the soft weights'."""
        noise = -exponential_like(posterior.probabilities).log()
        soft = relaxed(posterior.probabilities, noise, self.temperature)
        hard = torch.zeros_like(soft).scatter(0, soft.detach().argmax(0, keepdim=True), 1.0)
        return Switches(_StraightThrough.apply(soft, hard), drawn=True)

    def surrogate(
        self, source: str, images: Tensor, switches: Mapping[int, Switches], signals: Mapping[int, Tensor]
    ) -> Tensor:
        """Zero: the gradient flows through the weights themselves."""
        return images.new_zeros(())
