"""Files and folders that are written whole or not at all, and a lock so that one process at a time makes them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from data.errors import UserError

PARTIAL = ".partial"  # ending of the names of files and folders that are not whole yet
_NO_SPACE = "Free some space, or name another folder with --root."
_NOT_WRITABLE = "Make it writable, or name another folder with --root."
_OTHERWISE = "Check its disk, or name another folder with --root."
_REMEDIES = {
    errno.EIO: _OTHERWISE,
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EFBIG: _NO_SPACE,
    errno.EACCES: _NOT_WRITABLE,
    errno.EPERM: _NOT_WRITABLE,
    errno.EROFS: _NOT_WRITABLE,
}


@contextmanager
def write_errors_explained(path: Path) -> Iterator[None]:
    """Turns an OSError of writing `path` into a UserError with the reason and a remedy.

    An OSError that concerns another file or the network passes unchanged.
    """
    try:
        yield
    except OSError as error:
        concerns_path = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(path.parent)
        if error.errno not in _REMEDIES and not concerns_path:
            raise
        remedy = _REMEDIES.get(error.errno or 0, _OTHERWISE)
        raise UserError(f"cannot write {path}: {error.strerror or error}. {remedy}") from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lets one process at a time make `path`. A second process waits, and prints that it does.

    Makes the parent folder. The lock is a file beside `path`; the system releases it when its holder dies.
    """
    with write_errors_explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / f".{path.name}.lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            print(f"waiting for another process that is making {path}", file=sys.stderr)
            lock.acquire()
        except NotImplementedError as error:
            raise UserError(
                f"cannot lock {lock.lock_file}: its disk has no locks. Name a folder on another disk with --root"
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Yields a stream whose bytes become the file `path`, mode 0644, when the block ends.

    When the block raises, nothing changes. Several processes may do so at once: each writes a temporary file of its
    own beside `path`, and the last one to end wins. Makes the parent folder. Raises OSError where the disk is full
    or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=PARTIAL, dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Does what `replaced` does, but raises UserError, with a remedy, where the disk is full or not writable.

    Call it inside `alone`: temporary files that killed processes left behind are removed first.
    """
    with write_errors_explained(path):
        if path.parent.is_dir():
            _remove_partial_files(path)
        with replaced(path) as stream:
            yield stream


def _remove_partial_files(path: Path) -> None:
    """Removes the temporary files that `replaced` made for `path` in processes that were killed."""
    temporary = re.compile(rf"\.{re.escape(path.name)}\.\w+{re.escape(PARTIAL)}")
    for entry in path.parent.iterdir():
        if temporary.fullmatch(entry.name):
            entry.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields an empty folder that takes the place of `path` when the block ends, and is removed when it raises.

    Call it inside `alone`: what a killed process left half made is removed first. Raises UserError where the disk is
    full or not writable.
    """
    partial = path.parent / f".{path.name}{PARTIAL}"
    with write_errors_explained(path):
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            yield partial
            for file in partial.iterdir():
                with file.open("rb") as stream:
                    os.fsync(stream.fileno())
            if path.exists():
                shutil.rmtree(path)
            os.replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def resumable(path: Path, key: str) -> Iterator[Path]:
    """Yields a folder that takes the place of `path` when the block ends; when it raises, its content is kept.

    `key` is a text that says what goes into the folder. The folder of an earlier attempt with the same key is yielded
    again; one with another key is removed. Hidden files and sub-folders in it are working files, removed at the end.
    Call it inside `alone`. Raises UserError where the disk is full or not writable.
    """
    partial = path.parent / f".{path.name}{PARTIAL}"
    with write_errors_explained(path):
        key_file = partial / ".key"
        if not (key_file.is_file() and key_file.read_text(encoding="utf-8") == key):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            with whole_file(key_file) as out:
                out.write(key.encode())
        yield partial
        for entry in partial.iterdir():
            if entry.is_file() and not entry.name.startswith("."):
                with entry.open("rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
        for entry in path.iterdir():  # last of all: an attempt that is killed before this line can still be resumed
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name.startswith("."):
                entry.unlink()
