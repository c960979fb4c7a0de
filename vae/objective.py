"""The variational lower bound, eqs (1), (5), (6) and (18)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Bound:
    """The terms of the lower bound of log p(X), each [B], in nats per image.

    Attributes:
        log_likelihood: E[log p(X|s,z)], or an estimate of it.
        kl_code: KL(q(s|X) ‖ p(s)), eq (6) negated.
        kl_switches: KL(q(z|X) ‖ p(z)), summed over the layers.
    """

    log_likelihood: Tensor
    kl_code: Tensor
    kl_switches: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound itself, [B], without a label term."""
        return self.tempered(1.0)

    def tempered(self, switch_weight: float) -> Tensor:
        """Returns the bound with the switches' KL term multiplied by `switch_weight`, [B]."""
        return self.log_likelihood - self.kl_code - switch_weight * self.kl_switches


def kl_code(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Returns KL(N(μ, diag σ²) ‖ N(0, I)), eq (6) negated, [B], from μ and log σ, each [K, m, B]."""
    terms = mean.square() + (2 * log_sigma).exp() - 1 - 2 * log_sigma
    return 0.5 * terms.sum((0, 1))


def gaussian_log_likelihood(squared_error: Tensor, log_alpha: Tensor, values: int) -> Tensor:
    """Returns log N(X; X̂, α₀⁻¹ I), [B], from ‖X − X̂‖², [B], and log α₀, for images of `values` values."""
    return 0.5 * (values * (log_alpha - math.log(2 * math.pi)) - log_alpha.exp() * squared_error)


def xi_as_number(xi: float | str, values: int, outcomes: float, proportion: float, factor: float = 1.0) -> float:
    """Returns ξ of eq (18), the weight of the label term: a given number, or factor · N_X / (outcomes · ρ) for "auto".

    Args:
        values: N_X, values in an image.
        outcomes: C, the number of classes; for captions T, their mean number of words.
        proportion: ρ, the share of the images that is labelled.
        factor: of "auto"; the paper's is 1.
    """
    return factor * values / (outcomes * proportion) if xi == "auto" else float(xi)
