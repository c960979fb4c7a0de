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
from vae.kernels.compiled import compute, is_compiled_for
from vae.noise import uniform_like
from vae.vmap_functions import Stacked

# A logit so low that its probability is exactly zero in single precision; finite, so that zero times it is zero.
_NEVER = -1e9

_Weights = Sequence[Tensor]  # W₁ [T, H, p²], b₁ [T, H, 1], W₂ [T, p², H] and b₂ [T, p², 1], with H hidden units


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
        drawn: whether the weights are random, and not the probabilities themselves. They are one-hot draws, or numbers
            of the same means and covariances (see `vae.estimators.exact`).
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
        pooled, probabilities, kl = _StochasticPooling.apply(
            blocks, self.hidden_weight, self.hidden_bias, self.weight, self.bias, self.padded
        )
        return SwitchPosterior(probabilities, pooled, kl)


class _StochasticPooling(Stacked):
    """From blocks [p², K, n², B] to Σ η·block, [K, n², B], to η, and to KL(η ‖ prior) summed over the blocks, [B].

    η = softmax(W₂ tanh(W₁ block + b₁) + b₂). Further arguments are W₁, b₁, W₂ and b₂, and what is padding, bool
    [p², 1, n², 1], or None where no block is short. The prior is uniform over what is not padding. A stack of T trials
    has one more dimension, the first.

    These small products and element-wise steps over the p² values of a block make most of the memory traffic of a
    training step. On a CPU in single precision compiled kernels take them in one go (see `vae.kernels.compiled`). The
    writing in PyTorch works on a few dictionary elements at a time, so that what its steps hand to each other stays
    in the cache. Only the blocks and η are kept for the backward pass; the hidden units are computed again.
    """

    @staticmethod
    def forward(blocks: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
        if blocks.ndim == 4:  # a trial alone is a stack of one
            pooled, probabilities, kl = _StochasticPooling.forward(blocks[None], *map(_stack, arguments))
            return pooled[0], probabilities[0], kl[0]
        *weights, padded = arguments
        results = torch.empty_like(blocks[:, 0]), torch.empty_like(blocks), torch.empty_like(blocks[:, 0])
        if is_compiled_for(blocks):
            compute("pool", _sizes(blocks, weights), blocks, *weights, _padding(blocks, padded), *results)
        else:
            _pool(blocks, weights, padded, *results)
        pooled, probabilities, divergence = results
        return pooled, probabilities, divergence.sum((1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        blocks, *weights, ctx.padded = inputs
        ctx.save_for_backward(blocks, output[1], *weights)
        ctx.set_materialize_grads(False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *to_results: Tensor | None) -> tuple[Tensor | None, ...]:
        blocks, probabilities, *weights = ctx.saved_tensors
        alone = blocks.ndim == 4
        passes = _compiled_backward if is_compiled_for(blocks) else _backward
        if alone:
            blocks, probabilities, weights = blocks[None], probabilities[None], [each[None] for each in weights]
        padded, *incoming = (_stack(each) if alone else each for each in (ctx.padded, *to_results))
        to_blocks, to_weights = passes(blocks, weights, padded, probabilities, incoming)
        return *(each[0] if alone else each for each in (to_blocks, *to_weights)), None


def _stack(of_one: Tensor | None) -> Tensor | None:
    """Returns a stack of one trial."""
    return None if of_one is None else of_one[None]


def _sizes(blocks: Tensor, weights: _Weights) -> list[int]:
    """Returns T, p², K, n²·B and H."""
    trials, positions, elements, count, batch = blocks.shape
    return [trials, positions, elements, count * batch, weights[0].shape[1]]


def _padding(blocks: Tensor, padded: Tensor | None) -> Tensor | None:
    """Returns what is padding for the kernels: for every image, [T, p², n²·B]."""
    return None if padded is None else padded.expand(*padded.shape[:-1], blocks.shape[-1]).contiguous()


def _compiled_backward(
    blocks: Tensor, weights: _Weights, padded: Tensor | None, eta: Tensor, to_results: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """Returns the gradients of the blocks and of the weights, as `_backward` does."""
    to_pooled, to_probabilities, to_kl = to_results
    of_every_block = None if to_kl is None else to_kl[:, None].expand(-1, blocks.shape[3], -1)
    incoming = (None if each is None else each.contiguous() for each in (to_pooled, to_probabilities, of_every_block))
    sizes, shares = _sizes(blocks, weights), [each[0].numel() for each in weights]
    to_blocks, by_element = torch.empty_like(blocks), blocks.new_empty(sizes[0], sizes[2], sum(shares))
    mask = _padding(blocks, padded)
    compute("pool_backward", sizes, blocks, *weights, mask, eta, *incoming, to_blocks, by_element)
    to_weights = by_element.sum(1).split(shares, 1)
    return to_blocks, [grad.view_as(each) for grad, each in zip(to_weights, weights, strict=True)]


def _logits(part: Tensor, weights: _Weights, padded: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the blocks with padding as zeros, the hidden units and the logits, each [t, ·, columns]."""
    hidden_weight, hidden_bias, weight, bias = weights
    if padded is not None:
        part = part.masked_fill(padded, 0.0)
    flat = part.flatten(2)
    hidden = torch.baddbmm(hidden_bias, hidden_weight, flat).tanh_()
    logits = torch.baddbmm(bias, weight, hidden)
    if padded is not None:
        logits.view(part.shape).masked_fill_(padded, _NEVER)
    return flat, hidden, logits


def _of(trial: slice, weights: _Weights, padded: Tensor | None) -> tuple[list[Tensor], Tensor | None]:
    """Returns the weights and the padding of those trials."""
    return [each[trial] for each in weights], None if padded is None else padded[trial]


def _pool(
    blocks: Tensor,
    weights: _Weights,
    padded: Tensor | None,
    pooled: Tensor,
    probabilities: Tensor,
    divergence: Tensor,
) -> None:
    """Writes Σ η·block, η and each block's KL(η ‖ prior) into the last three arguments."""
    for trial, part in slices(blocks):
        own, mask = _of(trial, weights, padded)
        flat, _, logits = _logits(blocks[trial, :, part], own, mask)
        logits -= logits.amax(1, keepdim=True)
        eta = probabilities[trial, :, part].flatten(2)
        torch.exp(logits, out=eta)
        total = eta.sum(1, keepdim=True)
        eta /= total
        torch.sum(eta * flat, 1, out=pooled[trial, part].flatten(1))
        negentropy = logits.mul_(eta).sum(1, keepdim=True) - total.log_()
        choices = math.log(blocks.shape[1]) if mask is None else mask.logical_not().sum(1).log()
        divergence[trial, part] = negentropy.view(divergence[trial, part].shape) + choices


def _backward(
    blocks: Tensor, weights: _Weights, padded: Tensor | None, probabilities: Tensor, to_results: Sequence[Tensor | None]
) -> tuple[Tensor, list[Tensor]]:
    """Returns the gradients of the blocks and of the weights, given those of the results, where None is zero."""
    grad_pooled, grad_probabilities, grad_kl = (
        torch.zeros_like(result) if grad is None else grad
        for grad, result in zip(to_results, (blocks[:, 0], blocks, blocks[:, 0, 0, 0]), strict=True)
    )
    grad_divergence = grad_kl[:, None, None].expand(blocks[:, 0].shape)
    grads = [torch.zeros_like(each) for each in weights]
    grad_blocks = torch.empty_like(blocks)
    for trial, part in slices(blocks):
        own, mask = _of(trial, weights, padded)
        hidden_weight, _, weight, _ = own
        flat, hidden, logits = _logits(blocks[trial, :, part], own, mask)
        eta = probabilities[trial, :, part].flatten(2)
        to_pooled = grad_pooled[trial, part].flatten(1).unsqueeze(1)
        # Σ η log η has the gradient η (l − Σ η l): that of Σ η l with l held fixed.
        grad = torch.addcmul(grad_probabilities[trial, :, part].flatten(2), flat, to_pooled)
        grad.addcmul_(logits, grad_divergence[trial, part].flatten(1).unsqueeze(1))
        grad.sub_((eta * grad).sum(1, keepdim=True)).mul_(eta)
        grads[3][trial] += grad.sum(2, keepdim=True)
        grads[2][trial].baddbmm_(grad, hidden.mT)
        to_hidden = torch.ops.aten.tanh_backward(weight.mT @ grad, hidden)
        grads[1][trial] += to_hidden.sum(2, keepdim=True)
        grads[0][trial].baddbmm_(to_hidden, flat.mT)
        to_blocks = grad_blocks[trial, :, part].flatten(2)
        torch.mul(eta, to_pooled, out=to_blocks)
        to_blocks.baddbmm_(hidden_weight.mT, to_hidden)
    if padded is not None:
        grad_blocks.masked_fill_(padded, 0.0)
    return grad_blocks, grads
