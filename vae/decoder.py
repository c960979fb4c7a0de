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
from vae.blocks import block_matrix, overlap_add, product, slices
from vae.folding import Folded
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


class _ExpectedUnpooling(Folded):
    """Puts s̃ at every position of its block by its probability, and says what that leaves out, for T trials.

    Gives η s̃, [T, p², K, n², B], and ηᵀ G_k η, [T, K, n², B], from η, s̃ [T, K, n², B] and the Gram matrices
    G [T, K, p², p²] (symmetric), a few elements at a time (see `vae.pooling`).
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
    """[t·K, p², n²·B] from η [t, p², K, n², B]: without copying anything where t is one."""
    return eta.flatten(3).transpose(1, 2).flatten(0, 1)


class Decoder(nn.Module):
    """S̃⁽ˡ⁾ = Σ_k D⁽ᵏ'ˡ⁾ * S⁽ᵏ'ˡ⁾ with full borders; X ~ N(S̃⁽¹⁾, α₀⁻¹ I), α₀ learned as its logarithm.

    Args:
        log_alpha: where log α₀ starts.
        factors: what the factors of the convolutions are rounded to, if to anything.
    """

    def __init__(self, architecture: Architecture, log_alpha: float, factors: torch.dtype | None = None) -> None:
        super().__init__()
        self.factors = factors
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
        """η s̃, and Σ over blocks of s̃²·(‖D_k‖² − ηᵀ G_k η), [B]: switches of different blocks are independent,
        and a block's value adds s̃ D_k shifted to a position drawn from η. G_k is the p²×p² Gram matrix of the
        shifted elements.
        """
        shifted = dictionary.view(probabilities.shape[0], values.shape[0], -1).transpose(0, 1)
        gram = shifted @ shifted.transpose(1, 2)
        found = _ExpectedUnpooling.apply(probabilities[None], values[None], gram[None])
        placed, quadratic = (each.squeeze(0) for each in found)
        norms = self.dictionaries[0].square().sum((1, 2, 3))[:, None, None]
        return placed, (values.square() * (norms - quadratic)).sum((0, 1))

    def prior_switches(self, batch: int) -> dict[int, Switches]:
        """Switches of every pooling layer, drawn from their prior for `batch` images."""
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            if layer.pooling > 1:
                prior = uniform_switches(sizes.conv, layer.pooling, sizes.pooled)
                expanded = prior.to(self.log_alpha.device).expand(-1, layer.dictionary_size, -1, batch)
                drawn[index] = Switches(draw_positions(expanded), drawn=True)
        return drawn
