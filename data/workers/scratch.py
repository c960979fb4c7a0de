"""Temporary folders that end with their process, also where it is killed: the next one clears them away."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

OWNER = ".owner"  # file that is locked while the folder's process lives
YOUNG_SECONDS = 60.0  # a folder may be that old before its owner has locked it


@contextmanager
def scratch_folder(kind: str, place: Path | None = None) -> Iterator[Path]:
    """Yields a new folder of this user alone, named after `kind`, which is removed at the end of the block.

    Those of processes that were killed are removed first. `place` is where such folders lie, by default where Python
    puts temporary files.
    """
    place = place or Path(tempfile.gettempdir())
    clear_leftovers(kind, place)
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=place))
    try:
        with FileLock(folder / OWNER):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(kind: str, place: Path) -> None:
    """Removes the scratch folders of one kind whose process is gone, as far as this user may."""
    for owner in place.glob(f"{kind}-*/{OWNER}"):
        with suppress(OSError, Timeout):  # another user's, one that has just gone, one that is in use
            if time.time() - owner.stat().st_mtime < YOUNG_SECONDS:
                continue
            with FileLock(owner, blocking=False):
                shutil.rmtree(owner.parent, ignore_errors=True)
