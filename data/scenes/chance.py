"""Chance for what the project draws itself: whole numbers from a stream that is the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

AT_A_TIME = 64
Thing = TypeVar("Thing")


def _raw(seed: int) -> Iterator[int]:
    bits = np.random.PCG64(seed)
    while True:
        yield from bits.random_raw(AT_A_TIME).tolist()


class Chance:
    """Draws from the raw stream of PCG64, which NumPy promises for ever (NEP 19).

    Remainders of 64-bit numbers are uneven by less than one in 10^17 for the small ranges that are drawn from here.
    """

    def __init__(self, seed: int) -> None:
        self._numbers = _raw(seed)

    def below(self, count: int) -> int:
        """One of 0 … count − 1; ZeroDivisionError where there is none."""
        return next(self._numbers) % count

    def between(self, least: int, most: int) -> int:
        """One of least … most."""
        return least + self.below(most - least + 1)

    def one(self, things: Sequence[Thing]) -> Thing:
        """One of them."""
        return things[self.below(len(things))]

    def some(self, things: Sequence[Thing], count: int) -> list[Thing]:
        """So many of them, none twice, in a random order."""
        left = list(things)
        return [left.pop(self.below(len(left))) for _ in range(count)]
