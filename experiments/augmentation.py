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
    flip: bool = Field(False, description="whether it is mirrored left to right half of the time")
    crop: float = Field(0.0, ge=0, lt=1, description="share of its side that it may lose to a random crop")

    def augmented(self, images: Tensor) -> Tensor:
        """Images [b, N_c, H, W], each cropped, mirrored, then moved, turned and zoomed about its centre, by amounts
        drawn evenly from PyTorch's current stream; read off bilinearly, once. Moving, turning and zooming let zeros
        come in at the borders, a crop does not: it is read back at full size."""
        if not (self.shift or self.rotation or self.zoom or self.flip or self.crop):
            return images
        count, _, height, width = images.shape
        amounts = 2 * torch.rand(4, count, device=images.device) - 1
        angle, zoom = math.radians(self.rotation) * amounts[0], 1 + self.zoom * amounts[1]
        # affine_grid counts from −1 to 1 on either side, so a square grid's pixel is 2 / side.
        across, down = (2 * self.shift / side * amounts[i] for side, i in ((width, 2), (height, 3)))
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        ratio = height / width
        rows = [torch.stack([cos, -sin * ratio, across], 1), torch.stack([sin / ratio, cos, down], 1)]
        # The grid says where each value is read, so what is done to the image first comes last here.
        if self.flip:
            rows[0] = rows[0] * torch.where(torch.rand(count, device=images.device) < 0.5, -1.0, 1.0)[:, None]
        if self.crop:
            share, *places = torch.rand(3, count, device=images.device)
            rows = [_cropped(*each, 1 - self.crop * share) for each in zip(rows, (width, height), places, strict=True)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)


def _cropped(row: Tensor, side: int, place: Tensor, share: Tensor) -> Tensor:
    """A row [b, 3] of affine maps that then reads a `share` of a side of so many pixels only, at `place` in [0, 1].

    From the centre of the first pixel to that of the last: beyond them bilinear reading would mix in zeros.
    """
    offset = (2 * place - 1) * (1 - share) * (1 - 1 / side)
    return row * share[:, None] + F.pad(offset[:, None], (2, 0))
