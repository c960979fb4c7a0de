"""Checksums of official files, and a record of the files whose checksum was found right, so that each is read once."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from data.atomic import replaced
from data.bounded_reading import PIECE, opened, read
from data.dataset import File
from data.progress import progress


def on_disk(file: File, folder: Path) -> list[tuple[Path, str]]:
    """Returns where a folder has a file, as published, decompressed or both, each with the checksum it should have.

    Only sizes are compared, where they are known: nothing is read.
    """
    forms = [(folder / file.name, file.size, file.checksum)]
    if file.content:
        forms.append((folder / file.content_name, file.content.size, file.content.checksum))
    return [(path, sum_) for path, size, sum_ in forms if path.is_file() and size in (None, path.stat().st_size)]


def digest(path: Path, checksum: str) -> str:
    """Returns the checksum of a file, `algorithm:hexadecimal digest`, by the algorithm of the given checksum."""
    algorithm = checksum.partition(":")[0]
    sum_ = hashlib.new(algorithm)
    with (
        opened(path, as_it_is=True) as stream,
        progress(path.stat().st_size, f"checking {path.name}", "B") as bar,
    ):
        while piece := read(stream, PIECE, path):
            sum_.update(piece)
            bar.update(len(piece))
    return f"{algorithm}:{sum_.hexdigest()}"


class VerifiedFiles:
    """The files of a folder of official files whose checksum was found right.

    They are recorded in `.NAME.verified.json` beside the folder NAME, because they concern this machine alone: {file
    name: [size in bytes, time of change in ns, checksum]}. A file that was written to since, or has another checksum in
    the catalog now, counts as unverified.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder.parent / f".{folder.name}.verified.json"

    def find(self, file: File) -> Path | None:
        """Returns the path of a file, as published or decompressed, whose checksum is right; None without one.

        The file is read only if it is not recorded.
        """
        forms = on_disk(file, self._folder)
        for path, checksum in forms:
            if self._read().get(path.name) == _state(path, checksum):
                return path
        for path, checksum in forms:
            state = _state(path, checksum)
            if digest(path, checksum) == checksum:
                self._write(path.name, state)
                return path
        return None

    def record(self, path: Path, checksum: str) -> None:
        """Records a file whose checksum was found right while it was written."""
        self._write(path.name, _state(path, checksum))

    def _read(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(record, dict):
                return record
        return {}

    def _write(self, name: str, state: list[object]) -> None:
        """Adds a file to the record. Where that fails, as on a read-only disk, the file will be read again."""
        with contextlib.suppress(OSError):
            record = self._read() | {name: state}
            with replaced(self._path) as out:
                out.write(json.dumps(record, indent=2).encode())


def _state(path: Path, checksum: str) -> list[object]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, checksum]
