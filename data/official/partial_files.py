"""The part of an official file that was downloaded so far. It survives a broken connection and a killed process."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from io import RawIOBase
from pathlib import Path

from data.atomic import write_errors_explained
from data.bounded_reading import PIECE, opened, read
from data.dataset import File
from data.progress import progress


class Stopped(Exception):
    """The user asked to stop. What has been downloaded is kept."""


class TooLong(Exception):
    """More bytes came than the file has."""


def partial_folder(folder: Path) -> Path:
    """Returns where the parts of a folder's files are kept until they are whole: beside that folder."""
    return folder.parent / f".{folder.name}.partial"


def downloaded_size(file: File, folder: Path) -> int:
    """Returns how many bytes of a file of that folder have been downloaded already."""
    path = partial_folder(folder) / file.name
    return path.stat().st_size if path.is_file() else 0


def remove_other_parts(folder: Path, lacking: Collection[File]) -> None:
    """Removes every part of a file that is not `lacking` any more; if no part is left, their folder too."""
    parts = partial_folder(folder)
    if not parts.is_dir():
        return
    wanted = {name for file in lacking for name in (file.name, _note_name(file.name))}
    with write_errors_explained(parts):
        for path in parts.iterdir():
            if path.name not in wanted:
                path.unlink()
        if not any(parts.iterdir()):
            parts.rmdir()


def _note_name(name: str) -> str:
    return f"{name}.origin.json"


class PartialFile:
    """The first `size` bytes of an official file, on disk at all times, and their digest.

    `resumed` says that the bytes came in several transfers: should the checksum be wrong, that may be the reason. A
    note beside the part says which address the bytes came from, and the HTTP validators (ETag, Last-Modified) of the
    version that it sent.
    """

    def __init__(self, path: Path, file: File, stream: RawIOBase) -> None:
        self.path, self.file, self._stream = path, file, stream
        self._note = path.with_name(_note_name(path.name))
        self.size = 0
        self.resumed = False
        self._sum = self._empty_digest()

    @classmethod
    @contextlib.contextmanager
    def opened(cls, file: File, folder: Path, slot: int, stop: threading.Event) -> Iterator[PartialFile]:
        """Opens the part of a file of this folder, with what an earlier process left of it. Call it inside `alone`.

        `slot` is the line of its progress bar. Raises Stopped soon after `stop` was set.
        """
        path = partial_folder(folder) / file.name
        with write_errors_explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("ab", buffering=0)  # unbuffered: what was written survives this process
        partial = cls(path, file, stream)
        try:
            with stream:
                partial._read_existing(slot, stop)
                yield partial
        finally:
            if path.is_file() and not path.stat().st_size:
                path.unlink()
                partial._note.unlink(missing_ok=True)

    @property
    def whole(self) -> bool:
        """Whether it has all bytes."""
        return self.size == self.file.size

    @property
    def right(self) -> bool:
        """Whether it has all bytes and the checksum of the catalog."""
        return self.whole and self._sum.hexdigest() == self.file.checksum.partition(":")[2]

    def append(self, piece: bytes) -> None:
        """Appends bytes. Raises TooLong, and writes none of them, where the file would become longer than it is."""
        if self.size + len(piece) > self.file.known_size:
            raise TooLong
        left = memoryview(piece)
        with write_errors_explained(self.path):
            while left:
                written = self._stream.write(left) or 0
                self._sum.update(left[:written])
                self.size += written
                left = left[written:]

    def restart(self) -> None:
        """Drops all bytes."""
        with write_errors_explained(self.path):
            self._note.unlink(missing_ok=True)
            self._stream.truncate(0)
        self.size, self.resumed, self._sum = 0, False, self._empty_digest()

    def note_source(self, address: str, headers: Mapping[str, str]) -> None:
        """Notes the address of the bytes that follow, and the validators in the headers of its response."""
        self.resumed = self.resumed or self.size > 0
        source = {"address": address, "etag": headers.get("ETag"), "modified": headers.get("Last-Modified")}
        with write_errors_explained(self._note):
            self._note.write_text(json.dumps(source), encoding="utf-8")

    def validator(self, address: str) -> str | None:
        """Returns the validator for If-Range (RFC 9110, section 13.1.5) that an address sent with the bytes so far.

        None where it sent none or only a weak one, and where the bytes came from elsewhere: a validator of one server
        means nothing to another.
        """
        source = self._source(address)
        etag = source.get("etag")
        if etag:
            return None if etag.startswith("W/") else etag
        return source.get("modified")

    def is_other_version(self, address: str, headers: Mapping[str, str]) -> bool:
        """Says whether an address now sends another version of the file than that of the bytes so far."""
        before = self._source(address)
        for name, now in (("etag", headers.get("ETag")), ("modified", headers.get("Last-Modified"))):
            if now and before.get(name):
                return now != before[name]
        return False

    def move_to(self, target: Path) -> Path:
        """Makes it the file `target`."""
        with write_errors_explained(target):
            os.fsync(self._stream.fileno())
            target.parent.mkdir(exist_ok=True)
            os.replace(self.path, target)
            self._note.unlink(missing_ok=True)
        return target

    def _empty_digest(self) -> hashlib._Hash:
        return hashlib.new(self.file.checksum.partition(":")[0])

    def _source(self, address: str) -> dict[str, str]:
        """Returns the note, if the bytes came from that address; otherwise nothing."""
        with contextlib.suppress(OSError, ValueError):
            source = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(source, dict) and source.get("address") == address:
                return source
        return {}

    def _read_existing(self, slot: int, stop: threading.Event) -> None:
        """Reads the bytes of earlier processes into the digest; drops them where they are too many."""
        existing = self.path.stat().st_size
        if existing > self.file.known_size:
            self.restart()
            return
        with (
            opened(self.path, as_it_is=True) as stream,
            progress(existing, f"checking what came of {self.file.name}", "B", slot) as bar,
        ):
            while piece := read(stream, PIECE, self.path):
                if stop.is_set():
                    raise Stopped
                self._sum.update(piece)
                self.size += len(piece)
                bar.update(len(piece))
        self.resumed = self.size > 0
