"""What can truly be said of a scene: five captions of each, worded differently.

Colour and shape are always said, size not always; the words come from the scene's own chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from data.chance import Chance

CAPTIONS = 5  # of each scene
SIZES = {True: ("large", "big"), False: ("small", "little")}
NUMBERS = {2: "two", 3: "three", 4: "four"}
PLURALS = {"circle": "circles", "square": "squares", "triangle": "triangles", "cross": "crosses", "ring": "rings"}
PLACES = {  # by row and column of thirds of the picture
    (0, 0): ("in the top left", "in the top left corner"),
    (0, 1): ("at the top",),
    (0, 2): ("in the top right", "in the top right corner"),
    (1, 0): ("on the left", "on the left side"),
    (1, 1): ("in the middle", "in the centre"),
    (1, 2): ("on the right", "on the right side"),
    (2, 0): ("in the bottom left", "in the bottom left corner"),
    (2, 1): ("at the bottom",),
    (2, 2): ("in the bottom right", "in the bottom right corner"),
}
BESIDE = {"right": ("to the left of", "to the right of"), "down": ("above", "below")}  # and the other way round

# `{full}` is an object with its size, `{short}` without; `{place}` where it is.
OF_ONE = (
    "{full} {place}",
    "there is {full} {place}",
    "a picture of {full} {place}",
    "{place} there is {full}",
    "{short} {place}",
    "{short} is {place}",
    "a picture with {full}",
)
# `{full}` and `{short}` stand to `{other}` and `{other_short}` as `{relation}` says.
OF_TWO = (
    "{full} {relation} {other}",
    "there is {full} {relation} {other}",
    "a picture of {full} {relation} {other}",
    "{full} is {relation} {other}",
    "{short} {relation} {other_short}",
    "there is {short} {relation} {other_short}",
    "a picture with {short} and {other_short}",
)
# `{full}` are several objects with their size, `{short}` without.
OF_SEVERAL = (
    "{full}",
    "there are {full}",
    "a picture of {full}",
    "a picture with {full}",
    "{short}",
    "there are {short}",
    "a picture of {short}",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an object is called by."""

    shape: str
    colour: str
    large: bool


def of_one(kind: Kind, place: tuple[int, int], chance: Chance) -> tuple[str, ...]:
    """Captions of one object, in that row and column of thirds of the picture."""

    def filled(template: str) -> str:
        return template.format(place=chance.one(PLACES[place]), full=_full(kind, chance), short=_short(kind))

    return _captions(OF_ONE, filled, chance)


def of_two(first: Kind, second: Kind, direction: str, chance: Chance) -> tuple[str, ...]:
    """Captions of two objects, the second further in that direction, right or down."""

    def filled(template: str) -> str:
        turned = chance.below(2)
        one, other = (second, first) if turned else (first, second)
        return template.format(
            relation=BESIDE[direction][turned],
            full=_full(one, chance),
            other=_full(other, chance),
            short=_short(one),
            other_short=_short(other),
        )

    return _captions(OF_TWO, filled, chance)


def of_several(kind: Kind, count: int, chance: Chance) -> tuple[str, ...]:
    """Captions of two to four objects that are alike."""

    def filled(template: str) -> str:
        short = f"{kind.colour} {PLURALS[kind.shape]}"
        full = f"{NUMBERS[count]} {chance.one(SIZES[kind.large])} {short}"
        return template.format(full=full, short=f"{NUMBERS[count]} {short}")

    return _captions(OF_SEVERAL, filled, chance)


def _captions(templates: Sequence[str], filled: Callable[[str], str], chance: Chance) -> tuple[str, ...]:
    return tuple(filled(template) for template in chance.some(templates, CAPTIONS))


def _full(kind: Kind, chance: Chance) -> str:
    return f"a {chance.one(SIZES[kind.large])} {kind.colour} {kind.shape}"


def _short(kind: Kind) -> str:
    article = "an" if kind.colour[0] in "aeiou" else "a"
    return f"{article} {kind.colour} {kind.shape}"
