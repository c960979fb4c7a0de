"""Seeds and random orders that are the same on every machine, whatever ran before them."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def seed_of(purpose: str, /, **axes: str | int | float | bool | None) -> int:
    """A seed in [0, 2^63) that depends on its name and its named axes alone.

    The order in which axes are given does not matter; 1 and 1.0 are different values of an axis.
    Raises TypeError or ValueError for an axis that is not a plain, finite value.
    """
    text = json.dumps([purpose, axes], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def shuffled(count: int, seed: int) -> np.ndarray:
    """The numbers 0 … count − 1 in a random order, int64 [count].

    Sorts the raw 64-bit stream of PCG64: NumPy promises that stream for ever (NEP 19), which it does
    not for `Generator.permutation`.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)
