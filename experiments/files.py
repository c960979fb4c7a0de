"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

PARTIAL = ".partial"


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Makes `path` from what `write` puts into a stream; until all of it is on the disk, nothing changes.

    Several processes may do so at once: each writes a file of its own, and the last one to end wins.
    Makes the parent folder. OSError where the disk is full or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def drop_partial(folder: Path) -> None:
    """Removes what processes that were killed had half written there; nobody may be at work in that folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes a plain value as indented JSON, whole. ValueError for a number that is not finite."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()))


def read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file; None where it is missing, cut short or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
