"""An archive with a folder of JPEGs for each class: Caltech 101 and Caltech 256.

Caltech 101 is a zip that holds `101_ObjectCategories.tar.gz` beside the outlines of its objects; Caltech 256 is a tar
whose folders are numbered ('001.ak47'). Both have a class of clutter that is not one of the 101 or 256.
There are other files as well (`BACKGROUND_Google/tmp`, `198.spider/RENAME2`, the empty `056.dog/greg`): they are no
pictures and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from data.dataset import Dataset
from data.formats.archives import Member, faulty, inner
from data.formats.checks import PICTURES, as_catalogued, distinct, limit, members
from data.formats.contract import Contents, Picture, register, shards_of

CLUTTER = ("BACKGROUND_Google", "clutter")
INNER = re.compile(r"(^|/)\d+_ObjectCategories\.tar(\.gz)?$")
NUMBER = re.compile(r"^\d{3}\.")


def _pictures(entries: Iterable[Member]) -> dict[str, list[Member]]:
    """Returns the pictures that lie directly in the folder of a class, by that folder, sorted by folder and name."""
    folders: dict[str, list[Member]] = {}
    for member in sorted(entries, key=lambda member: member.name):
        match member.name.split("/"):
            case [_, folder, name] if name.lower().endswith(PICTURES) and NUMBER.sub("", folder) not in CLUTTER:
                folders.setdefault(folder, []).append(member)
    return {folder: folders[folder] for folder in sorted(folders)}


@register("class-folders")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one file, of role archive."""
    archive = files["archive"]
    entries = members(dataset, files, "archive", unpacked)
    for place in entries:
        if INNER.search(place.name):
            entries = inner(place, limit(dataset, "archive"), unpacked)
            break
    folders = _pictures(entries)
    if not folders:
        raise faulty(archive, "there are no pictures in folders of classes in it")
    classes = distinct([NUMBER.sub("", folder) for folder in folders], archive)
    pictures = [Picture(place, label) for label, places in enumerate(folders.values()) for place in places]
    return as_catalogued(dataset, classes, shards_of("train", pictures, dataset), archive)
