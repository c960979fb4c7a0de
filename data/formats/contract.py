"""What a format is: a function that finds the images in a dataset's official files, known by a name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from data.dataset import Dataset
from data.registry import Registry

LARGEST_SHARD = 512 * 2**20  # bytes of prepared images: some five hundred shards for ImageNet
LEAST_ROWS = 256
SHARDS = 64  # aimed at, so that many workers have something to do


@dataclass(frozen=True, slots=True)
class Example:
    """One image: uint8 [H, W, C] of the dataset's shape, or an encoded picture (JPEG, PNG, …) of any size.

    `name` says which it is among the user's pictures, "" where images have no names of their own. `label` is None,
    and `captions` are there, where the dataset is a captioned one.
    """

    name: str
    image: np.ndarray | bytes
    label: int | None
    captions: tuple[str, ...] = ()


class Shard(Protocol):
    """`count` images that one worker reads one after the other; a plain value that can be sent to another process."""

    part: str
    count: int

    def examples(self) -> Iterator[Example]:
        """All of them, in order; UserError, naming the file, where that is truncated or malformed."""


@dataclass(frozen=True)
class Contents:
    """What a dataset's official files hold: the names of its classes and its images, shard by shard.

    Shards of the training part come first, then those of the official validation and test parts, if any. The same
    files give the same shards on every machine.
    """

    classes: tuple[str, ...]
    shards: Sequence[Shard]


class Place(Protocol):
    """Where the bytes of one file are to be had: on disk, or in an archive. See `data.formats.archives`."""

    name: str

    def read(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, its label or captions: an `Example` that was not read yet."""

    place: Place
    label: int | None
    captions: tuple[str, ...] = ()


class Laborious:
    """A shard whose images take much longer to make than to copy: worth all cores, where there are many."""


@dataclass(frozen=True)
class Pictures(Laborious):
    """A shard of encoded pictures."""

    part: str
    pictures: tuple[Picture, ...]

    @property
    def count(self) -> int:
        return len(self.pictures)

    def examples(self) -> Iterator[Example]:
        for picture in self.pictures:
            yield Example(picture.place.name, picture.place.read(), picture.label, picture.captions)


def rows_of_a_shard(count: int, dataset: Dataset) -> int:
    """How many of so many images go into a shard: few enough to share out, and not too many for a file."""
    most = max(1, LARGEST_SHARD // dataset.image_bytes)
    return min(most, max(LEAST_ROWS, math.ceil(count / SHARDS)))


def shards_of(part: str, pictures: Sequence[Picture], dataset: Dataset) -> list[Pictures]:
    """A part's pictures, in order, as shards: enough of them to share out, none of them too large for a file."""
    rows = rows_of_a_shard(len(pictures), dataset)
    return [Pictures(part, tuple(pictures[start : start + rows])) for start in range(0, len(pictures), rows)]


# Files by their role in the catalog, and a folder to unpack into, which is there until the shards are made.
Reader = Callable[[Dataset, Mapping[str, Path], Path], Contents]
FORMATS: Registry[Reader] = Registry("data.formats", "format")


def register(name: str) -> Callable[[Reader], Reader]:
    """Function decorator that makes a reader known as a format; a name taken twice is a ValueError."""

    def known(reader: Reader) -> Reader:
        FORMATS.add(name, reader)
        return reader

    return known
