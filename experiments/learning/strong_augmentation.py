"""Strong random changes, in the manner of RandAugment (Cubuk et al. 2020) with Cutout (DeVries & Taylor 2017).

`fixmatch` and `freematch` ask a network to say of a strongly changed image what it says of a weakly changed one. All is
done to a whole batch at once: one affine map of each image, one change of its values, and one square cut out of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TURN, SHEAR, MOVE = 30.0, 0.3, 0.3  # degrees, ratio of the sides, and share of the side, at most, either way
CONTRAST = 0.9  # contrast and brightness are multiplied by 1 ± so much at most, as in RandAugment
FEWEST_BITS = 4  # of a value after posterising
CUT = 0.5  # share of the side that is cut out, at most


def strongly_changed(images: Tensor) -> Tensor:
    """Returns images [b, N_c, H, W] in [0, 1], changed by numbers from PyTorch's current stream."""
    return cut_out(values_changed(moved(images)))


def _spread(count: int, device: torch.device) -> Tensor:
    """Draws `count` numbers evenly from [−1, 1), but half of them are 0: a change is made half of the time."""
    drawn = 2 * torch.rand(count, device=device) - 1
    return drawn * (torch.rand(count, device=device) < 0.5)


def moved(images: Tensor) -> Tensor:
    """Turns, shears and shifts each image, in one bilinear interpolation; borders bring in zeros."""
    count, _, height, width = images.shape
    turn, across, down, right, below = (_spread(count, images.device) for _ in range(5))
    angle, ratio = math.radians(TURN) * turn, height / width
    cos, sin = angle.cos(), angle.sin()
    # The turn after the shears, written out; affine_grid's sides are from −1 to 1 each, so a turn needs their ratio.
    over, under = SHEAR * across, SHEAR * down
    rows = torch.stack(
        [
            torch.stack([cos - sin * under, (cos * over - sin) * ratio, 2 * MOVE * right], 1),
            torch.stack([(sin + cos * under) / ratio, sin * over + cos, 2 * MOVE * below], 1),
        ],
        1,
    )
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def values_changed(images: Tensor) -> Tensor:
    """Makes one change of each image's values, or none: contrast, brightness, blur or fewer grey levels."""
    count, device = len(images), images.device
    factor = (1 + CONTRAST * (2 * torch.rand(count, device=device) - 1))[:, None, None, None]
    bits = torch.randint(FEWEST_BITS, 9, (count, 1, 1, 1), device=device)
    mean = images.mean((1, 2, 3), keepdim=True)
    levels = 2.0**bits
    choices = torch.stack(
        [
            images,
            mean + factor * (images - mean),
            factor * images,
            F.avg_pool2d(images, 3, 1, 1, count_include_pad=False),
            ((images * levels).floor() / (levels - 1)),
        ]
    )
    chosen = torch.randint(len(choices), (count,), device=device)
    return choices[chosen, torch.arange(count, device=device)].clamp(0, 1)


def cut_out(images: Tensor) -> Tensor:
    """Sets a square of each image to mid-grey: its centre anywhere, its side from 0 to `CUT` of the image's."""
    count, _, height, width = images.shape
    share, y, x = torch.rand(3, count, 1, 1, device=images.device)
    rows = torch.arange(height, device=images.device)[:, None] + 0.5
    columns = torch.arange(width, device=images.device) + 0.5
    inside = ((rows - y * height).abs() < CUT * share * height / 2) & (
        (columns - x * width).abs() < CUT * share * width / 2
    )
    return torch.where(inside[:, None], 0.5, images)
