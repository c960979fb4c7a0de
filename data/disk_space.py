"""Checks whether a disk has room, before anything is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from data.errors import UserError


def readable(size: float) -> str:
    """Returns a number of bytes as text, in the largest unit of which there is at least one."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def existing(folder: Path) -> Path:
    """Returns a folder, or the nearest folder above it that exists."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())


def check_space(folder: Path, need: int, what: str) -> None:
    """Raises UserError where the disk of `folder` has less than `need` bytes free for `what`.

    The folder need not exist yet.
    """
    free = shutil.disk_usage(existing(folder)).free
    if need > free:
        raise UserError(
            f"{folder} needs {readable(need)} for {what}, its disk has {readable(free)} free. "
            "Free some space, or name another folder with --root."
        )
