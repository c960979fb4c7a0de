"""Random changes to training images that leave their label as it is; the same for every system."""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


class Augmentation(BaseModel):
    """The settings of it that every system has: how far a training image may be changed, either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: float = Field(ge=0, le=16, description="pixels by which a training image is moved at most")
    rotation: float = Field(ge=0, le=180, description="degrees by which it is turned at most")
    zoom: float = Field(ge=0, lt=1, description="share of its size by which it is zoomed at most")

    def augmented(self, images: Tensor) -> Tensor:
        """Images [b, N_c, H, W], each moved, turned and zoomed about its centre by amounts drawn evenly from
        PyTorch's current stream, read off bilinearly; zeros come in at the borders."""
        if not (self.shift or self.rotation or self.zoom):
            return images
        count, _, height, width = images.shape
        amounts = 2 * torch.rand(4, count, device=images.device) - 1
        angle, zoom = math.radians(self.rotation) * amounts[0], 1 + self.zoom * amounts[1]
        # affine_grid counts from −1 to 1 on either side, so a square grid's pixel is 2 / side.
        across, down = (2 * self.shift / side * amounts[i] for side, i in ((width, 2), (height, 3)))
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        ratio = height / width
        rows = [torch.stack([cos, -sin * ratio, across], 1), torch.stack([sin / ratio, cos, down], 1)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)
