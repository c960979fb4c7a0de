"""Stochastic pooling: which position of each block carries its value (the switches z)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vae.blocks import real_positions

# A logit so low that its probability is exactly zero in single precision, and zero times it still zero.
_NEVER = -1e9


@dataclass(frozen=True)
class SwitchPosterior:
    """q(z | X) of one pooling layer.

    `probabilities` is η, [p², K, n², B], the softmax of `logits`; `expected` is Σ η · block, [K, n², B]; `kl` is
    KL(q(z|X) ‖ p(z)) summed over the layer's blocks, [B], in nats, the prior being uniform over each block's
    real positions.
    """

    probabilities: Tensor
    logits: Tensor
    expected: Tensor
    kl: Tensor


@dataclass(frozen=True)
class Switches:
    """What a layer unpools with: `weights` [p², K, n², B], each block's adding up to one.

    `log_probability` [B] is that of the drawn switches; None where the weights are not a draw but the
    probabilities themselves.
    """

    weights: Tensor
    log_probability: Tensor | None


def draw_positions(probabilities: Tensor) -> Tensor:
    """One position per block from its probabilities, as one-hot weights, both [p², K, n², B]; no gradient."""
    with torch.no_grad():
        mass = probabilities.cumsum(0)
        # First position whose cumulated mass exceeds u: one of no mass is never first.
        threshold = torch.rand_like(mass[-1]) * mass[-1]
        chosen = (mass > threshold).to(torch.uint8).argmax(0, keepdim=True)
        return torch.zeros_like(mass).scatter_(0, chosen, 1.0)


def draw_switches(posterior: SwitchPosterior) -> Switches:
    """z ~ q(z | X), with its log-probability, through which a score-function gradient flows."""
    weights = draw_positions(posterior.probabilities)
    log_probabilities = posterior.logits.log_softmax(0)
    return Switches(weights, (weights * log_probabilities).sum((0, 1, 2)))


def uniform_switches(conv: int, pooling: int, count: int) -> Tensor:
    """The prior: uniform over each block's real positions, [p², 1, n², 1]."""
    real = real_positions(conv, pooling, count)
    if real is None:
        return torch.full((pooling**2, 1, count**2, 1), 1 / pooling**2)
    return real / real.sum(0, keepdim=True)


class SwitchNetwork(nn.Module):
    """η = softmax(W₂ tanh(W₁ vec(block) + b₁) + b₂) for every block of a layer, with the same weights.

    Args:
        conv: side of the maps that are pooled.
        pooling: p.
        count: n, blocks a side; where p·n > conv the last blocks are short, and their padded positions get
            probability zero.
        hidden: tanh units.
    """

    def __init__(self, conv: int, pooling: int, count: int, hidden: int) -> None:
        super().__init__()
        positions = pooling * pooling
        self.hidden_weight = nn.Parameter(torch.randn(hidden, positions) / pooling)
        self.hidden_bias = nn.Parameter(torch.zeros(hidden, 1))
        self.weight = nn.Parameter(torch.randn(positions, hidden) / math.sqrt(hidden))
        self.bias = nn.Parameter(torch.zeros(positions, 1))
        prior = uniform_switches(conv, pooling, count)
        self.register_buffer("padded", prior == 0 if (prior == 0).any() else None, persistent=False)
        self.register_buffer("log_choices", -prior.amax(0).log(), persistent=False)

    def forward(self, blocks: Tensor) -> SwitchPosterior:
        """q(z | X) of the blocks [p², K, n², B]."""
        if self.padded is not None:
            blocks = blocks.masked_fill(self.padded, 0.0)
        flat = blocks.reshape(blocks.shape[0], -1)
        # tanh a = 2σ(2a) − 1, with the factors in the weights: the sigmoid is the faster of the two.
        hidden = torch.addmm(2 * self.hidden_bias, 2 * self.hidden_weight, flat).sigmoid()
        logits = torch.addmm(self.bias - self.weight.sum(1, keepdim=True), 2 * self.weight, hidden)
        logits = logits.view(blocks.shape)
        if self.padded is not None:
            logits = logits.masked_fill(self.padded, _NEVER)
        pooled, probabilities, negentropy = _Pool.apply(logits, blocks)
        return SwitchPosterior(probabilities, logits, pooled, (negentropy + self.log_choices).sum((0, 1)))


class _Pool(torch.autograd.Function):
    """Probabilities η = softmax(logits), pooled values Σ η·block and Σ η log η in one pass each way.

    These element-wise steps over p² values a block are most of a training step; done one by one they
    would each read and write all of it.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        largest = logits.amax(0)
        probabilities = (logits - largest).exp_()
        total = probabilities.sum(0)
        probabilities /= total
        pooled = (probabilities * blocks).sum(0)
        negentropy = (probabilities * logits).sum(0).sub_(largest).sub_(total.log_())
        ctx.save_for_backward(probabilities, logits, blocks)
        return pooled, probabilities, negentropy

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_pooled: Tensor, grad_probabilities: Tensor, grad_negentropy: Tensor
    ) -> tuple[Tensor, Tensor]:
        probabilities, logits, blocks = ctx.saved_tensors
        # Σ η log η has the gradient η (l − Σ η l), the same as that of Σ η l with l held fixed.
        grad = torch.addcmul(grad_probabilities, blocks, grad_pooled).addcmul_(logits, grad_negentropy)
        grad_blocks = probabilities * grad_pooled
        mean = (probabilities * grad).sum(0)
        return grad.sub_(mean).mul_(probabilities), grad_blocks
