"""The decoder p(X | s, z): from the code s down to the image X, unpooling by the switches z and convolving.

A switch names, for one pooling block, the position that carries the block's value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vae.architecture import Architecture
from vae.blocks import block_matrix, overlap_add, product, slices
from vae.kernels.compiled import compute, is_compiled_for
from vae.pooling import Switches, draw_positions, uniform_switches
from vae.vmap_functions import Stacked


@dataclass(frozen=True)
class Reconstruction:
    """The mean and variance of the reconstruction X̂ over the switches that were not drawn.

    E‖X − X̂‖² = ‖X − mean‖² + spread.

    Attributes:
        mean: E X̂ = S̃⁽¹⁾, [N_c, H, W, B].
        spread: E‖X̂ − E X̂‖², [B]. Zero where the bottom switches were drawn; otherwise their probabilities were
            given and the expectation is over them.
    """

    mean: Tensor
    spread: Tensor

    def squared_error(self, images: Tensor) -> Tensor:
        """Returns E‖X − X̂‖² of each of images [B, N_c, H, W], [B]."""
        difference = self.mean - images.permute(1, 2, 3, 0)  # in this order it lies in memory as the mean does
        return difference.square().sum((0, 1, 2)) + self.spread


class Decoder(nn.Module):
    """S̃⁽ˡ⁾ = Σ_k D⁽ᵏ'ˡ⁾ * S⁽ᵏ'ˡ⁾ with full borders, and X ~ N(S̃⁽¹⁾, α₀⁻¹ I). log α₀ is learned.

    Args:
        log_alpha: initial value of log α₀, the log-precision of the pixel noise.
        factors: type that the factors of the convolutions are rounded to; None rounds nothing.
    """

    def __init__(self, architecture: Architecture, log_alpha: float, factors: torch.dtype | None = None) -> None:
        super().__init__()
        self.factors = factors
        self.architecture = architecture
        self.dictionaries = nn.ParameterList()
        channels = architecture.channels
        for layer, sizes in zip(architecture.layers, architecture.sizes, strict=True):
            shape = (layer.dictionary_size, channels, layer.kernel, layer.kernel)
            # A value of the map below sums this many active elements; the scale keeps it of order one half.
            overlap = min(layer.kernel / layer.pooling, sizes.pooled) ** 2
            self.dictionaries.append(
                nn.Parameter(torch.randn(shape) * 0.5 / math.sqrt(layer.dictionary_size * overlap))
            )
            channels = layer.dictionary_size
        self.log_alpha = nn.Parameter(torch.tensor(float(log_alpha)))

    def forward(self, code: Tensor, switches: Mapping[int, Switches]) -> Reconstruction:
        """Decodes codes [K_L, m, B] with the switches of each pooling layer."""
        values = code
        spread = code.new_zeros(code.shape[2])
        for index in reversed(range(len(self.architecture.layers))):
            layer, sizes = self.architecture.layers[index], self.architecture.sizes[index]
            dictionary = block_matrix(self.dictionaries[index], layer.pooling)
            placed = values
            if layer.pooling > 1:
                chosen = switches[index]
                if index == 0 and not chosen.drawn:
                    placed, spread = self._expected(values, chosen.weights, dictionary)
                else:
                    placed = chosen.weights * values
            windows = product(dictionary.T, placed.reshape(dictionary.shape[0], -1), self.factors)
            maps = overlap_add(windows, layer.kernel, layer.pooling, sizes.pooled, sizes.input)
            values = maps.reshape(maps.shape[0], -1, maps.shape[3])
        return Reconstruction(maps, spread)

    def _expected(self, values: Tensor, probabilities: Tensor, dictionary: Tensor) -> tuple[Tensor, Tensor]:
        """Unpools the bottom layer by the expectation over its switches.

        Returns:
            η s̃, [p², K, n², B], and the variance that the switches leave, [B].
        """
        shifted = dictionary.view(probabilities.shape[0], values.shape[0], -1).transpose(0, 1)
        return _ExpectedUnpooling.apply(probabilities, values, shifted)

    def prior_switches(self, batch: int) -> dict[int, Switches]:
        """Draws the switches of every pooling layer from their prior, for `batch` images."""
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            if layer.pooling > 1:
                prior = uniform_switches(sizes.conv, layer.pooling, sizes.pooled)
                expanded = prior.to(self.log_alpha.device).expand(-1, layer.dictionary_size, -1, batch)
                drawn[index] = Switches(draw_positions(expanded), drawn=True)
        return drawn


class _ExpectedUnpooling(Stacked):
    """Unpools by the expectation over the switches.

    A block adds s̃ D_k to the maps below, shifted to a position drawn from η, and the switches of different blocks are
    independent. So the variance is a sum over blocks.

    Args:
        eta: η, the switches' probabilities, [p², K, n², B].
        values: s̃, [K, n², B].
        shifted: D_k shifted to each position, [K, p², C·w²].

    Returns:
        η s̃, [p², K, n², B], and Σ over blocks of s̃²·(‖D_k‖² − ηᵀ G_k η), [B], where G_k is the p² × p² Gram matrix of
        the shifted D_k, and ‖D_k‖² each entry of its diagonal. A stack of T trials has one more dimension, the first.

    Like stochastic pooling it is compiled, or works on a few dictionary elements at a time (see `vae.pooling`).
    """

    @staticmethod
    def forward(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        if arguments[0].ndim == 4:  # a trial alone is a stack of one
            placed, spread = _ExpectedUnpooling.forward(*(each[None] for each in arguments))
            return placed[0], spread[0]
        eta, values, shifted = (each.contiguous() for each in arguments)
        placed, spread = torch.empty_like(eta), torch.empty_like(values)
        if is_compiled_for(eta):
            compute("unpool", _sizes(eta), eta, values, _gram(shifted), placed, spread)
        else:
            _unpool(eta, values, _gram(shifted), placed, spread)
        return placed, spread.sum((1, 2))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *to_results: Tensor) -> tuple[Tensor, ...]:
        tensors, alone = (*ctx.saved_tensors, *to_results), ctx.saved_tensors[0].ndim == 4
        stacks = ((each[None] if alone else each).contiguous() for each in tensors)
        grads = _unpool_gradients(*stacks)
        return tuple(each[0] for each in grads) if alone else grads


def _unpool_gradients(
    eta: Tensor, values: Tensor, shifted: Tensor, to_placed: Tensor, to_spread: Tensor
) -> tuple[Tensor, ...]:
    """Returns the gradients of eta, values and shifted for stacks."""
    gram = _gram(shifted)
    to_eta, to_values, to_gram = torch.empty_like(eta), torch.empty_like(values), torch.empty_like(gram)
    if is_compiled_for(eta):
        of_every_block = to_spread[:, None].expand(-1, eta.shape[3], -1).contiguous()
        incoming = (to_placed, of_every_block)
        compute("unpool_backward", _sizes(eta), eta, values, gram, *incoming, to_eta, to_values, to_gram)
    else:
        _unpool_backward(eta, values, gram, to_placed, to_spread, to_eta, to_values, to_gram)
    return to_eta, to_values, 2 * to_gram @ shifted


def _gram(shifted: Tensor) -> Tensor:
    """Returns the Gram matrices G_k, [T, K, p², p²]."""
    return shifted @ shifted.transpose(2, 3)


def _sizes(eta: Tensor) -> list[int]:
    """Returns T, p², K and n²·B."""
    trials, positions, elements, count, batch = eta.shape
    return [trials, positions, elements, count * batch]


def _unpool(eta: Tensor, values: Tensor, gram: Tensor, placed: Tensor, spread: Tensor) -> None:
    """Writes η s̃ and each block's s̃²·(‖D_k‖² − ηᵀ G_k η) into the last two arguments."""
    for trial, part in slices(eta):
        torch.mul(eta[trial, :, part], values[trial, None, part], out=placed[trial, :, part])
        _, variance = _product_and_variance(eta[trial, :, part], gram[trial, part])
        torch.mul(values[trial, part].square(), variance, out=spread[trial, part])


