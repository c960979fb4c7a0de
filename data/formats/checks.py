"""Checks that formats share: the size of archives, the names of classes, the number of images."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from data.dataset import Dataset
from data.errors import UserError
from data.formats import archives
from data.formats.archives import Member
from data.formats.contract import Contents, Shard

# Endings of the names of pictures in official archives; the format itself is found when a picture is decoded.
PICTURES = (".jpg", ".jpeg", ".png")


def limit(dataset: Dataset, role: str) -> int:
    """Returns how many bytes the archive of that role, and an archive in it, may hold.

    Raises ValueError where the catalog does not say.
    """
    (file,) = (file for file in dataset.files if file.role == role)
    if file.unpacked is None:
        raise ValueError(f"the catalog does not say how much {file.name} of {dataset.name} holds")
    return file.unpacked


def members(dataset: Dataset, files: Mapping[str, Path], role: str, unpacked: Path) -> list[Member]:
    """Returns the files in the archive of that role: see `archives.members`."""
    return archives.members(files[role], limit(dataset, role), unpacked)


def named(entries: Iterable[Member], name: str, archive: Path) -> Member:
    """Returns the file of that name, in whatever folder of the archive. Raises UserError where there is none."""
    for member in entries:
        if member.name.rpartition("/")[2] == name:
            return member
    raise archives.faulty(archive, f"there is no {name} in it")


def by_last_name(entries: Iterable[Member]) -> Iterator[tuple[str, Member]]:
    """Yields the pictures among members, each after its name without folders."""
    for member in entries:
        last = member.name.rpartition("/")[2]
        if last.lower().endswith(PICTURES):
            yield last, member


def _alike(name: str) -> str:
    """Returns a name without what readers overlook: case, and the normal forms of Unicode."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name.strip()).casefold())


def distinct(names: Sequence[str], where: str | Path) -> tuple[str, ...]:
    """Returns names of classes, unchanged. Raises UserError where two of them look the same to a reader."""
    seen: dict[str, str] = {}
    for name in names:
        if (key := _alike(name)) in seen:
            raise UserError(f"{where}: the classes {seen[key]!r} and {name!r} have one name. Rename or join them.")
        seen[key] = name
    return tuple(names)


def as_catalogued(dataset: Dataset, classes: tuple[str, ...], shards: Sequence[Shard], where: str | Path) -> Contents:
    """Returns contents that agree with the catalog in classes and number of images. Raises UserError otherwise."""
    if isinstance(dataset.classes, tuple) and classes != dataset.classes:
        raise UserError(f"{where} has the classes {', '.join(classes)}; {dataset.name}'s are {dataset.classes}")
    if isinstance(dataset.classes, int) and len(classes) != dataset.classes:
        raise UserError(f"{where} has {len(classes)} classes, {dataset.name} has {dataset.classes}")
    count = sum(shard.count for shard in shards)
    if dataset.images is not None and count != dataset.images:
        raise UserError(f"{where} has {count:,} images, {dataset.name} has {dataset.images:,}")
    return Contents(classes, shards)
