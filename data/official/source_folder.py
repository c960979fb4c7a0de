"""Official files from a folder of the user's (`--source`): without internet, or where a licence forbids downloads."""

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
from data.official.checksums import digest
from data.progress import progress


class _OtherContent(UserError):
    """A file that is not what its name says."""


def find_file(file: File, source: Path) -> Path | None:
    """Returns the path of a file in a folder by its name, with or without `.gz`; None without one. Nothing is read."""
    names = (file.name, file.content_name) if file.content else (file.name,)
    return next((source / name for name in names if (source / name).is_file()), None)


def copy_files(files: Collection[File], folder: Path, source: Path) -> tuple[list[tuple[File, Path]], list[str]]:
    """Copies those of the files that are in `source` into `folder`.

    Returns the copied files with their paths, and what is wrong with those that could not be used. A byte-for-byte
    copy is a hard link where the disk is the same. A file that was compressed again is kept decompressed.
    """
    available = [(file, path) for file in files if (path := find_file(file, source))]
    need = sum(_bytes_to_write(file, path, folder) for file, path in available)
    check_space(folder, need, f"the copies of {len(available)} files from {source}")
    copied, wrong = [], []
    for file, path in available:
        try:
            copied.append((file, _copy_file(file, path, folder)))
        except UserError as error:
            wrong.append(str(error))
    return copied, wrong


def _may_be_as_published(file: File, path: Path) -> bool:
    """Says whether a path may be a byte-for-byte copy of a file, by its name and size."""
    return path.name == file.name and file.size in (None, path.stat().st_size)


def _same_disk(path: Path, folder: Path) -> bool:
    return path.stat().st_dev == existing(folder).stat().st_dev


def _bytes_to_write(file: File, path: Path, folder: Path) -> int:
    """Returns how many bytes copying a file will write."""
    if _may_be_as_published(file, path):
        return 0 if _same_disk(path, folder) else path.stat().st_size
    return file.content.size if file.content else 0


def _copy_file(file: File, path: Path, folder: Path) -> Path:
    """Copies one file as it is, if that is how it was published, or else its decompressed content."""
    if _may_be_as_published(file, path):
        try:
            return _link(file, path, folder) or _copy_content(
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
    return _copy_content(path, folder / file.content_name, file.content.size, file.content.checksum)


def _link(file: File, path: Path, folder: Path) -> Path | None:
    """Makes a hard link to the user's own file; None where the disk cannot do that."""
    target = folder / file.name
    if not _same_disk(path, folder):
        return None
    _expect_checksum(digest(path, file.checksum), file.checksum, path)
    partial = folder / f".{file.name}.partial"
    with write_errors_explained(target):
        folder.mkdir(exist_ok=True)
        partial.unlink(missing_ok=True)
        try:
            os.link(path.resolve(), partial)
        except OSError:  # several disks behind one device number, file systems without links, files of another user
            return None
        os.replace(partial, target)
        partial.unlink(missing_ok=True)  # `os.replace` leaves it where both names are of the same file
    return target


def _expect_checksum(checksum: str, expected: str, path: Path) -> None:
    if checksum != expected:
        raise _OtherContent(
            f"{path} is not the official file: the checksum of its content is {checksum}, expected {expected}. "
            "Get it again from its publisher."
        )


def _copy_content(path: Path, target: Path, size: int, checksum: str, as_it_is: bool = False) -> Path:
    """Writes the `size` bytes of a file, decompressed or as they are, to `target`, if their checksum is right."""
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
        _expect_checksum(f"{sum_.name}:{sum_.hexdigest()}", checksum, path)
    return target
