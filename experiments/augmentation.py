"""Random changes to training images that leave their label as it is; the same for every system."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(images: Tensor, offsets: Tensor, shift: int) -> Tensor:
    """Images [b, N_c, H, W] moved by offsets [b, 2] (up, left) − `shift` pixels; zeros move in.

    Offsets are integers in 0 … 2·shift, so `shift` itself leaves an image where it is.
    """
    height, width = images.shape[2:]
    windows = F.pad(images, [shift] * 4).unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, offsets[:, 0], offsets[:, 1]]
