"""Whether a disk has room, asked before anything is written to it."""

from __future__ import annotations

import shutil
from pathlib import Path

from data.errors import DataError


def readable(size: float) -> str:
    """A number of bytes with its unit, in three digits or so."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            break
        size /= 1000
    else:
        unit = "TB"
    return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def check_space(folder: Path, need: int, what: str) -> None:
    """DataError with need and remedy where the disk of `folder`, there yet or not, has less than `need` bytes free."""
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if need > free:
        raise DataError(
            f"{folder} needs {readable(need)} for {what}, its disk has {readable(free)} free. "
            "Free some space, or name another folder with --root."
        )
