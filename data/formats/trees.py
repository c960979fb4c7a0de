"""Folders of pictures as they lie on a disk, listed alike on every machine."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from data.errors import UserError
from data.formats.archives import LEFT_BEHIND
from data.formats.pictures import SUFFIXES


def code_points(name: str) -> str:
    """What names are sorted by: the same whether a system composes its characters or not."""
    return unicodedata.normalize("NFC", name)


def is_picture(name: str) -> bool:
    """By its name alone."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def listed(folder: Path) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, sorted, without hidden ones and what systems leave behind."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and not LEFT_BEHIND.search(entry.name):
                    (folders if entry.is_dir() else files).append(entry.name)
    except OSError as error:
        raise UserError(f"cannot look into {folder}: {error.strerror or error}") from error
    return sorted(folders, key=code_points), sorted(files, key=code_points)
