"""Test images with what is said of them, ready to be shown: sizes, marked words, a grid of systems and proportions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.inputs.captions import Captions, Described, Saying
from reports.names import Name

SIDE = 192  # pixels of a page that an image may be wide and high
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


@dataclass(frozen=True)
class Shown:
    """One image: its size on the page, `crisp` where its pixels are enlarged, and by system and proportion what is
    said, in parts that are each in a reference or `strange`."""

    image: Described
    uri: str
    width: int
    height: int
    crisp: bool
    said: Mapping[tuple[str, float], Said]


@dataclass(frozen=True)
class Said:
    """One text in parts, each with whether it is a word that no reference has; `exact` where it is a reference."""

    saying: Saying
    parts: Sequence[tuple[str, bool]]
    exact: bool


def show(image: Described, uri: str, png: bytes) -> Shown:
    """The image ready to be shown: enlarged by a whole number where it is small."""
    wide, high = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
    times = max(1, SIDE // max(wide, high, 1))
    shrink = min(1.0, SIDE / (max(wide, high, 1) * times))
    size = (round(side * times * shrink) for side in (wide, high))
    said = {(saying.system, saying.proportion): _said(saying, image.references) for saying in image.said}
    return Shown(image, uri, *size, crisp=times > 1, said=said)


def words(text: str) -> list[str]:
    """The words of a caption, lower case and without punctuation, as captions are scored."""
    return [_plain(word) for word in _WORD.findall(text)]


def parts(text: str, references: Iterable[str]) -> list[tuple[str, bool]]:
    """The text, cut so that each word that is in no reference is a part by itself, marked True."""
    known = {word for reference in references for word in words(reference)}
    found, end = [("", False)], 0
    for match in _WORD.finditer(text):
        if _plain(match[0]) not in known:
            found += [(text[end : match.start()], False), (match[0], True)]
            end = match.end()
    return [(part, strange) for part, strange in [*found, (text[end:], False)] if part]


def systems_shown(captions: Captions, names: Mapping[str, Name]) -> list[Name]:
    """The systems that say something, in their order."""
    saying = {said.system for image in captions.images for said in image.said}
    return [name for system, name in names.items() if system in saying]


def proportions_shown(captions: Captions) -> list[float]:
    """The proportions at which something is said, ascending."""
    return sorted({said.proportion for image in captions.images for said in image.said})


def _said(saying: Saying, references: Sequence[str]) -> Said:
    exact = words(saying.text) in [words(reference) for reference in references]
    return Said(saying, parts(saying.text, references), exact)


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")
