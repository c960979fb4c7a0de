"""Stochastic pooling: the switches z, which name for each pooling block the position that carries its value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vae.blocks import real_positions
from vae.kernels.stochastic_pooling import StochasticPooling
from vae.noise import uniform_like


@dataclass(frozen=True)
class SwitchPosterior:
    """The posterior q(z | X) of one pooling layer: p × p positions per block, K maps, n² blocks per map, B images.

    Attributes:
        probabilities: η, [p², K, n², B].
        expected: Σ η · block, [K, n², B].
        kl: KL(q(z|X) ‖ p(z)) summed over the layer's blocks, [B], in nats. The prior is uniform over the real
            positions of each block, those that are not padding.
    """

    probabilities: Tensor
    expected: Tensor
    kl: Tensor

    def repeated(self, times: int) -> SwitchPosterior:
        """Repeats the batch `times` times, one whole batch after another."""
        return SwitchPosterior(
            self.probabilities.repeat(1, 1, 1, times), self.expected.repeat(1, 1, times), self.kl.repeat(times)
        )


@dataclass(frozen=True)
class Switches:
    """What a layer unpools with.

    Attributes:
        weights: [p², K, n², B]; those of a block sum to one.
        log_probability: log q(z|X) of the draws, [B], where a score-function gradient must flow through it.
        drawn: whether the weights are one-hot draws, and not the probabilities themselves.
    """

    weights: Tensor
    log_probability: Tensor | None = None
    drawn: bool = field(kw_only=True)


def draw_positions(probabilities: Tensor) -> Tensor:
    """Draws one position per block from its probabilities, without gradient.

    Returns:
        One-hot weights in the shape of the probabilities, [p², K, n², B].
    """
    with torch.no_grad():
        mass = probabilities.cumsum(0)
        # The first position whose cumulated mass exceeds u. A position without mass is never the first.
        threshold = uniform_like(mass[-1]) * mass[-1]
        chosen = (mass > threshold).to(torch.uint8).argmax(0, keepdim=True)
        return torch.zeros_like(mass).scatter(0, chosen, 1.0)


def draw_switches(posterior: SwitchPosterior) -> Switches:
    """Draws z ~ q(z | X), with its log-probability, through which a score-function gradient flows."""
    weights = draw_positions(posterior.probabilities)
    return Switches(weights, (weights * posterior.probabilities).sum(0).log().sum((0, 1)), drawn=True)


def uniform_switches(conv: int, pooling: int, count: int) -> Tensor:
    """Returns the prior of the switches, uniform over each block's real positions, [p², 1, n², 1]."""
    real = real_positions(conv, pooling, count)
    if real is None:
        return torch.full((pooling**2, 1, count**2, 1), 1 / pooling**2)
    return real / real.sum(0, keepdim=True)


class SwitchNetwork(nn.Module):
    """η = softmax(W₂ tanh(W₁ vec(block) + b₁) + b₂) for every block of a layer, with the same weights.

    Args:
        conv: side of the maps that are pooled.
        pooling: p.
        count: n, blocks per side. Where p·n > conv the last blocks are short: their padded positions are read as
            zeros and get probability zero.
        hidden: tanh units.
    """

    padded: Tensor | None

    def __init__(self, conv: int, pooling: int, count: int, hidden: int) -> None:
        super().__init__()
        positions = pooling * pooling
        self.hidden_weight = nn.Parameter(torch.randn(hidden, positions) / pooling)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden, 1))
        self.weight = nn.Parameter(torch.randn(positions, hidden) / math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(positions, 1))
        prior = uniform_switches(conv, pooling, count)
        self.register_buffer("padded", prior == 0 if (prior == 0).any() else None, persistent=False)

    def forward(self, blocks: Tensor) -> SwitchPosterior:
        """Returns q(z | X) of the blocks [p², K, n², B]."""
        pooled, probabilities, kl = StochasticPooling.apply(
            blocks, self.hidden_weight, self.hidden_bias, self.weight, self.bias, self.padded
        )
        return SwitchPosterior(probabilities, pooled, kl)
