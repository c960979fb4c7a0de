"""The captions of a scene: all five wordings of its kind, in a random order that is the scene's own.

A scene has all five wordings as references, and there is one word for each thing. So any true caption in one of these
wordings equals a reference, and a BLEU-4 of 1 can be reached. A lower score means that a picture was misread, not
that the system chose another good wording. Every caption names colour and shape; not every one names size or place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from data.scenes.chance import Chance

SIZES = {True: "large", False: "small"}
NUMBERS = {2: "two", 3: "three", 4: "four"}
PLACES = {  # by row and column of thirds of the picture
    (0, 0): "in the top left",
    (0, 1): "at the top",
    (0, 2): "in the top right",
    (1, 0): "on the left",
    (1, 1): "in the middle",
    (1, 2): "on the right",
    (2, 0): "in the bottom left",
    (2, 1): "at the bottom",
    (2, 2): "in the bottom right",
}
BESIDE = {
    "right": ("to the left of", "to the right of"),
    "down": ("above", "below"),
}  # first to second object, and second to first

# `{full}` is an object with its size, `{short}` without; `{place}` where it is.
OF_ONE = (
    "{full} {place}",
    "there is {full} {place}",
    "{place} there is {full}",
    "{short} {place}",
    "a picture of {full}",
)
# `{full}` is the object on the left or above, `{other}` the second one, `{short}` and `{other_short}` the same without
# sizes; `{relation}` is where the first is, seen from the second, `{inverse}` the reverse.
OF_TWO = (
    "{full} {relation} {other}",
    "{other} {inverse} {full}",
    "there is {short} {relation} {other_short}",
    "{short} {relation} {other_short}",
    "a picture of {full} and {other}",
)
# `{full}` are several objects with their size, `{short}` without.
OF_SEVERAL = (
    "{full}",
    "there are {full}",
    "a picture of {full}",
    "{short}",
    "there are {short}",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """The shape, colour and size of an object."""

    shape: str
    colour: str
    large: bool


def of_one(kind: Kind, place: tuple[int, int], chance: Chance) -> tuple[str, ...]:
    """Returns the captions of one object in that row and column of thirds of the picture."""
    return _captions(OF_ONE, chance, place=PLACES[place], full=_full(kind), short=_short(kind))


def of_two(first: Kind, second: Kind, direction: str, chance: Chance) -> tuple[str, ...]:
    """Returns the captions of two objects, of which the second is further in that direction, right or down."""
    relation, inverse = BESIDE[direction]
    return _captions(
        OF_TWO,
        chance,
        relation=relation,
        inverse=inverse,
        full=_full(first),
        other=_full(second),
        short=_short(first),
        other_short=_short(second),
    )


def of_several(kind: Kind, count: int, chance: Chance) -> tuple[str, ...]:
    """Returns the captions of two to four objects that are alike."""
    short = f"{kind.colour} {kind.shape}s"
    full = f"{NUMBERS[count]} {SIZES[kind.large]} {short}"
    return _captions(OF_SEVERAL, chance, full=full, short=f"{NUMBERS[count]} {short}")


def _captions(templates: Sequence[str], chance: Chance, **words: str) -> tuple[str, ...]:
    return tuple(template.format(**words) for template in chance.some(templates, len(templates)))


def _full(kind: Kind) -> str:
    return f"a {SIZES[kind.large]} {kind.colour} {kind.shape}"


def _short(kind: Kind) -> str:
    return f"a {kind.colour} {kind.shape}"
