"""The straight-through Gumbel-softmax estimator (Jang, Gu & Poole 2017, "Categorical reparameterization with
Gumbel-softmax")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vae.architecture import Architecture
from vae.estimators.contract import IMAGES, NO_COSTS, Estimator, register
from vae.noise import exponential_like
from vae.pooling import Switches, SwitchPosterior
from vae.vmap_functions import Folded


class _StraightThrough(Folded):
    """Returns the one-hot weights `hard`, and passes their gradient to the weights `soft`."""

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
    """Returns softmax((log η + g) / τ) over a block's positions, [p², K, n², B], and zero where η is zero.

    Args:
        probabilities: η, [p², K, n², B].
        noise: g, standard Gumbel noise of the same shape.
        temperature: τ.
    """
    never = probabilities < torch.finfo(probabilities.dtype).tiny  # padding, where the gradient of log η is not finite
    logits = probabilities.masked_fill(never, 1.0).log() + noise
    return (logits / temperature).masked_fill(never, -torch.inf).softmax(0)


@register
class Gumbel(Estimator):
    """Unpools with one-hot draws of the right distribution, and differentiates as if they were relaxed.

    The relaxed weights are a softmax that approaches the draw as τ → 0. The estimator is biased at every temperature:
    it takes the slope at the drawn position for the effect of another position, which neglects the curvature of the
    squared error. The bias that τ itself adds vanishes as τ → 0, while the variance grows.

    Args:
        temperature: τ. One half is where the annealing of the reference ends; here it is constant.

    Raises:
        ValueError: τ is not above 0.
    """

    name: ClassVar[str] = "gumbel"

    def __init__(
        self, architecture: Architecture, sources: Sequence[str] = (IMAGES,), temperature: float = 0.5
    ) -> None:
        super().__init__(architecture, sources)
        if temperature <= 0:
            raise ValueError(f"temperature = {temperature:g}: must be above 0")
        self.temperature = temperature

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns one draw per block, with the gradient of the relaxed weights."""
        noise = -exponential_like(posterior.probabilities).log()
        soft = relaxed(posterior.probabilities, noise, self.temperature)
        hard = torch.zeros_like(soft).scatter(0, soft.detach().argmax(0, keepdim=True), 1.0)
        return Switches(_StraightThrough.apply(soft, hard), drawn=True)

    def surrogate(
        self,
        source: str,
        images: Tensor,
        switches: Mapping[int, Switches],
        signals: Mapping[int, Tensor],
        costs: Mapping[int, Tensor] = NO_COSTS,
    ) -> Tensor:
        """Returns zero: the gradient flows through the weights themselves."""
        return images.new_zeros(())
