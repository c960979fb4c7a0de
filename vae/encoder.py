"""The encoder q(s, z | X): convolutions, stochastic pooling, and a small network per map of the top layer.

s is the code of an image X, z its pooling switches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vae.architecture import Architecture
from vae.blocks import block_matrix, product, windows_of
from vae.noise import normal_like
from vae.pooling import Switches, SwitchNetwork, SwitchPosterior

Draw = Callable[[SwitchPosterior, int], Switches]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "none": lambda maps: maps}


@dataclass(frozen=True)
class Encoding:
    """The posterior q(s, z | X) of a batch of B images.

    Attributes:
        mean, log_sigma: μ and log σ of the code, [K_L, m, B], m values per map.
        posteriors: those of the switches, by layer.
        drawn: the switches that pooled the encoder's own maps, by layer; empty where it pooled by expectation.
    """

    mean: Tensor
    log_sigma: Tensor
    posteriors: Mapping[int, SwitchPosterior]
    drawn: Mapping[int, Switches]

    def repeated(self, times: int) -> Encoding:
        """Repeats the batch `times` times, one whole batch after another, for an encoding without drawn switches."""
        if times == 1:
            return self
        return Encoding(
            self.mean.repeat(1, 1, times),
            self.log_sigma.repeat(1, 1, times),
            {layer: posterior.repeated(times) for layer, posterior in self.posteriors.items()},
            {},
        )

    def sample(self, times: int = 1) -> Tensor:
        """Draws a code by eq (7), [K_L, m, B].

        Args:
            times: how often the batch is repeated in this encoding. Copies of an image share their noise, so that
                they differ only by their switches.
        """
        noise = normal_like(self.mean[..., : self.mean.shape[2] // times])
        return self.mean + self.log_sigma.exp() * (noise if times == 1 else noise.repeat(1, 1, times))


class MapNetworks(nn.Module):
    """The networks of eqs (25)–(27), one tanh network for each of the K top maps, run as one batched product."""

    def __init__(self, maps: int, values: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(maps, hidden, values) / math.sqrt(values))
        self.bias = nn.Parameter(torch.zeros(maps, hidden, 1))
        self.mean_weight = nn.Parameter(torch.randn(maps, values, hidden) / math.sqrt(hidden))
        self.mean_bias = nn.Parameter(torch.zeros(maps, values, 1))
        # σ starts at one, as in the prior, whatever the image.
        self.sigma_weight = nn.Parameter(torch.zeros(maps, values, hidden))
        self.sigma_bias = nn.Parameter(torch.zeros(maps, values, 1))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Returns μ and log σ, each [K, m, B], of top maps [K, m, B]."""
        hidden = torch.baddbmm(self.bias, self.weight, maps).tanh()
        mean = torch.baddbmm(self.mean_bias, self.mean_weight, hidden)
        return mean, torch.baddbmm(self.sigma_bias, self.sigma_weight, hidden)


class Encoder(nn.Module):
    """C̃⁽ˡ⁾ = F⁽ˡ⁾ * C⁽ˡ⁻¹⁾ with valid borders, then pooled by the switches, layer by layer up to the code.

    Args:
        activation: applied to the maps after pooling, a key of `ACTIVATIONS` (the paper's equations have none).
        switch_hidden: tanh units of each layer's switch network.
        code_hidden: tanh units of each top map's network.
        factors: type that the factors of the convolutions are rounded to; None rounds nothing.
    """

    def __init__(
        self,
        architecture: Architecture,
        activation: str,
        switch_hidden: int,
        code_hidden: int,
        factors: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.factors = factors
        self.architecture = architecture
        self.activation = ACTIVATIONS[activation]
        self.filters = nn.ParameterList()
        self.switch_networks = nn.ModuleDict()
        channels = architecture.channels
        for index, (layer, sizes) in enumerate(zip(architecture.layers, architecture.sizes, strict=True)):
            shape = (layer.dictionary_size, channels, layer.kernel, layer.kernel)
            self.filters.append(nn.Parameter(torch.randn(shape) * math.sqrt(2 / (channels * layer.kernel**2))))
            if layer.pooling > 1:
                network = SwitchNetwork(sizes.conv, layer.pooling, sizes.pooled, switch_hidden)
                self.switch_networks[str(index)] = network
            channels = layer.dictionary_size
        maps, side, _ = architecture.code_shape
        self.map_networks = MapNetworks(maps, side * side, code_hidden)

    def forward(self, images: Tensor, draw: Draw | None = None) -> Encoding:
        """Encodes images [B, N_c, H, W].

        Args:
            draw: draws a layer's switches from their posterior, which then pool that layer (the shared reading of q).
                Without it, each layer is pooled by the expectation Σ η · block (the factorised reading).
        """
        maps = images.permute(1, 2, 3, 0).contiguous()
        posteriors: dict[int, SwitchPosterior] = {}
        drawn: dict[int, Switches] = {}
        for index, (layer, sizes) in enumerate(zip(self.architecture.layers, self.architecture.sizes, strict=True)):
            windows = windows_of(maps, layer.kernel, layer.pooling, sizes.pooled)
            blocks = product(block_matrix(self.filters[index], layer.pooling), windows, self.factors).view(
                layer.pooling**2, layer.dictionary_size, sizes.pooled**2, -1
            )
            if layer.pooling == 1:
                pooled = blocks.squeeze(0)
            else:
                posteriors[index] = self.switch_networks[str(index)](blocks)
                pooled = posteriors[index].expected
                if draw is not None:
                    drawn[index] = draw(posteriors[index], index)
                    pooled = (drawn[index].weights * blocks).sum(0)
                pooled = self.activation(pooled)
            maps = pooled.view(layer.dictionary_size, sizes.pooled, sizes.pooled, -1)
        mean, log_sigma = self.map_networks(maps.flatten(1, 2))
        return Encoding(mean, log_sigma, posteriors, drawn)
