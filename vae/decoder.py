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
from vae.pooling import Switches, draw_positions, uniform_switches
from vae.vmap_functions import Folded


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
        difference = images.permute(1, 2, 3, 0) - self.mean
        return difference.square().sum((0, 1, 2)) + self.spread


class _ExpectedUnpooling(Folded):
    """Unpools by the expectation over the switches, for T trials.

    Args:
        eta: η, the switches' probabilities, [T, p², K, n², B].
        values: s̃, [T, K, n², B].
        gram: G_k, the symmetric Gram matrices of `Decoder._expected`, [T, K, p², p²].

    Returns:
        η s̃, [T, p², K, n², B], and ηᵀ G_k η, [T, K, n², B].

    It works on a few dictionary elements at a time (see `vae.pooling`).
    """

    @staticmethod
    def forward(eta: Tensor, values: Tensor, gram: Tensor) -> tuple[Tensor, Tensor]:
        placed, quadratic = torch.empty_like(eta), torch.empty_like(values)
        for trial, part in slices(eta):
            torch.mul(eta[trial, :, part], values[trial, None, part], out=placed[trial, :, part])
            by_element = _by_element(eta[trial, :, part])
            product = gram[trial, part].flatten(0, 1) @ by_element
            torch.sum(product.mul_(by_element), 1, out=quadratic[trial, part].flatten(2).flatten(0, 1))
        return placed, quadratic

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_placed: Tensor, to_quadratic: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eta, values, gram = ctx.saved_tensors
        to_eta, to_values, to_gram = torch.empty_like(eta), torch.empty_like(values), torch.empty_like(gram)
        for trial, part in slices(eta):
            torch.sum(to_placed[trial, :, part] * eta[trial, :, part], 1, out=to_values[trial, part])
            torch.mul(to_placed[trial, :, part], values[trial, None, part], out=to_eta[trial, :, part])
            by_element = _by_element(eta[trial, :, part])
            weight = to_quadratic[trial, part].flatten(2).flatten(0, 1).unsqueeze(1)
            product = gram[trial, part].flatten(0, 1) @ by_element
            own = to_eta[trial, :, part].flatten(3).transpose(1, 2)
            own.addcmul_(product.view(own.shape), weight.view(*own.shape[:2], 1, -1), value=2)
            torch.bmm(by_element * weight, by_element.transpose(1, 2), out=to_gram[trial, part].flatten(0, 1))
        return to_eta, to_values, to_gram


def _by_element(eta: Tensor) -> Tensor:
    """Rearranges η from [t, p², K, n², B] to [t·K, p², n²·B]; nothing is copied where t is one."""
    return eta.flatten(3).transpose(1, 2).flatten(0, 1)


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

        A block adds s̃ D_k to the image, shifted to a position drawn from η, and the switches of different blocks are
        independent. So the variance is a sum over blocks; G_k is the p² × p² Gram matrix of D_k shifted to each
        position.

        Returns:
            η s̃, and Σ over blocks of s̃²·(‖D_k‖² − ηᵀ G_k η), [B].
        """
        shifted = dictionary.view(probabilities.shape[0], values.shape[0], -1).transpose(0, 1)
        gram = shifted @ shifted.transpose(1, 2)
        unpooled = _ExpectedUnpooling.apply(probabilities[None], values[None], gram[None])
        placed, quadratic = (each.squeeze(0) for each in unpooled)
        norms = self.dictionaries[0].square().sum((1, 2, 3))[:, None, None]
        return placed, (values.square() * (norms - quadratic)).sum((0, 1))

    def prior_switches(self, batch: int) -> dict[int, Switches]:
        """Draws the switches of every pooling layer from their prior, for `batch` images."""
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            if layer.pooling > 1:
                prior = uniform_switches(sizes.conv, layer.pooling, sizes.pooled)
                expanded = prior.to(self.log_alpha.device).expand(-1, layer.dictionary_size, -1, batch)
                drawn[index] = Switches(draw_positions(expanded), drawn=True)
        return drawn
