"""Model M2 of Kingma et al. (2014), "Semi-supervised learning with deep generative models", on the paper's networks."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae.encoder import Encoding
from vae.model import VariationalAutoencoder
from vae.objective import kl_code


class ClassConditional(VariationalAutoencoder):
    """The generative model p(y) p(s) p(X | s, y, z), y uniform: each class y has a place e_y in the space of codes.

    The decoder reads t = s + e_y. The posterior is q(y|X) q(s|X,y) q(z|X), where q(y|X) is the label model on the
    encoder's mean code and q(s|X,y) = N(μ(X) − e_y, σ(X)²). So t has the same distribution whatever the class: one
    pass through the decoder gives the image's term, and the sum over the classes in M2's bound for an unlabelled image
    (eq. (7) there) is in closed form. For a labelled image the class is known and not summed over (eq. (6) there).
    log q(y|X) of labelled images is added with a weight (eq. (9) there); that is the label term of eq (18) here.

    Takes the arguments of `VariationalAutoencoder`. The label model's probabilities must be normalised.
    """

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        maps, side, _ = self.architecture.code_shape
        classes = self.classifier.beta.shape[0]
        # They start apart: equal places would all get the same gradient from unlabelled images.
        self.places = nn.Parameter(0.1 * torch.randn(classes, maps, side * side))

    def _kl_code(self, encoding: Encoding, labels: Tensor | None) -> Tensor:
        """Returns KL(q(s, y|X) ‖ p(s) p(y)), [B]; where the label is known, KL(q(s|X,y) ‖ p(s)) − log p(y)."""
        log_q = self.classifier.log_likelihoods(encoding.mean)
        classes = log_q.shape[0]
        weights = log_q.exp()
        entropy = -(weights * log_q).sum(0)
        if labels is not None:
            known = labels >= 0
            weights = torch.where(known, functional.one_hot(labels.clamp(min=0), classes).T, weights)
            entropy = entropy.masked_fill(known, 0.0)
        # Σ_y q(y) ½‖μ − e_y‖² = ½‖μ‖² − Σ_y q(y) (e_yᵀμ − ½‖e_y‖²)
        places, mean = self.places.flatten(1), encoding.mean.flatten(0, 1)
        gain = (weights * (places @ mean - 0.5 * places.square().sum(1, keepdim=True))).sum(0)
        return kl_code(encoding.mean, encoding.log_sigma) - gain - entropy + math.log(classes)

    def _label_code(self, encoding: Encoding, draws: int) -> Tensor:
        """Returns the mean code: q(y|X) depends on the image alone."""
        return encoding.mean

    def _prior_code(self, count: int) -> Tensor:
        """Returns t = s + e_y, [K_L, m, count], with s ~ N(0, I) and the classes in turn."""
        classes = torch.arange(count, device=self.places.device) % len(self.places)
        return super()._prior_code(count) + self.places[classes].permute(1, 2, 0)
