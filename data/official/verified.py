"""Which official files are whole: by their checksums, of which it keeps receipts, so that each is read once."""

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
    """The file in that folder, as published, decompressed or both, where its size is right or not known; nothing
    is read. Each with the checksum that it should have.
    """
    forms = [(folder / file.name, file.size, file.checksum)]
    if file.content:
        forms.append((folder / file.content_name, file.content.size, file.content.checksum))
    return [(path, sum_) for path, size, sum_ in forms if path.is_file() and size in (None, path.stat().st_size)]


def digest(path: Path, checksum: str) -> str:
    """The checksum of a file by the algorithm of another, as `algorithm:hexadecimal digest`."""
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


class Receipts:
    """What was found whole in a folder of official files: {file name: [size, time of change in ns, checksum]}.

    They lie beside the folder, because they are about this machine and the folder is not. A file that was written to
    since, or whose checksum in the catalog is another one, has no receipt any more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder.parent / f".{folder.name}.verified.json"

    def whole(self, file: File) -> Path | None:
        """The file, as published or decompressed, if its checksum is right: by its receipt, or else by reading it."""
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
        """Remembers a file whose checksum was found right as it was written."""
        self._write(path.name, _state(path, checksum))

    def _read(self) -> dict[str, object]:
        with contextlib.suppress(OSError, ValueError):
            receipts = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(receipts, dict):
                return receipts
        return {}

    def _write(self, name: str, state: list[object]) -> None:
        """Where that cannot be written, as on a disk that others share out read-only, files are read again."""
        with contextlib.suppress(OSError):
            receipts = self._read() | {name: state}
            with replaced(self._path) as out:
                out.write(json.dumps(receipts, indent=2).encode())


def _state(path: Path, checksum: str) -> list[object]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, checksum]
