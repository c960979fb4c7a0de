"""SQLite files and database servers, looked at before work that needs them begins."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import UserError
from data.secrets import masked

CONNECT_SECONDS = 10  # that a server may take to accept a connection
LOCK_SECONDS = 10.0  # that another process may hold a file before it counts as locked
CHECKED_BYTES = 32 * 2**20  # of a file whose every page is checked, which takes 0.2 s
LONGEST = 500  # characters of a reason; a server may answer with a page
HEADER = b"SQLite format 3\0"


def is_empty(path: Path) -> bool:
    """Returns whether there is no SQLite file yet, or one that nothing was written to."""
    return not path.exists() or (path.is_file() and not path.stat().st_size)


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """Yields another name to make a SQLite file under, which afterwards gets its own. One process at a time may do so.

    Killed half-way, it leaves no file of that name: SQLite makes tables and their indices one by one, and who opens the
    file again makes missing tables, but not missing indices.
    """
    new = path.with_name(f"{path.name}.new")
    _remove(new)
    try:
        yield new
        new.replace(path)
    finally:
        _remove(new)


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-journal", f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


@contextmanager
def sound_sqlite(path: Path, what: str, remedy: str) -> Iterator[sqlite3.Connection]:
    """Yields a connection to a SQLite file that is whole, and that this process alone may write in the block.

    Args:
        path: the file, which is not empty.
        what: what it is, for messages.
        remedy: what to do where it is damaged.

    Raises:
        UserError: it is no SQLite file, it is damaged, it may not be written, or another process holds it.
    """
    if not path.is_file():
        raise UserError(f"{what} {path} is not a file")
    try:
        with path.open("rb") as stream:
            header = stream.read(100)
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}") from None
    if not header.startswith(HEADER):
        raise UserError(f"{what} {path} is no SQLite database: {remedy}")
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS, isolation_level=None
    )
    try:
        connection.execute("BEGIN IMMEDIATE")
        if path.stat().st_size <= CHECKED_BYTES:
            (finding,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if finding != "ok":
                raise UserError(f"{what} {path} is damaged ({' '.join(finding.split())}): {remedy}")
        yield connection
    except sqlite3.Error as error:
        raise UserError(f"{what} {path} {_trouble(error, remedy)}") from None
    finally:
        connection.close()


def _trouble(error: sqlite3.Error, remedy: str) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of an extended code says more than is needed
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"has been locked by another process for {LOCK_SECONDS:g} s: end that process, or wait for it"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"cannot be written ({error}): make it and its folder writable, or name another"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"cannot be used ({error}): see that its disk is well and has room"
    return f"is damaged ({error}): {remedy}"


def reason(error: BaseException, *urls: str) -> str:
    """Returns what a database, its driver or a server says, in one line and without the secrets of the URLs."""
    said = masked(" ".join(str(getattr(error, "orig", None) or error).split()), *urls)
    return said[:LONGEST] or type(error).__name__
