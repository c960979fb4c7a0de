"""The variational lower bound, eqs (1), (5), (6) and (18)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """Terms of the lower bound of log p(X), each [B], in nats per image.

    `log_likelihood` is (an estimate of) E[log p(X|s,z)]; `kl_code` is eq (6), negated; `kl_switches`
    the categorical one, summed over the layers.
    """

    log_likelihood: Tensor
    kl_code: Tensor
    kl_switches: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound itself, [B]: images alone, without a label term."""
        return self.tempered(1.0)

    def tempered(self, switch_weight: float) -> Tensor:
        """The bound with the switches' term weighed, [B]."""
        return self.log_likelihood - self.kl_code - switch_weight * self.kl_switches


def kl_code(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """KL(N(μ, diag σ²) ‖ N(0, I)), eq (6) negated, [B] from [K, m, B]."""
    terms = mean.square() + (2 * log_sigma).exp() - 1 - 2 * log_sigma
    return 0.5 * terms.sum((0, 1))


def gaussian_log_likelihood(squared_error: Tensor, log_alpha: Tensor, values: int) -> Tensor:
    """log N(X; X̂, α₀⁻¹ I) from ‖X − X̂‖², [B], for images of `values` values."""
    return 0.5 * (values * (log_alpha - math.log(2 * math.pi)) - log_alpha.exp() * squared_error)


def xi_as_number(xi: float | str, values: int, outcomes: float, proportion: float) -> float:
    """ξ of eq (18): the number given, or under "auto" N_X / (outcomes · ρ).

    Args:
        values: N_X.
        outcomes: C, classes, or for captions T, their words on average.
        proportion: ρ, the share of the images that is labelled.
    """
    return values / (outcomes * proportion) if xi == "auto" else float(xi)
