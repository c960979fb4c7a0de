"""The network that `cnn`, `mean-teacher`, `fixmatch` and `freematch` share, so that they differ in their losses alone.

Images of 32 pixels or more a side get the wide residual network WRN-28-2 (Zagoruyko & Komodakis 2016), with the leaky
units of Oliver et al. (2018), as in most comparisons of semi-supervised learning. Smaller ones get three convolutions,
which a CPU trains in a minute.
"""

from __future__ import annotations

from torch import Tensor, nn

LEAK = 0.1
BLOCKS, WIDTHS = 4, (16, 32, 64, 128)  # WRN-28-2: (28 − 4) / 6 blocks a group, and twice the width of WRN-28-1
SMALL = (24, 48, 96)  # channels of the small network


def modern_network(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Returns a network from images [b, N_c, H, W] of a shape (N_c, H, W) to class scores [b, C]."""
    return wide_residual_network(shape[0], classes) if min(shape[1:]) >= 32 else small_network(shape[0], classes)


def small_network(channels: int, classes: int) -> nn.Sequential:
    """Returns three convolutions, which cut the side to a ninth, and a linear layer.

    The places of the last maps are kept: with 35 digits to learn from, global averages cost fifteen points.
    """
    first, second, third = SMALL
    return nn.Sequential(
        *_convolved(channels, first, 5, stride=2),
        *_convolved(first, second, 3),
        nn.MaxPool2d(2),
        *_convolved(second, third, 3),
        nn.AdaptiveMaxPool2d(3),
        nn.Flatten(),
        nn.Linear(9 * third, classes),
    )


def _convolved(before: int, after: int, side: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, side, stride, side // 2, bias=False)
    return [convolution, nn.BatchNorm2d(after), nn.LeakyReLU(LEAK)]


def wide_residual_network(channels: int, classes: int) -> nn.Sequential:
    """Returns WRN-28-2: a convolution, three groups of blocks, global averages and a linear layer."""
    first, *widths = WIDTHS
    blocks = []
    before = first
    for group, width in enumerate(widths):
        for place in range(BLOCKS):
            blocks.append(ResidualBlock(before, width, stride=2 if group and not place else 1))
            before = width
    return nn.Sequential(
        nn.Conv2d(channels, first, 3, padding=1, bias=False),
        *blocks,
        nn.BatchNorm2d(before),
        nn.LeakyReLU(LEAK),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(before, classes),
    )


class ResidualBlock(nn.Module):
    """Adds two convolutions, each after normalisation and activation, to its input."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.activated = nn.Sequential(nn.BatchNorm2d(before), nn.LeakyReLU(LEAK))
        self.residual = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
        )
        self.shortcut = nn.Conv2d(before, after, 1, stride, bias=False) if before != after else None

    def forward(self, values: Tensor) -> Tensor:
        activated = self.activated(values)
        shortcut = values if self.shortcut is None else self.shortcut(activated)
        return shortcut + self.residual(activated)
