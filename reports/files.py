"""Writing files so that each is complete or absent, never half-written.

`experiments.files` does the same for trials; this package imports no other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from reports.errors import UserError


def write_all(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Writes each content at its path under the folder, replacing one file at a time atomically.

    Returns:
        The paths, in the order of `files`.

    Raises:
        UserError: the folder cannot be written.
    """
    paths = []
    for name, content in files.items():
        path = folder / name
        try:
            _write(path, content)
        except OSError as error:
            raise UserError(f"cannot write {path} ({error.strerror}); name another folder with --out") from None
        paths.append(path)
    return paths


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
