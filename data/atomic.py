"""Files and folders that exist whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from data.errors import UserError

_NO_SPACE = "Free some space, or name another folder with --root."
_NOT_WRITABLE = "Make it writable, or name another folder with --root."
_OTHERWISE = "Look at its disk, or name another folder with --root."
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
def told(path: Path) -> Iterator[None]:
    """Turns what the operating system refuses while `path` is written into a UserError that says so.

    Other files' troubles, and those of the network, pass as they are.
    """
    try:
        yield
    except OSError as error:
        named = isinstance(error.filename, str | Path) and Path(error.filename).is_relative_to(path.parent)
        if error.errno not in _REMEDIES and not named:
            raise
        remedy = _REMEDIES.get(error.errno or 0, _OTHERWISE)
        raise UserError(f"cannot write {path}: {error.strerror or error}. {remedy}") from error


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lets one process at a time make `path`; a second one waits and says so. Makes the parent folder.

    The lock is a file beside `path`; the system lets go of it when its holder dies.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / f".{path.name}.lock")
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            print(f"waiting for another process that is making {path}", file=sys.stderr)
            lock.acquire()
        except NotImplementedError as error:
            raise UserError(
                f"cannot lock {lock.lock_file}: its disk has no locks. Name a folder on another with --root"
            ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose bytes become the file `path` when the block ends, and vanish when it raises.

    Call it inside `alone`. Makes the parent folder. Raises UserError where the disk is full or not writable.
    """
    partial = path.parent / f".{path.name}.partial"
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `path` when the block ends, and vanishes when it raises.

    Call it inside `alone`: what an earlier, killed process left half made is cleared away first.
    Raises UserError where the disk is full or not writable.
    """
    partial = path.parent / f".{path.name}.partial"
    with told(path):
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
    """A folder that takes the place of `path` when the block ends; when it raises, what is in it is kept.

    An earlier attempt's folder is given again if it was made with the same `key`, a text that says what goes into
    it; otherwise it is cleared away. Call it inside `alone`. Hidden files and sub-folders in it are for working
    with and are gone at the end. Raises UserError where the disk is full or not writable.
    """
    partial = path.parent / f".{path.name}.partial"
    with told(path):
        noted = partial / ".key"
        if not (noted.is_file() and noted.read_text(encoding="utf-8") == key):
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            with whole_file(noted) as out:
                out.write(key.encode())
        yield partial
        for entry in partial.iterdir():
            if entry.is_file() and not entry.name.startswith("."):
                with entry.open("rb") as stream:
                    os.fsync(stream.fileno())
        if path.exists():
            shutil.rmtree(path)
        os.replace(partial, path)
        for entry in path.iterdir():  # last of all: until then, an attempt that is killed here can be gone on with
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name.startswith("."):
                entry.unlink()
