"""Labels of new images, averaged over draws of the code."""

from __future__ import annotations

import torch
from torch import Tensor

from vae.model import VariationalAutoencoder


@torch.no_grad()
def class_probabilities(model: VariationalAutoencoder, images: Tensor, draws: int) -> Tensor:
    """p(y | X) ≈ 1/N_s Σ p(y | s_i), s_i ~ q(s | X), [B, C] for images [B, N_c, H, W].

    Probabilities are averaged, not scores: scores are linear in s, so that under the factorised reading their mean
    is the score of the mean code. Under the shared reading each draw also draws the switches that the code depends on.

    Args:
        draws: N_s; 0 takes the mean code (and the expected pooling), the cheapest.
    """
    if draws == 0:
        return model.label_model.probabilities(model.encoder(images).mean).T
    encoding = model.encode(images)
    total = model.label_model.probabilities(encoding.sample())
    for _ in range(draws - 1):
        if model.reading == "shared":
            encoding = model.encode(images)
        total = total + model.label_model.probabilities(encoding.sample())
    return (total / draws).T
