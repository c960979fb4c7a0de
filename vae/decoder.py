"""The generative model p(X | s, z): unpooling by the switches and full convolutions, from the code down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from vae.architecture import Architecture
from vae.blocks import block_matrix, overlap_add
from vae.pooling import Switches, draw_positions, uniform_switches


@dataclass(frozen=True)
class Reconstruction:
    """E X̂ = S̃⁽¹⁾ and what is left of its variance, over the switches that were not drawn.

    `mean` is [N_c, H, W, B]. `spread` is E‖X̂ − E X̂‖², [B], over the bottom switches where their
    probabilities were given, zero where they were drawn. So E‖X − X̂‖² = ‖X − mean‖² + spread.
    """

    mean: Tensor
    spread: Tensor

    def squared_error(self, images: Tensor) -> Tensor:
        """E‖X − X̂‖² of images [B, N_c, H, W], per image, [B]."""
        difference = images.permute(1, 2, 3, 0) - self.mean
        return difference.square().sum((0, 1, 2)) + self.spread


class _Quadratic(torch.autograd.Function):
    """ηᵀ G_k η of every block: G [K, p², p²], symmetric, and η [p², K, M] give [K, M].

    Its gradient needs the product G η that the value has computed already."""

    @staticmethod
    def forward(ctx: Any, gram: Tensor, eta: Tensor) -> Tensor:
        product = (gram @ eta.transpose(0, 1)).transpose(0, 1)
        ctx.save_for_backward(eta, product)
        return (eta * product).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        eta, product = ctx.saved_tensors
        weighted = eta * grad
        return weighted.transpose(0, 1) @ eta.permute(1, 2, 0), 2 * grad * product


class Decoder(nn.Module):
    """S̃⁽ˡ⁾ = Σ_k D⁽ᵏ'ˡ⁾ * S⁽ᵏ'ˡ⁾ with full borders; X ~ N(S̃⁽¹⁾, α₀⁻¹ I), α₀ learned as its logarithm.

    Args:
        log_alpha: where log α₀ starts.
    """

    def __init__(self, architecture: Architecture, log_alpha: float) -> None:
        super().__init__()
        self.architecture = architecture
        self.dictionaries = nn.ParameterList()
        channels = architecture.channels
        for layer, sizes in zip(architecture.layers, architecture.sizes, strict=True):
            shape = (layer.dictionary_size, channels, layer.kernel, layer.kernel)
            # A value below is a sum over this many active elements: keep it of order one half.
            overlap = min(layer.kernel / layer.pooling, sizes.pooled) ** 2
            self.dictionaries.append(
                nn.Parameter(torch.randn(shape) * 0.5 / math.sqrt(layer.dictionary_size * overlap))
            )
            channels = layer.dictionary_size
        self.log_alpha = nn.Parameter(torch.tensor(float(log_alpha)))

    def forward(self, code: Tensor, switches: Mapping[int, Switches]) -> Reconstruction:
        """Decodes codes [K_L, m, B] with each pooling layer's switches."""
        values = code
        spread = code.new_zeros(code.shape[2])
        for index in reversed(range(len(self.architecture.layers))):
            layer, sizes = self.architecture.layers[index], self.architecture.sizes[index]
            dictionary = block_matrix(self.dictionaries[index], layer.pooling)
            placed = values
            if layer.pooling > 1:
                weights = switches[index].weights
                placed = weights * values
                if index == 0 and switches[0].log_probability is None:
                    spread = self._spread(values, weights)
            windows = dictionary.T @ placed.reshape(dictionary.shape[0], -1)
            maps = overlap_add(windows, layer.kernel, layer.pooling, sizes.pooled, sizes.input)
            values = maps.reshape(maps.shape[0], -1, maps.shape[3])
        return Reconstruction(maps, spread)

    def _spread(self, values: Tensor, probabilities: Tensor) -> Tensor:
        """Σ over blocks of s̃²·(‖D_k‖² − ηᵀ G_k η), [B]: switches of different blocks are independent, and one
        block's value adds s̃ D_k shifted to a position drawn from η. G_k is the p²×p² Gram matrix of the
        shifted elements.
        """
        layer = self.architecture.layers[0]
        shifted = block_matrix(self.dictionaries[0], layer.pooling).view(layer.pooling**2, layer.dictionary_size, -1)
        gram = torch.einsum("pkf,qkf->kpq", shifted, shifted)
        quadratic = _Quadratic.apply(gram, probabilities.flatten(2)).view(values.shape)
        norms = self.dictionaries[0].square().sum((1, 2, 3))[:, None, None]
        return (values.square() * (norms - quadratic)).sum((0, 1))

    def prior_switches(self, batch: int) -> dict[int, Switches]:
        """Switches of every pooling layer, drawn from their prior for `batch` images."""
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            if layer.pooling > 1:
                prior = uniform_switches(sizes.conv, layer.pooling, sizes.pooled)
                expanded = prior.to(self.log_alpha.device).expand(-1, layer.dictionary_size, -1, batch)
                drawn[index] = Switches(draw_positions(expanded), None)
        return drawn
