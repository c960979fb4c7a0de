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
    """The random numbers that b images are changed by, drawn evenly from [0, 1).

    Attributes:
        moves: [4, b], for rotation, zoom, and shifts across and down.
        mirror: [b]; None where images are not mirrored.
        crop: [3, b], for size and place; None where images are not cropped.
    """

    moves: Tensor
    mirror: Tensor | None = None
    crop: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Changes]) -> Changes:
        """Returns the numbers of several batches of the same settings, one after another."""

        def join(values: Sequence[Tensor | None]) -> Tensor | None:
            tensors = [value for value in values if value is not None]
            return torch.cat(tensors, -1) if tensors else None

        return cls(
            torch.cat([part.moves for part in parts], -1),
            join([part.mirror for part in parts]),
            join([part.crop for part in parts]),
        )


class Augmentation(BaseModel):
    """The settings of augmentation, which every system has: how far a training image may be changed, either way."""

    # Strict: true is no 1, and "3" is no number.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    shift: float = Field(ge=0, le=16, description="pixels by which a training image is moved at most")
    rotation: float = Field(ge=0, le=180, description="degrees by which it is turned at most")
    zoom: float = Field(ge=0, lt=1, description="share of its size by which it is zoomed at most")
    flip: bool = Field(False, description="whether it is mirrored left to right half of the time")
    crop: float = Field(0.0, ge=0, lt=1, description="share of its side that it may lose to a random crop")

    def augmented(self, images: Tensor) -> Tensor:
        """Returns images [b, N_c, H, W], changed by numbers from PyTorch's current stream."""
        return self.changed(images, self.drawn(len(images), images.device))

    def drawn(self, count: int, device: torch.device, stream: torch.Generator | None = None) -> Changes | None:
        """Draws the numbers that `count` images are changed by, from `stream`, or else from PyTorch's current stream.

        Returns None where the settings change nothing.
        """
        if not (self.shift or self.rotation or self.zoom or self.flip or self.crop):
            return None
        options: dict[str, Any] = {"device": device} if stream is None else {"device": device, "generator": stream}
        return Changes(
            torch.rand(4, count, **options),
            torch.rand(count, **options) if self.flip else None,
            torch.rand(3, count, **options) if self.crop else None,
        )

    def changed(self, images: Tensor, changes: Changes | None) -> Tensor:
        """Returns images [b, N_c, H, W], each changed by the numbers that were drawn for it.

        An image is cropped, mirrored, then shifted, rotated and zoomed about its centre, all in one bilinear
        interpolation. Shift, rotation and zoom bring in zeros at the borders; a crop does not: it is scaled back to
        full size.
        """
        if changes is None:
            return images
        _, _, height, width = images.shape
        amounts = 2 * changes.moves - 1
        angle, zoom = math.radians(self.rotation) * amounts[0], 1 + self.zoom * amounts[1]
        # affine_grid's coordinates go from −1 to 1 along each side, so one pixel is 2 / side.
        across, down = (2 * self.shift / side * amounts[i] for side, i in ((width, 2), (height, 3)))
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        ratio = height / width
        rows = [torch.stack([cos, -sin * ratio, across], 1), torch.stack([sin / ratio, cos, down], 1)]
        # The grid says where each value is read from, so the first change of the image comes last here.
        if changes.mirror is not None:
            rows[0] = rows[0] * torch.where(changes.mirror < 0.5, -1.0, 1.0)[:, None]
        if changes.crop is not None:
            share, *places = changes.crop
            rows = [_cropped(*each, 1 - self.crop * share) for each in zip(rows, (width, height), places, strict=True)]
        grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)


def _cropped(row: Tensor, side: int, place: Tensor, share: Tensor) -> Tensor:
    """Returns a row [b, 3] of affine maps, narrowed to a crop of one side of the image.

    The crop is a `share` of the side's `side` pixels, at `place` in [0, 1]. It stays between the centres of the first
    and the last pixel: beyond them bilinear interpolation would mix in zeros.
    """
    offset = (2 * place - 1) * (1 - share) * (1 - 1 / side)
    return row * share[:, None] + F.pad(offset[:, None], (2, 0))
