"""The part of an official file that has come so far: it outlives a broken line and a killed process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from data.atomic import write_errors_explained
from data.bounded_reading import PIECE, opened, read
from data.dataset import File
from data.progress import progress


class Stopped(Exception):
    """The user asked to stop; what has come is kept."""


class TooLong(Exception):
    """There is more to come than the file is long."""


def partial_folder(folder: Path) -> Path:
    """Where the parts of a folder's files are kept until they are whole: beside it."""
    return folder.parent / f".{folder.name}.partial"


def size_so_far(file: File, folder: Path) -> int:
    """Bytes of a file of that folder that have come already."""
    path = partial_folder(folder) / file.name
    return path.stat().st_size if path.is_file() else 0


def tidy(folder: Path, lacking: Collection[File]) -> None:
    """Clears away every part that is not of a file still lacking; with none left, their folder too."""
    parts = partial_folder(folder)
    if not parts.is_dir():
        return
    wanted = {name for file in lacking for name in (file.name, _note(file.name))}
    with write_errors_explained(parts):
        for path in parts.iterdir():
            if path.name not in wanted:
                path.unlink()
        if not any(parts.iterdir()):
            parts.rmdir()


def _note(name: str) -> str:
    return f"{name}.origin.json"


class Partial:
    """The first `size` bytes of an official file, on disk at all times, and their digest.

    `patched` says that they did not come in one go: should the file turn out wrong, the break may be to blame.
    A note beside them says which address gave them and by what sign it knows that version of the file.
    """

    def __init__(self, path: Path, file: File, stream: BinaryIO) -> None:
        self.path, self.file, self._stream = path, file, stream
        self._note = path.with_name(_note(path.name))
        self.size = 0
        self.patched = False
        self._sum = self._empty()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, file: File, folder: Path, slot: int, stop: threading.Event) -> Iterator[Partial]:
        """That of a file of this folder, with what an earlier process left of it. Call it inside `alone`.

        `slot` is the line of its progress bar. Stopped, soon after `stop` was set.
        """
        path = partial_folder(folder) / file.name
        with write_errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("ab", buffering=0)  # what was written is on disk, whatever becomes of this process
        partial = cls(path, file, stream)
        try:
            with stream:
                partial._take_up(slot, stop)
                yield partial
        finally:
            if path.is_file() and not path.stat().st_size:
                path.unlink()
                partial._note.unlink(missing_ok=True)

    @property
    def whole(self) -> bool:
        return self.size == self.file.size

    @property
    def right(self) -> bool:
        """Whether it is whole and its checksum that of the catalog."""
        return self.whole and self._sum.hexdigest() == self.file.checksum.partition(":")[2]

    def append(self, piece: bytes) -> None:
        """More bytes; TooLong, and none of them are written, where the file would be longer than it is."""
        if self.size + len(piece) > self.file.size:
            raise TooLong
        left = memoryview(piece)
        with write_errors_explained(self.path):
            while left:
                written = self._stream.write(left) or 0
                self._sum.update(left[:written])
                self.size += written
                left = left[written:]

    def restart(self) -> None:
        """Forgets everything."""
        with write_errors_explained(self.path):
            self._note.unlink(missing_ok=True)
            self._stream.truncate(0)
        self.size, self.patched, self._sum = 0, False, self._empty()

    def comes_from(self, address: str, headers: Mapping[str, str]) -> None:
        """Notes where the bytes that follow are from."""
        self.patched = self.patched or self.size > 0
        signs = {"address": address, "etag": headers.get("ETag"), "modified": headers.get("Last-Modified")}
        with write_errors_explained(self._note):
            self._note.write_text(json.dumps(signs), encoding="utf-8")

    def sign(self, address: str) -> str | None:
        """By what that address knows the version of the file that it gave: for If-Range (RFC 9110, 13.1.5).

        None where it gave none, or only a weak one, and where the bytes are from elsewhere: the sign of one server
        means nothing to another.
        """
        signs = self._signs(address)
        etag = signs.get("etag")
        if etag:
            return None if etag.startswith("W/") else etag
        return signs.get("modified")

    def changed(self, address: str, headers: Mapping[str, str]) -> bool:
        """Whether the address says now that its version of the file is another one."""
        before = self._signs(address)
        for sign, now in (("etag", headers.get("ETag")), ("modified", headers.get("Last-Modified"))):
            if now and before.get(sign):
                return now != before[sign]
        return False

    def become(self, target: Path) -> Path:
        """Makes it the file `target`."""
        with write_errors_explained(target):
            os.fsync(self._stream.fileno())
            target.parent.mkdir(exist_ok=True)
            os.replace(self.path, target)
            self._note.unlink(missing_ok=True)
        return target

    def _empty(self) -> hashlib._Hash:
        return hashlib.new(self.file.checksum.partition(":")[0])

    def _signs(self, address: str) -> dict[str, str]:
        with contextlib.suppress(OSError, ValueError):
            signs = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(signs, dict) and signs.get("address") == address:
                return signs
        return {}

    def _take_up(self, slot: int, stop: threading.Event) -> None:
        """Reads what is there for its digest."""
        there = self.path.stat().st_size
        if there > self.file.size:
            self.restart()
            return
        with (
            opened(self.path, as_it_is=True) as stream,
            progress(there, f"checking what came of {self.file.name}", "B", slot) as bar,
        ):
            while piece := read(stream, PIECE, self.path):
                if stop.is_set():
                    raise Stopped
                self._sum.update(piece)
                self.size += len(piece)
                bar.update(len(piece))
        self.patched = self.size > 0
