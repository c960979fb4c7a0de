"""Random changes to training images that leave their label as it is; the same for every system."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Changes:
    """What was drawn for each of b images, evenly from [0, 1): `moves` [4, b]; `mirror` [b] and `crop` [3, b] where
    images are mirrored and cropped."""

    moves: Tensor
    mirror: Tensor | None = None
    crop: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Changes]) -> Changes:
        """Those of several batches, one behind another."""

        def join(values: Sequence[Any]) -> Tensor | None:
            return None if values[0] is None else torch.cat(values, -1)

        return cls(*(join([getattr(part, name) for part in parts]) for name in ("moves", "mirror", "crop")))


class Augmentation(BaseModel):
    """The settings of it that every system has: how far a training image may be changed, either way."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: float = Field(ge=0, le=16, description="pixels by which a training image is moved at most")
    rotation: float = Field(ge=0, le=180, description="degrees by which it is turned at most")
    zoom: float = Field(ge=0, lt=1, description="share of its size by which it is zoomed at most")
    flip: bool = Field(False, description="whether it is mirrored left to right half of the time")
    crop: float = Field(0.0, ge=0, lt=1, description="share of its side that it may lose to a random crop")

    def augmented(self, images: Tensor) -> Tensor:
        """Images [b, N_c, H, W] changed by what is drawn from PyTorch's current stream."""
        return self.changed(images, self.drawn(len(images), images.device))

    def drawn(self, count: int, device: torch.device, stream: torch.Generator | None = None) -> Changes | None:
        """What so many images are changed by, drawn from the stream, or else from PyTorch's current one; None where
        nothing is to be changed."""
        if not (self.shift or self.rotation or self.zoom or self.flip or self.crop):
            return None
        options: dict[str, Any] = {"device": device} if stream is None else {"device": device, "generator": stream}
        return Changes(
            torch.rand(4, count, **options),
            torch.rand(count, **options) if self.flip else None,
            torch.rand(3, count, **options) if self.crop else None,
        )

    def changed(self, images: Tensor, changes: Changes | None) -> Tensor:
        """Images [b, N_c, H, W], each cropped, mirrored, then moved, turned and zoomed about its centre, by what was
        drawn for it; read off bilinearly, once. Moving, turning and zooming let zeros come in at the borders, a crop
        does not: it is read back at full size."""
        if changes is None:
            return images
        _, _, height, width = images.shape
        amounts = 2 * changes.moves - 1
        angle, zoom = math.radians(self.rotation) * amounts[0], 1 + self.zoom * amounts[1]
        # affine_grid counts from −1 to 1 on either side, so a square grid's pixel is 2 / side.
        across, down = (2 * self.shift / side * amounts[i] for side, i in ((width, 2), (height, 3)))
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        ratio = height / width
        rows = [torch.stack([cos, -sin * ratio, across], 1), torch.stack([sin / ratio, cos, down], 1)]
        # The grid says where each value is read, so what is done to the image first comes last here.
        if changes.mirror is not None:
            rows[0] = rows[0] * torch.where(changes.mirror < 0.5, -1.0, 1.0)[:, None]
        if changes.crop is not None:
            share, *places = changes.crop
            rows = [_cropped(*each, 1 - self.crop * share) for each in zip(rows, (width, height), places, strict=True)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)


def _cropped(row: Tensor, side: int, place: Tensor, share: Tensor) -> Tensor:
    """A row [b, 3] of affine maps that then reads a `share` of a side of so many pixels only, at `place` in [0, 1].

    From the centre of the first pixel to that of the last: beyond them bilinear reading would mix in zeros.
    """
    offset = (2 * place - 1) * (1 - share) * (1 - 1 / side)
    return row * share[:, None] + F.pad(offset[:, None], (2, 0))
