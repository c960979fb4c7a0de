"""Seeds and random orders that are the same on every machine, whatever ran before."""

from __future__ import annotations

import hashlib
import json

import numpy as np


def seed_of(purpose: str, /, **axes: str | int | float | bool | None) -> int:
    """Returns a seed in [0, 2^63) that depends on its purpose and its named axes alone, such as dataset or repetition.

    The order of the axes does not matter; 1 and 1.0 are different values. Raises TypeError or ValueError for a value
    that is not a plain, finite one.
    """
    text = json.dumps([purpose, axes], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def shuffled(count: int, seed: int) -> np.ndarray:
    """Returns the numbers 0 … `count` − 1 in a random order, int64 [count].

    The raw 64-bit stream of PCG64 is sorted: NumPy promises never to change that stream (NEP 19), but makes no such
    promise for `Generator.permutation`.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)
