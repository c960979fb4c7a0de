"""Prepares test images and their captions for a page: sizes, marked words, a grid of systems and proportions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.inputs.captions import Caption, CaptionedImage, Captions
from reports.names import Name

SIDE = 192  # the largest width and height of an image on a page, in pixels
_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


@dataclass(frozen=True)
class Example:
    """One image as a page shows it.

    Attributes:
        image: the image with its captions.
        uri: the picture as a data: address.
        width, height: its size on the page, in pixels.
        crisp: whether its pixels are enlarged and must stay sharp.
        captions: the generated ones by (system, proportion).
    """

    image: CaptionedImage
    uri: str
    width: int
    height: int
    crisp: bool
    captions: Mapping[tuple[str, float], MarkedCaption]


@dataclass(frozen=True)
class MarkedCaption:
    """A generated caption compared with the references of its image.

    Attributes:
        caption: the caption as the trial wrote it.
        parts: its text in parts, each with whether it is a word that no reference has.
        exact: whether its words are those of a reference.
    """

    caption: Caption
    parts: Sequence[tuple[str, bool]]
    exact: bool


def example(image: CaptionedImage, uri: str, png: bytes) -> Example:
    """Prepares an image for a page. A small one is enlarged by a whole number."""
    wide, high = (int.from_bytes(png[start : start + 4]) for start in (16, 20))
    times = max(1, SIDE // max(wide, high, 1))
    shrink = min(1.0, SIDE / (max(wide, high, 1) * times))
    width, height = (round(side * times * shrink) for side in (wide, high))
    captions = {(caption.system, caption.proportion): _marked(caption, image.references) for caption in image.said}
    return Example(image, uri, width, height, crisp=times > 1, captions=captions)


def words(text: str) -> list[str]:
    """Cuts a caption into words as it is scored: lower case, without punctuation."""
    return [_plain(word) for word in _WORD.findall(text)]


def parts(text: str, references: Iterable[str]) -> list[tuple[str, bool]]:
    """Cuts a text so that each word that no reference has is a part by itself, marked True."""
    known = {word for reference in references for word in words(reference)}
    cut, end = [("", False)], 0
    for match in _WORD.finditer(text):
        if _plain(match[0]) not in known:
            cut += [(text[end : match.start()], False), (match[0], True)]
            end = match.end()
    return [(part, unknown) for part, unknown in [*cut, (text[end:], False)] if part]


def systems_shown(captions: Captions, names: Mapping[str, Name]) -> list[Name]:
    """Returns the systems that have a caption, in their order."""
    systems = {caption.system for image in captions.images for caption in image.said}
    return [name for system, name in names.items() if system in systems]


def proportions_shown(captions: Captions) -> list[float]:
    """Returns the proportions that have a caption, ascending."""
    return sorted({caption.proportion for image in captions.images for caption in image.said})


def _marked(caption: Caption, references: Sequence[str]) -> MarkedCaption:
    exact = words(caption.text) in [words(reference) for reference in references]
    return MarkedCaption(caption, parts(caption.text, references), exact)


def _plain(word: str) -> str:
    return word.lower().replace("’", "'")
