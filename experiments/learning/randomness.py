"""Random streams that belong to a named part of a trial alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within it PyTorch's global streams start at `seed`; after it they go on as if nothing had happened."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class Stream:
    """Where numbers are drawn from: `host` on the CPU, `device` on the device that trains; without them from
    PyTorch's global streams."""

    host: torch.Generator | None = None
    device: torch.Generator | None = None

    @classmethod
    def starting(cls, seed: int, device: torch.device) -> Stream:
        """Gives what PyTorch's global streams give within `seeded` of the same seed, and leaves those alone."""
        host = torch.Generator().manual_seed(seed)
        return cls(host, host if device.type == "cpu" else torch.Generator(device).manual_seed(seed))
