"""The estimator that takes expectations over the switches: in closed form at the bottom, by matched moments above."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from vae.architecture import Architecture
from vae.estimators.contract import NO_COSTS, Estimator, register
from vae.noise import uniform_like
from vae.pooling import Switches, SwitchPosterior


def moment_matched(probabilities: Tensor) -> Tensor:
    """Returns random weights with the mean and the covariance of one-hot draws, through which gradients flow.

    They are w = η + √η ⊙ e − η (√ηᵀ e) with independent signs e. Then E[w] = η, and the covariance is
    (√D − η √ηᵀ)(√D − √η ηᵀ) = D − η ηᵀ with D = diag η, since the η of a block sum to one. The weights sum to one too.

    Args:
        probabilities: η, [p², K, n², B].
    """
    never = probabilities < torch.finfo(probabilities.dtype).tiny  # padding, where √η has no finite gradient
    root = probabilities.masked_fill(never, 1.0).sqrt().masked_fill(never, 0.0)
    signed = torch.where(uniform_like(root) < 0.5, -root, root)
    return probabilities + signed - probabilities * signed.sum(0)


@register
class Exact(Estimator):
    """Takes the expectation over the bottom switches in closed form, and those above it by matched moments.

    The reconstruction is linear in the switches of each layer, switches of different blocks and layers are independent
    given the image, and the pixel noise is Gaussian. So the expected squared error depends on nothing but the means and
    covariances of the switches. Two things follow. The decoder needs only the probabilities of the bottom switches (see
    `vae.decoder.Reconstruction`). And switches above may be replaced by any random weights of the same mean and
    covariance: those of `moment_matched` are a differentiable function of the probabilities, so the gradient is
    unbiased without a learning signal, as that of the code by eq (7) is.

    This holds under the factorised reading alone: under the shared one the code depends on the switches too, and the
    reconstruction is no longer linear in them.
    """

    name: ClassVar[str] = "exact"
    readings: ClassVar[frozenset[str]] = frozenset({"factorised"})

    @classmethod
    def revision(cls, architecture: Architecture) -> int:
        """Returns 1 where layers above the bottom one pool, whose switches had a score-function gradient before."""
        return int(any(layer > 0 for layer in architecture.pooling_layers))

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns the probabilities at the bottom layer, and weights of matched moments above it."""
        if layer == 0:
            return Switches(posterior.probabilities, drawn=False)
        return Switches(moment_matched(posterior.probabilities), drawn=True)

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
