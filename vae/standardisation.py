"""The images' mean and scale, which the model takes out of its input and puts back into its output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GREY_LEVEL = 1 / 255  # the least scale, for images that hardly differ


class Standardisation(nn.Module):
    """Shifts images by their mean image m and divides them by one scale c, their root mean squared distance from it.

    The model reads (X − m)/c, and X ~ N(m + c S̃⁽¹⁾, α₀⁻¹ I): the paper's model of the translated image X − m. The paper
    has m = 0. Then one bright ground makes all images alike, for the encoder and in what the decoder has to draw.

    m and c are buffers, measured once and not learned: the model has the paper's parameters and no more, and they are
    in its state, so that a loaded model needs nothing else. Without `measure`, m = 0 and c = 1.

    Args:
        shape: of an image, (N_c, H, W).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(()))

    def measure(self, images: Tensor) -> None:
        """Takes m and c from images [n, N_c, H, W]."""
        self.mean.copy_(images.mean(0))
        self.scale.copy_((images - images.mean(0)).square().mean().sqrt().clamp(min=GREY_LEVEL))

    @property
    def log_precision(self) -> float:
        """−log c²: log α₀ of a decoder that knows no more of an image than m."""
        return -2 * math.log(float(self.scale))

    def forward(self, images: Tensor) -> Tensor:
        """Returns (X − m)/c of images [B, N_c, H, W]."""
        return (images - self.mean) / self.scale

    def undo(self, standardised: Tensor) -> Tensor:
        """Returns m + c X of standardised images [B, N_c, H, W]."""
        return self.mean + self.scale * standardised
