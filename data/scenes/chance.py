"""Random whole numbers for drawn scenes, from a stream that is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

AT_A_TIME = 64  # numbers drawn from the generator at once
Thing = TypeVar("Thing")


def _raw(seed: int) -> Iterator[int]:
    """Yields the raw 64-bit numbers of PCG64."""
    bits = np.random.PCG64(seed)
    while True:
        yield from bits.random_raw(AT_A_TIME).tolist()


class Chance:
    """Random draws from the raw stream of PCG64, which NumPy promises never to change (NEP 19).

    A number in a small range is the remainder of a 64-bit number: its probability is off by less than one in 10^17.
    """

    def __init__(self, seed: int) -> None:
        self._numbers = _raw(seed)

    def below(self, count: int) -> int:
        """Draws one of 0 … `count` − 1. Raises ZeroDivisionError where `count` is 0."""
        return next(self._numbers) % count

    def between(self, least: int, most: int) -> int:
        """Draws one of `least` … `most`."""
        return least + self.below(most - least + 1)

    def one(self, things: Sequence[Thing]) -> Thing:
        """Draws one of some things."""
        return things[self.below(len(things))]

    def some(self, things: Sequence[Thing], count: int) -> list[Thing]:
        """Draws `count` of some things, none twice, in a random order."""
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(count)]