def _unpool_backward(
    eta: Tensor,
    values: Tensor,
    gram: Tensor,
    to_placed: Tensor,
    to_spread: Tensor,
    to_eta: Tensor,
    to_values: Tensor,
    to_gram: Tensor,
) -> None:
    """Writes the gradients of `_ExpectedUnpooling` into the last three arguments; to_gram is symmetric."""
    for trial, part in slices(eta):
        own, value = eta[trial, :, part], values[trial, part]
        weight = value * to_spread[trial, None, None]
        product, variance = _product_and_variance(own, gram[trial, part])
        torch.sum(to_placed[trial, :, part] * own, 1, out=to_values[trial, part])
        to_values[trial, part].addcmul_(weight, variance, value=2)
        weight *= value
        torch.mul(to_placed[trial, :, part], value[:, None], out=to_eta[trial, :, part])
        to_eta[trial, :, part].addcmul_(product, weight[:, None], value=-2)
        by_element = _by_element(own)
        torch.bmm(_by_element(weight[:, None] * own), by_element.mT, out=to_gram[trial, part].flatten(0, 1))
        to_gram[trial, part].neg_()
        to_gram[trial, part, 0, 0] += weight.sum((2, 3))


def _product_and_variance(eta: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
    """Returns G_k η, [t, p², K, n², B], and ‖D_k‖² − ηᵀ G_k η, [t, K, n², B]."""
    product = (gram.flatten(0, 1) @ _by_element(eta)).unflatten(0, gram.shape[:2]).transpose(1, 2).view(eta.shape)
    return product, gram[:, :, 0, 0, None, None] - (eta * product).sum(1)


def _by_element(eta: Tensor) -> Tensor:
    """Rearranges η from [t, p², K, n², B] to [t·K, p², n²·B]; nothing is copied where t is one."""
    return eta.flatten(3).transpose(1, 2).flatten(0, 1)
