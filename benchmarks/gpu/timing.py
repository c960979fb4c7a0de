"""Timing on a device, and the two rates that a device can reach at most: of a large product, and of a copy."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache

import torch

from experiments.learning.device import now

Steps = Callable[[], object]
# The arithmetic of products by name: the type of their factors, and whether float32 is rounded to TF32.
ARITHMETICS: dict[str, tuple[torch.dtype | None, bool]] = {
    "float32": (None, False),
    "tf32": (None, True),
    "bfloat16": (torch.bfloat16, False),
}
SIDE = {"cuda": 8192, "cpu": 1024}  # of the large product's square factors
COPIED = {"cuda": 2**32, "cpu": 2**28}  # bytes


def seconds_of(run: Steps, device: torch.device, repeats: int) -> float:
    """Returns the mean wall time of a call."""
    start = now(device)
    for _ in range(repeats):
        run()
    return (now(device) - start) / repeats


def timed(runs: Mapping[str, Steps], device: torch.device, seconds: float, rounds: int = 3) -> dict[str, float]:
    """Returns the median time of a call of each, timed in turn.

    Args:
        runs: by name.
        device: where they run.
        seconds: that the measurement of each takes, about; a call that takes longer is timed once a round.
        rounds: how often each is timed.
    """
    repeats = {}
    for name, run in runs.items():
        run()  # allocates memory, and chooses algorithms
        repeats[name] = max(1, int(seconds / rounds / max(seconds_of(run, device, 1), 1e-6)))
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(seconds_of(run, device, repeats[name]))
    return {name: statistics.median(times) for name, times in found.items()}


def arithmetics(device: torch.device) -> list[str]:
    """Returns the arithmetics that a device has."""
    return [name for name, (_, tf32) in ARITHMETICS.items() if not tf32 or device.type == "cuda"]


@contextmanager
def multiplying_in(arithmetic: str) -> Iterator[None]:
    """Lets float32 products round their factors to TF32 for the block, where the arithmetic is that."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if ARITHMETICS[arithmetic][1] else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def product_rate(device: torch.device, arithmetic: str) -> float:
    """Returns the floating-point operations a second of a large product of square matrices."""
    side, kind = SIDE[device.type], ARITHMETICS[arithmetic][0] or torch.float32
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    with multiplying_in(arithmetic):
        return 2 * side**3 / timed({"product": lambda: left @ right}, device, 0.5)["product"]


@cache
def copy_rate(device: torch.device) -> float:
    """Returns the bytes a second that a large copy within the device's memory reads and writes, together."""
    size = COPIED[device.type]
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / timed({"copy": lambda: target.copy_(source)}, device, 0.5)["copy"]
