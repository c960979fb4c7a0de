"""Random streams that belong to one named part of a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Starts PyTorch's global streams at `seed` for the block; after it they go on as if nothing had happened."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Stream:
    """The generators that a step draws from: `host` on the CPU, `device` on the device that trains.

    None stands for PyTorch's global stream.
    """

    host: torch.Generator | None = None
    device: torch.Generator | None = None

    @classmethod
    def starting(cls, seed: int, device: torch.device) -> Stream:
        """Returns a stream of the numbers that `seeded` with the same seed gives, apart from the global streams."""
        host = torch.Generator().manual_seed(seed)
        return cls(host, host if device.type == "cpu" else torch.Generator(device).manual_seed(seed))
