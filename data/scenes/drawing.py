"""Draws plain shapes on a plain ground with whole numbers alone, so that the bytes are the same on every machine.

Lengths are in units of an eighth of a pixel, from the upper left corner of the picture. How much of a pixel a shape
covers is measured by 4 × 4 samples within the pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

SIDE = 32  # pixels
UNIT = 8  # units a pixel
WIDTH = SIDE * UNIT  # units
SAMPLES = 4  # along each side of a pixel
ONE = 4096  # stands for the number 1 in rotations
TURNS = ((4074, -428), (4096, 0), (4074, 428))  # cosine, sine of −6°, 0°, 6°; times ONE


@dataclass(frozen=True, slots=True)
class Mark:
    """A shape to be drawn: its centre and radius in units, the number of its turn in TURNS, and red, green, blue."""

    shape: str
    x: int
    y: int
    radius: int
    turn: int
    paint: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Ground:
    """What shapes are drawn on: red, green and blue at the upper left, and what is added towards the right and down."""

    paint: tuple[int, int, int]
    right: int
    down: int


def extent(radius: int) -> int:
    """Returns how far a shape of that radius reaches from its centre at most, along x or y, in units."""
    return (9 * radius + 7) // 8


# These say whether a point (u, v), v downwards, is in a shape of that radius around (0, 0); all are multiplied by ONE.


def _circle(u: np.ndarray, v: np.ndarray, radius: int) -> np.ndarray:
    return u * u + v * v <= radius * radius


def _square(u: np.ndarray, v: np.ndarray, radius: int) -> np.ndarray:
    """The sides are 8/5 of the radius long."""
    return 5 * np.maximum(abs(u), abs(v)) <= 4 * radius


def _triangle(u: np.ndarray, v: np.ndarray, radius: int) -> np.ndarray:
    """An equilateral triangle on its base, its corners 9/8 of the radius away; 97/56 stands for the root of 3."""
    return (16 * v <= 9 * radius) & (8 * (97 * abs(u) - 56 * v) <= 504 * radius)


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
}


def draw(ground: Ground, marks: Iterable[Mark]) -> np.ndarray:
    """Returns a picture, uint8 [32, 32, 3]. Marks are drawn in their order and must lie within it."""
    along = np.arange(SIDE, dtype=np.int64)
    rise = (ground.right * along[None, :] + ground.down * along[:, None]) // SIDE
    picture = np.array(ground.paint, dtype=np.int64) + rise[:, :, None]
    for mark in marks:
        _draw(picture, mark)
    return picture.astype(np.uint8)


def _draw(picture: np.ndarray, mark: Mark) -> None:
    """Draws one shape into int64 [32, 32, 3]. Only the window around it is changed."""
    reach = extent(mark.radius)
    rows, columns = (slice((at - reach) // UNIT, (at + reach) // UNIT + 1) for at in (mark.y, mark.x))
    covered = _covered(mark, rows, columns)[:, :, None]
    whole = SAMPLES * SAMPLES
    paint = np.array(mark.paint, dtype=np.int64)
    picture[rows, columns] = (picture[rows, columns] * (whole - covered) + paint * covered + whole // 2) // whole


def _covered(mark: Mark, rows: slice, columns: slice) -> np.ndarray:
    """Returns how many samples of each pixel of a window are in the shape, int64 [rows, columns]."""
    y, x = (_samples(pixels) - at for pixels, at in ((rows, mark.y), (columns, mark.x)))
    cosine, sine = TURNS[mark.turn]
    u = cosine * x[None, :] + sine * y[:, None]
    v = cosine * y[:, None] - sine * x[None, :]
    inside = SHAPES[mark.shape](u, v, ONE * mark.radius)
    return inside.reshape(len(y) // SAMPLES, SAMPLES, len(x) // SAMPLES, SAMPLES).sum(axis=(1, 3), dtype=np.int64)


def _samples(pixels: slice) -> np.ndarray:
    """Returns the coordinates of the samples of a range of pixels along one axis, in units."""
    step = UNIT // SAMPLES
    return step * np.arange(pixels.start * SAMPLES, pixels.stop * SAMPLES, dtype=np.int64) + step // 2
