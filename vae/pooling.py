"""Stochastic pooling: the switches z, which name for each pooling block the position that carries its value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vae.blocks import real_positions, slices
from vae.noise import uniform_like
from vae.vmap_functions import Folded

# A logit so low that its probability is exactly zero in single precision; finite, so that zero times it is zero.
_NEVER = -1e9


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
    log_choices: Tensor

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
        """Returns q(z | X) of the blocks [p², K, n², B]."""
        # tanh a = 2σ(2a) − 1, with the factors moved into the weights: the sigmoid is faster.
        arguments = (
            blocks,
            2 * self.hidden_weight,
            2 * self.hidden_bias,
            2 * self.weight,
            self.bias - self.weight.sum(1, keepdim=True),
            self.padded,
        )
        stacked = _StochasticPooling.apply(*(each if each is None else each[None] for each in arguments))
        pooled, probabilities, negentropy = (each.squeeze(0) for each in stacked)
        return SwitchPosterior(probabilities, pooled, (negentropy + self.log_choices).sum((0, 1)))


class _StochasticPooling(Folded):
    """From blocks [T, p², K, n², B] of T trials to Σ η·block, η and Σ η log η.

    These small products and element-wise steps over the p² values of a block make most of the memory traffic of a
    training step. Therefore both passes work on a few dictionary elements at a time: what the steps hand to each other
    stays in the cache. Only the blocks and η are kept for the backward pass; the hidden units are computed again.
    """

    @staticmethod
    def _logits(part: Tensor, weights: Sequence[Tensor], padded: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the blocks with padding as zeros, the hidden units and the logits, each [t, ·, columns]."""
        hidden_weight, hidden_bias, weight, bias = weights
        if padded is not None:
            part = part.masked_fill(padded, 0.0)
        flat = part.flatten(2)
        hidden = torch.baddbmm(hidden_bias, hidden_weight, flat).sigmoid_()
        logits = torch.baddbmm(bias, weight, hidden)
        if padded is not None:
            logits.view(part.shape).masked_fill_(padded, _NEVER)
        return flat, hidden, logits

    @staticmethod
    def _part(trial: slice, weights: Sequence[Tensor], padded: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
        """Returns the weights and the padding of those trials."""
        return [each[trial] for each in weights], None if padded is None else padded[trial]

    @staticmethod
    def forward(blocks: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        *weights, padded = arguments
        probabilities = torch.empty_like(blocks)
        pooled, negentropy = torch.empty_like(blocks[:, 0]), torch.empty_like(blocks[:, 0])
        for trial, part in slices(blocks):
            own = _StochasticPooling._part(trial, weights, padded)
            flat, _, logits = _StochasticPooling._logits(blocks[trial, :, part], *own)
            logits -= logits.amax(1, keepdim=True)
            eta = probabilities[trial, :, part].flatten(2)
            torch.exp(logits, out=eta)
            total = eta.sum(1, keepdim=True)
            eta /= total
            torch.sum(eta * flat, 1, out=pooled[trial, part].flatten(1))
            sums = logits.mul_(eta).sum(1, keepdim=True) - total.log_()
            negentropy[trial, part] = sums.view(pooled[trial, part].shape)
        return pooled, probabilities, negentropy

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        blocks, *weights, ctx.padded = inputs
        ctx.save_for_backward(blocks, output[1], *weights)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_pooled: Tensor, grad_probabilities: Tensor, grad_negentropy: Tensor
    ) -> tuple[Tensor | None, ...]:
        blocks, probabilities, *weights = ctx.saved_tensors
        grads = [torch.zeros_like(each) for each in weights]
        grad_blocks = torch.empty_like(blocks)
        for trial, part in slices(blocks):
            own, padded = _StochasticPooling._part(trial, weights, ctx.padded)
            hidden_weight, _, weight, _ = own
            flat, hidden, logits = _StochasticPooling._logits(blocks[trial, :, part], own, padded)
            eta = probabilities[trial, :, part].flatten(2)
            to_pooled = grad_pooled[trial, part].flatten(1).unsqueeze(1)
            # Σ η log η has the gradient η (l − Σ η l): that of Σ η l with l held fixed.
            grad = torch.addcmul(grad_probabilities[trial, :, part].flatten(2), flat, to_pooled)
            grad.addcmul_(logits, grad_negentropy[trial, part].flatten(1).unsqueeze(1))
            grad.sub_((eta * grad).sum(1, keepdim=True)).mul_(eta)
            grads[3][trial] += grad.sum(2, keepdim=True)
            grads[2][trial].baddbmm_(grad, hidden.mT)
            to_hidden = torch.ops.aten.sigmoid_backward(weight.mT @ grad, hidden)
            grads[1][trial] += to_hidden.sum(2, keepdim=True)
            grads[0][trial].baddbmm_(to_hidden, flat.mT)
            to_blocks = grad_blocks[trial, :, part].flatten(2)
            torch.mul(eta, to_pooled, out=to_blocks)
            to_blocks.baddbmm_(hidden_weight.mT, to_hidden)
        if ctx.padded is not None:
            grad_blocks.masked_fill_(ctx.padded, 0.0)
        return grad_blocks, *grads, None
