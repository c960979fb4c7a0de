"""Codes of new images, and class probabilities averaged over them, as logarithms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce

import torch
from torch import Tensor

from vae.model import VariationalAutoencoder


def codes(model: VariationalAutoencoder, images: Tensor, draws: int) -> Iterator[Tensor]:
    """Draws codes s_i ~ q(s | X), each [K_L, m, B], for images [B, N_c, H, W].

    Under the shared reading each draw also draws the switches that the code depends on.

    Args:
        draws: N_s, the number of codes. 0 yields the mean code alone, with pooling by expectation; it is the cheapest.
    """
    if draws == 0:
        yield model.encode_by_expectation(images).mean
        return
    encoding = model.encode(images)
    for draw in range(draws):
        if draw and model.reading == "shared":
            encoding = model.encode(images)
        yield encoding.sample()


@torch.no_grad()
def class_log_probabilities(model: VariationalAutoencoder, images: Tensor, draws: int) -> Tensor:
    """Returns log p(y | X) ≈ log 1/N_s Σ p(y | s_i), s_i ~ q(s | X), [B, C], for images [B, N_c, H, W].

    It averages probabilities and not scores. Scores are linear in s, so that under the factorised reading their mean
    would just be the score of the mean code. Logarithms, since most probabilities of a confident model are zero in
    single precision, and classes could then not be ranked.

    Args:
        draws: N_s, as for `codes`.
    """
    each = (model.classifier.log_probabilities(code) for code in codes(model, images, draws))
    return reduce(torch.logaddexp, each).T - math.log(max(draws, 1))
