"""Memory that a training step needs at least, compared with what the device has, before anything is made."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from data.errors import UserError

FLOAT = 4  # bytes of a number
KEPT = 4 * FLOAT  # bytes of a weight: itself, its gradient and the two averages of Adam
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


def memory_of(device: torch.device) -> int:
    """Returns the bytes of memory that a device has in all."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _LIMIT.read_text().strip() if _LIMIT.is_file() else "max"
    return min(machine, int(limit)) if limit.isdecimal() else machine


def check_memory(device: torch.device, weights: int, values: int, images: int) -> int:
    """Refuses a step that cannot be in memory; returns the bytes that it needs at least.

    Args:
        device: where it is to be.
        weights: of the networks.
        values: that each image has in the networks' layers, at least.
        images: in the step.

    Raises:
        UserError: even what is known to be needed is more than the device has.
    """
    needed, there = weights * KEPT + images * values * FLOAT, memory_of(device)
    if needed > there:
        raise UserError(
            f"a step of {images:,} images with {weights:,} weights needs {needed / 2**30:,.1f} GiB of memory at least, "
            f"and this device has {there / 2**30:,.1f} GiB: make batches, or the networks, smaller"
        )
    return needed


def size_of(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the number of weights of a network on the device "meta", and of the values of an image and its maps.

    Nothing is computed and nothing is in memory: that device has shapes alone.
    """
    values = math.prod(shape)

    def count(_layer: nn.Module, _inputs: tuple[Tensor, ...], outputs: Tensor) -> None:
        nonlocal values
        values += outputs.numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    network.eval()(torch.empty(1, *shape, device="meta"))
    return sum(parameter.numel() for parameter in network.parameters()), values
