"""Official files from a folder of the user's, for machines without internet and licences without downloads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from data.atomic import whole_file, write_errors_explained
from data.bounded_reading import opened, pieces
from data.dataset import File
from data.disk_space import check_space, existing
from data.errors import UserError
from data.official.verified import digest
from data.progress import progress


class _OtherContent(UserError):
    """A file that is not what its name says."""


def found(file: File, source: Path) -> Path | None:
    """The file in a folder of the user's, by its name, with or without its `.gz`; nothing is read."""
    names = (file.name, file.content_name) if file.content else (file.name,)
    return next((source / name for name in names if (source / name).is_file()), None)


def take(files: Collection[File], folder: Path, source: Path) -> tuple[list[tuple[File, Path]], list[str]]:
    """Those of the files that are in `source`, into `folder`; and what is wrong with those that were not taken.

    Byte-for-byte copies are hard links where the disk is the same; what is compressed anew is kept decompressed.
    """
    here = [(file, path) for file in files if (path := found(file, source))]
    need = sum(_cost(file, path, folder) for file, path in here)
    check_space(folder, need, f"the copies of {len(here)} files from {source}")
    taken, wrong = [], []
    for file, path in here:
        try:
            taken.append((file, _taken(file, path, folder)))
        except UserError as error:
            wrong.append(str(error))
    return taken, wrong


def _as_published(file: File, path: Path) -> bool:
    """Whether it may be a byte-for-byte copy, by its name and size."""
    return path.name == file.name and file.size in (None, path.stat().st_size)


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == existing(folder).stat().st_dev


def _cost(file: File, path: Path, folder: Path) -> int:
    """Bytes that taking it will write."""
    if _as_published(file, path):
        return 0 if _same_disk(path, folder) else path.stat().st_size
    return file.content.size if file.content else 0


def _taken(file: File, path: Path, folder: Path) -> Path:
    """Takes one file: as it is if that is how it was published, else its content."""
    if _as_published(file, path):
        try:
            return _linked(file, path, folder) or _copied(
                path, folder / file.name, path.stat().st_size, file.checksum, as_it_is=True
            )
        except _OtherContent:
            if not file.content:
                raise
    if not file.content:
        raise _OtherContent(
            f"{path} is not the official file: it has {path.stat().st_size} bytes, expected {file.size}. "
            "Get it again from its publisher."
        )
    return _copied(path, folder / file.content_name, file.content.size, file.content.checksum)


def _linked(file: File, path: Path, folder: Path) -> Path | None:
    """Makes the user's own file the official one, under a second name; None where the disk does not do that."""
    target = folder / file.name
    if not _same_disk(path, folder):
        return None
    _expect(digest(path, file.checksum), file.checksum, path)
    partial = folder / f".{file.name}.partial"
    with write_errors_explained(target):
        folder.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        try:
            os.link(path.resolve(), partial)
        except OSError:  # other disks behind one number, file systems without links, files of another user
            return None
        os.replace(partial, target)
        partial.unlink(missing_ok=True)  # still there where both names were those of one file
    return target


def _expect(checksum: str, expected: str, path: Path) -> None:
    if checksum != expected:
        raise _OtherContent(
            f"{path} is not the official file: the checksum of its content is {checksum}, expected {expected}. "
            "Get it again from its publisher."
        )


def _copied(path: Path, target: Path, size: int, checksum: str, as_it_is: bool = False) -> Path:
    """Makes the `size` bytes of a file, decompressed or as they are, the file `target`; none if they are wrong."""
    sum_ = hashlib.new(checksum.partition(":")[0])
    with (
        opened(path, as_it_is) as stream,
        whole_file(target) as out,
        progress(size, f"copying {path.name}", "B") as bar,
    ):
        for piece in pieces(stream, size, path):
            sum_.update(piece)
            out.write(piece)
            bar.update(len(piece))
        _expect(f"{sum_.name}:{sum_.hexdigest()}", checksum, path)
    return target
