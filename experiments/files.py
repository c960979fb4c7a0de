"""Small files that are written whole or not at all, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from data.atomic import PARTIAL, replaced


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Makes `path` from what `write` puts into a stream; until all of it is on the disk, nothing changes.

    Several processes may do so at once; the last one to end wins. Makes the parent folder. Raises OSError where the
    disk is full or not writable.
    """
    with replaced(path) as stream:
        write(stream)


def drop_partial(folder: Path) -> None:
    """Removes the half-written files of killed processes from a folder in which nobody is writing."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink()


def write_json(path: Path, value: Any) -> None:
    """Writes a plain value as indented JSON, whole. Raises ValueError for a number that is not finite."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, lambda stream: stream.write(text.encode()))


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes rows as a CSV file, whole: None and missing values are empty, floats have all their digits.

    Entries of a row that are not in `columns` are left out.
    """
    import pandas

    table = pandas.DataFrame(list(rows), columns=list(columns), dtype=object)
    text = table.to_csv(index=False, lineterminator="\n")
    write_whole(path, lambda stream: stream.write(text.encode()))


def read_json(path: Path) -> dict[str, Any] | None:
    """Returns the mapping in a JSON file; None where it is missing, cut short or something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
