"""Folders of pictures on disk, listed in the same order on every machine."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from data.errors import UserError
from data.formats.archives import LEFT_BEHIND
from data.formats.pictures import SUFFIXES


def code_points(name: str) -> str:
    """Returns a name in Unicode's composed form, by which names are sorted: some systems decompose characters."""
    return unicodedata.normalize("NFC", name)


def is_picture(name: str) -> bool:
    """Says whether a file is a picture, by the ending of its name alone."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def listed(folder: Path) -> tuple[list[str], list[str]]:
    """Returns the names of the folders and of the files in a folder, each sorted.

    Hidden ones and what operating systems leave behind are left out. Raises UserError where it cannot be read.
    """
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and not LEFT_BEHIND.search(entry.name):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror or error}") from error
    return sorted(folders, key=code_points), sorted(files, key=code_points)
