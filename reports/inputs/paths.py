"""Looks at what may not be there or cannot be read, and says so."""

from __future__ import annotations

import stat
from pathlib import Path

from reports.errors import UserError

MOST_BYTES = 256 * 2**20
SHOWN = 80  # characters of a wrong value in a message


def is_there(path: Path, remedy: str) -> bool:
    """Tells whether there is such a file.

    Raises:
        UserError: its folder cannot be searched, or its name cannot be one.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise cannot_read(path, error, remedy) from None
    return True


def check_ordinary(path: Path, remedy: str) -> None:
    """Checks that a path leads to an ordinary file of a size that can be read; a pipe would never end.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is something else, too large, or its folder cannot be searched.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise cannot_read(path, error, remedy) from None
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is no ordinary file; {remedy}")
    if status.st_size > MOST_BYTES:
        raise UserError(f"{path} has {status.st_size:,} bytes, and a report reads {MOST_BYTES:,} at most; {remedy}")


def read_file(path: Path, remedy: str) -> bytes:
    """Reads an ordinary file.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, see `check_ordinary`.
    """
    check_ordinary(path, remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error, remedy) from None


def cannot_read(path: Path, error: Exception, remedy: str) -> UserError:
    """Returns the error that says that a file cannot be read, and why."""
    return UserError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); {remedy}")


def shortened(text: str) -> str:
    """Cuts a value for a message."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
