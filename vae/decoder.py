"""The decoder p(X | s, z): from the code s down to the image X, unpooling by the switches z and convolving.

A switch names, for one pooling block, the position that carries the block's value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae.architecture import Architecture
from vae.blocks import block_matrix, overlap_add, product
from vae.kernels.expected_unpooling import ExpectedUnpooling
from vae.pooling import Switches, draw_positions, uniform_switches


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
        return ExpectedUnpooling.apply(probabilities, values, shifted)

    def prior_switches(self, batch: int) -> dict[int, Switches]:
        """Draws the switches of every pooling layer from their prior, for `batch` images."""
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            if layer.pooling > 1:
                prior = uniform_switches(sizes.conv, layer.pooling, sizes.pooled)
                expanded = prior.to(self.log_alpha.device).expand(-1, layer.dictionary_size, -1, batch)
                drawn[index] = Switches(draw_positions(expanded), drawn=True)
        return drawn
