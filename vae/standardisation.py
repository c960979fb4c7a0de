"""The images' ground and scale, which the model takes out of its input and puts back into its output."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# The root mean square of standardised values: that of digits on their black ground, which initial weights and learning
# rates were chosen for.
SPREAD = 1 / 3
GREY_LEVEL = 1 / 255  # the least root mean square that is measured, for images that hardly differ from their ground


class Standardisation(nn.Module):
    """Shifts images by their ground g, the median of each channel, and divides them by one scale c.

    The model reads (X − g)/c, and X ~ N(g + c S̃⁽¹⁾, α₀⁻¹ I): the paper's model of the translated image X − g, which is
    mostly near zero, as digits are. The paper has g = 0, so that a white ground swamps the encoder, and the decoder has
    to draw it in every image.

    g and c are buffers, measured once and not learned: the model has the paper's parameters and no more, and they are
    in its state, so that a loaded model needs nothing else. Without `measure`, g = 0 and c = 1.

    Args:
        channels: N_c, of an image.
    """

    ground: Tensor
    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("ground", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(()))

    def measure(self, images: Tensor) -> None:
        """Takes g and c from images [n, N_c, H, W]; standardised they have the root mean square `SPREAD`."""
        self.ground.copy_(images.transpose(0, 1).flatten(1).median(1).values[:, None, None])
        distance = (images - self.ground).square().mean().sqrt()
        self.scale.copy_(distance.clamp(min=GREY_LEVEL) / SPREAD)

    @property
    def log_precision(self) -> float:
        """Log α₀ of a decoder that knows no more of an image than g, in nats."""
        return -2 * math.log(SPREAD * float(self.scale))

    def forward(self, images: Tensor) -> Tensor:
        """Returns (X − g)/c of images [B, N_c, H, W]."""
        return (images - self.ground) / self.scale

    def undo(self, standardised: Tensor) -> Tensor:
        """Returns g + c X of standardised images [B, N_c, H, W]."""
        return self.ground + self.scale * standardised
