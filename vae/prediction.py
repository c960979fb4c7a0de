"""Codes of new images, and their labels averaged over them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vae.model import VariationalAutoencoder


def codes(model: VariationalAutoencoder, images: Tensor, draws: int) -> Iterator[Tensor]:
    """s_i ~ q(s | X), each [K_L, m, B], for images [B, N_c, H, W]. Under the shared reading each draw also draws the
    switches that the code depends on.

    Args:
        draws: N_s; 0 takes the mean code (and the expected pooling), the cheapest.
    """
    if draws == 0:
        yield model.encoder(images).mean
        return
    encoding = model.encode(images)
    for draw in range(draws):
        if draw and model.reading == "shared":
            encoding = model.encode(images)
        yield encoding.sample()


@torch.no_grad()
def class_probabilities(model: VariationalAutoencoder, images: Tensor, draws: int) -> Tensor:
    """p(y | X) ≈ 1/N_s Σ p(y | s_i), s_i ~ q(s | X), [B, C] for images [B, N_c, H, W].

    Probabilities are averaged, not scores: scores are linear in s, so that under the factorised reading their mean
    is the score of the mean code. `draws` as for `codes`.
    """
    return sum(model.label_model.probabilities(code) for code in codes(model, images, draws)).T / max(draws, 1)
