"""Scenes of a few plain objects: one at a named place, two beside each other, or several that are alike.

Scene i depends on i alone, so the first n scenes are the same however many are made. Positions and lengths are in
units of an eighth of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.scenes.chance import Chance
from data.scenes.drawing import SHAPES, TURNS, UNIT, WIDTH, Ground, Mark, draw, extent
from data.scenes.wording import Kind, of_one, of_several, of_two
from data.seeds import seed_of

VERSION = 1  # of drawings and captions; raised whenever either changes, so that older images are made again
COLOURS = {
    "red": (215, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 85, 220),
    "yellow": (235, 210, 45),
}
LIGHTER = 12  # how much lighter or darker red, green and blue may be, at most
GROUNDS = ((25, 60),)  # the least and the most grey of each kind of ground: all are dark
TINT, SLOPE = 6, 10  # how far from grey a ground may be, and how much it may change from one side to the other
RADII = {False: (30, 33), True: (48, 52)}  # the least and the most for small (False) and large (True) objects, units
EDGE = UNIT // 2  # the least distance of an object from the edge of the picture, units
APART = 3 * UNIT // 4  # the least distance of an object from the border of its cell, where there is room, units
ASIDE = 10  # how far two objects beside each other may be off their common line, units
THIRDS = ((0, 78), (108, 148), (178, WIDTH))  # ranges for the centre of an object at a named place, units
KINDS = ("one", "one", "two", "two", "several")  # kinds of scenes, as often as they are drawn


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture that has not been drawn yet, and its captions."""

    ground: Ground
    marks: tuple[Mark, ...]
    captions: tuple[str, ...]

    def drawn(self) -> np.ndarray:
        """Returns the picture, uint8 [32, 32, 3]."""
        return draw(self.ground, self.marks)


def scene(number: int) -> Scene:
    """Returns scene `number`, counted from 0."""
    chance = Chance(seed_of("scene", number=number))
    ground = _ground(chance)
    marks, captions = {"one": _one, "two": _two, "several": _several}[chance.one(KINDS)](chance)
    return Scene(ground, tuple(marks), captions)


def _ground(chance: Chance) -> Ground:
    """Draws a dark ground by chance."""
    grey = chance.between(*chance.one(GROUNDS))
    red, green, blue = (grey + chance.between(-TINT, TINT) for _ in range(3))
    return Ground((red, green, blue), chance.between(-SLOPE, SLOPE), chance.between(-SLOPE, SLOPE))


def _kind(chance: Chance) -> Kind:
    return Kind(chance.one(list(SHAPES)), chance.one(list(COLOURS)), chance.below(2) == 1)


def _radius(kind: Kind, chance: Chance) -> int:
    return chance.between(*RADII[kind.large])


def _mark(kind: Kind, x: int, y: int, radius: int, chance: Chance) -> Mark:
    turn = chance.below(len(TURNS))
    red, green, blue = (min(255, part + chance.between(-LIGHTER, LIGHTER)) for part in COLOURS[kind.colour])
    return Mark(kind.shape, x, y, radius, turn, (red, green, blue))


def _one(chance: Chance) -> tuple[list[Mark], tuple[str, ...]]:
    """Composes an object at one of nine named places."""
    kind = _kind(chance)
    radius = _radius(kind, chance)
    row, column = chance.below(3), chance.below(3)
    room = extent(radius) + EDGE
    x, y = (chance.between(max(THIRDS[third][0], room), min(THIRDS[third][1], WIDTH - room)) for third in (column, row))
    return [_mark(kind, x, y, radius, chance)], of_one(kind, (row, column), chance)


def _two(chance: Chance) -> tuple[list[Mark], tuple[str, ...]]:
    """Composes two objects that differ in colour, shape or both, side by side or one above the other."""
    first = _kind(chance)
    second = _kind(chance)
    while (second.shape, second.colour) == (first.shape, first.colour):
        second = _kind(chance)
    direction = chance.one(("right", "down"))
    radii = [_radius(kind, chance) for kind in (first, second)]
    reach = max(map(extent, radii)) + EDGE + ASIDE
    line = chance.between(reach, WIDTH - reach)
    marks = []
    for kind, radius, start in zip((first, second), radii, (0, WIDTH // 2), strict=True):
        along = _within(start, WIDTH // 2, radius, chance)
        across = line + chance.between(-ASIDE, ASIDE)
        x, y = (along, across) if direction == "right" else (across, along)
        marks.append(_mark(kind, x, y, radius, chance))
    return marks, of_two(first, second, direction, chance)


def _several(chance: Chance) -> tuple[list[Mark], tuple[str, ...]]:
    """Composes two to four objects that are alike, each in a cell of its own: of 2 × 2 if large, of 3 × 3 if small."""
    kind = _kind(chance)
    count = chance.between(2, 4)
    cells = 2 if kind.large else 3
    marks = []
    for cell in chance.some(range(cells * cells), count):
        radius = _radius(kind, chance)
        x, y = (_within(WIDTH * at // cells, WIDTH // cells, radius, chance) for at in (cell % cells, cell // cells))
        marks.append(_mark(kind, x, y, radius, chance))
    return marks, of_several(kind, count, chance)


def _within(start: int, width: int, radius: int, chance: Chance) -> int:
    """Draws a coordinate for the centre of an object that stays apart from both ends of a cell."""
    room = extent(radius) + min(APART, width // 2 - extent(radius))
    return chance.between(start + room, start + width - room)
