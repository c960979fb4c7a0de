"""What a format is: a function that finds the images in a dataset's official files, registered by a name."""

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
LEAST_ROWS = 256  # images of a shard, if there are as many
SHARDS = 64  # aimed at, so that many workers have something to do


@dataclass(frozen=True, slots=True)
class Example:
    """One image: uint8 [H, W, C] of the dataset's shape, or the bytes of an encoded picture (JPEG, PNG, …) of any size.

    `name` says which of the user's pictures it is; "" where images have no names of their own. A labelled image has a
    `label` and no captions; a captioned image has `captions` and None for a label.
    """

    name: str
    image: np.ndarray | bytes
    label: int | None
    captions: tuple[str, ...] = ()


class Shard(Protocol):
    """`count` images of one part, read in order by one worker. A plain value that can be sent to another process."""

    @property
    def part(self) -> str: ...

    @property
    def count(self) -> int: ...

    def examples(self) -> Iterator[Example]:
        """Yields all images, in order. Raises UserError, naming the file, where that is truncated or malformed."""
        ...


@dataclass(frozen=True)
class Contents:
    """What a dataset's official files hold: the names of its classes, and its images, shard by shard.

    `classes` is empty for captioned images. Shards of the training part come first, then those of the official
    validation and test parts, if any. The same files give the same shards on every machine.
    """

    classes: tuple[str, ...]
    shards: Sequence[Shard]


class Place(Protocol):
    """Where the bytes of one file can be read: on disk, or in an archive. See `data.formats.archives`."""

    @property
    def name(self) -> str: ...

    def read(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture that has not been read yet, with its label or its captions; see `Example`."""

    place: Place
    label: int | None
    captions: tuple[str, ...] = ()


class Laborious:
    """Marks a shard whose images take much longer to make than to copy, so that many cores are worth their start."""


@dataclass(frozen=True)
class Pictures(Laborious):
    """A shard of encoded pictures."""

    part: str
    pictures: tuple[Picture, ...]

    @property
    def count(self) -> int:
        """The number of pictures."""
        return len(self.pictures)

    def examples(self) -> Iterator[Example]:
        """Yields the pictures, each read when it is its turn."""
        for picture in self.pictures:
            yield Example(picture.place.name, picture.place.read(), picture.label, picture.captions)


def rows_of_a_shard(count: int, dataset: Dataset) -> int:
    """Returns how many of `count` images go into one shard: few enough to share the work, and to fit into a file."""
    most = max(1, LARGEST_SHARD // dataset.image_bytes)
    return min(most, max(LEAST_ROWS, math.ceil(count / SHARDS)))


def shards_of(part: str, pictures: Sequence[Picture], dataset: Dataset) -> list[Pictures]:
    """Returns the pictures of a part, in order, as shards of `rows_of_a_shard` pictures."""
    rows = rows_of_a_shard(len(pictures), dataset)
    return [Pictures(part, tuple(pictures[start : start + rows])) for start in range(0, len(pictures), rows)]


# Takes the official files by their role in the catalog, and a folder to unpack into, which exists until the shards are
# made.
Reader = Callable[[Dataset, Mapping[str, Path], Path], Contents]
FORMATS: Registry[Reader] = Registry("data.formats", "format")


def register(name: str) -> Callable[[Reader], Reader]:
    """Returns a decorator that registers a reader as the format `name`. Raises ValueError for a name that is taken."""

    def registered(reader: Reader) -> Reader:
        FORMATS.add(name, reader)
        return reader

    return registered
