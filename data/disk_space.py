"""Whether a disk has room, asked before anything is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from data.errors import UserError


def readable(size: float) -> str:
    """A number of bytes in the largest unit of which there is at least one."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there: what it would be made in."""
    return next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())


def check_space(folder: Path, need: int, what: str) -> None:
    """UserError with need and remedy where the disk of `folder`, there yet or not, has less than `need` bytes free."""
    free = shutil.disk_usage(existing(folder)).free
    if need > free:
        raise UserError(
            f"{folder} needs {readable(need)} for {what}, its disk has {readable(free)} free. "
            "Free some space, or name another folder with --root."
        )
