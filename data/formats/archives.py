"""Members of .zip, .tar and .tar.gz archives, read where they are.

Nothing is ever written under a name that an archive gives, so no name can lead out of a folder. An archive that is
compressed as a whole is decompressed once, into one plain tar whose name this module chooses.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import BufferedIOBase
from pathlib import Path

from data.atomic import alone, whole_file
from data.bounded_reading import PIECE, opened, read, read_exactly
from data.disk_space import check_space
from data.errors import UserError
from data.progress import progress

OPEN_FILES = 8  # files that a thread keeps open between two reads
FRAMING = 1 << 20  # bytes of headers and padding that even a tar of tiny files may need
GZIP, ZIP = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")  # the first bytes of such files
END_MARK = bytes(tarfile.BLOCKSIZE)  # follows a tar's last member: without it, the tar may be cut
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, …, lengths of the name and of the extra field that follow it
ENCRYPTED = 0x1  # flag of a member of a zip
LEFT_BEHIND = re.compile(r"(^|/)(__MACOSX(/|$)|\._|\.DS_Store$|Thumbs\.db$)")  # by operating systems
LEADS_OUT = re.compile(r"^$|^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")

_kept = threading.local()


def faulty(what: str | Path, problem: str) -> UserError:
    """Returns the error for an official file, or a part of it, that is not as it should be."""
    return UserError(f"{what}: {problem}. Delete that file and get it again with `python -m data download`.")


def close_files() -> None:
    """Closes the files that this thread keeps open, so that the system can free the space of deleted ones."""
    files = _kept.__dict__.get("files", {})
    while files:
        files.popitem()[1].close()


def _bytes_at(path: Path, offset: int, count: int) -> bytes:
    """Reads bytes of a file that stays open for the next call. Each thread of each process has its own."""
    files = _kept.__dict__.setdefault("files", OrderedDict())
    try:
        now = path.stat()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    key = (os.getpid(), path, now.st_ino, now.st_size, now.st_mtime_ns)  # a file that has been replaced has another key
    if key not in files:
        files[key] = opened(path, as_it_is=True)
    files.move_to_end(key)
    while len(files) > OPEN_FILES:
        files.popitem(last=False)[1].close()
    files[key].seek(offset)
    return read_exactly(files[key], count, path)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A file on disk; `name` is its path relative to `folder`."""

    folder: Path
    name: str

    def read(self) -> bytes:
        """Returns all of its bytes. Raises UserError where it cannot be read."""
        path = self.folder / self.name
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class Stored:
    """A member of a tar, or of a tar in a tar: `size` bytes of the file `path` from `offset` on."""

    path: Path
    name: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Returns all of its bytes. Raises UserError where the archive is truncated or cannot be read."""
        return _bytes_at(self.path, self.offset, self.size)


@dataclass(frozen=True, slots=True)
class Zipped:
    """A member of a zip. `offset` is the position of its local header, `packed` the number of bytes that follow it."""

    path: Path
    name: str
    offset: int
    size: int
    packed: int
    crc: int
    deflated: bool

    def read(self) -> bytes:
        """Returns all of its bytes; at most one byte more than `size` is decompressed.

        Raises:
            UserError: the member is corrupt, or its size is not what the archive says.
        """
        what = f"{self.path}, member {self.name!r}"
        signature, *lengths = LOCAL_HEADER.unpack(_bytes_at(self.path, self.offset, LOCAL_HEADER.size))
        if signature != ZIP[0]:
            raise faulty(what, "it is not where it should be")
        data = _bytes_at(self.path, self.offset + LOCAL_HEADER.size + sum(lengths), self.packed)
        if self.deflated:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise faulty(what, f"it is corrupt ({error})") from error
        if len(data) != self.size:
            raise faulty(what, f"it holds {'more' if len(data) > self.size else 'less'} than {self.size} bytes")
        if zlib.crc32(data) != self.crc:
            raise faulty(what, "it is corrupt (its checksum is wrong)")
        return data


Member = Stored | Zipped


def members(path: Path, limit: int, unpacked: Path) -> list[Member]:
    """Returns the files in an archive, in its order, without its folders and what operating systems leave behind.

    A compressed tar is decompressed into the folder `unpacked`, where a later call finds it.

    Raises:
        UserError: the archive is truncated, corrupt or none at all; its files hold more than `limit` bytes together;
            two members have one name; or it holds what no dataset needs: encrypted members, links, devices, or
            names that lead out of the archive. The message names the archive and the member.
    """
    with opened(path, as_it_is=True) as stream:
        magic, now = read(stream, 4, path), path.stat()
        stream.seek(0)
        if magic in ZIP:
            return _checked(path, limit, _in_zip(path))
        if magic[:2] != GZIP:
            return _checked(path, limit, _in_tar(path, stream, now.st_size, path))
        target = unpacked / f"{path.name}-{now.st_size}-{now.st_mtime_ns}.tar"
        return _in_copy(stream, now.st_size, target, limit, path)


def inner(place: Member, limit: int, unpacked: Path) -> list[Member]:
    """Returns the files in a tar that is itself a member, as `members` does. A plain tar in a tar is not copied."""
    what = f"{place.path}, member {place.name!r}"
    if isinstance(place, Stored) and _bytes_at(place.path, place.offset, min(2, place.size)) != GZIP:
        with opened(place.path, as_it_is=True) as stream:
            stream.seek(place.offset)
            return _checked(what, limit, _in_tar(place.path, stream, place.offset + place.size, what))
    data = place.read()
    target = unpacked / f"{os.path.basename(place.name)}-{len(data)}-{zlib.crc32(data):08x}.tar"
    return _in_copy(io.BytesIO(data), len(data), target, limit, what)


def _in_copy(packed: BufferedIOBase, size: int, target: Path, limit: int, what: str | Path) -> list[Member]:
    """Returns the members of the tar in a stream of `size` bytes, decompressed into the file `target` if need be."""
    most = 2 * limit + FRAMING  # a rough bound; afterwards the sizes of the members are added up
    with alone(target):
        if not target.is_file():  # it gets its name when it is whole
            compressed = packed.read(2) == GZIP
            packed.seek(0)
            stream = gzip.GzipFile(fileobj=packed, mode="rb") if compressed else packed
            check_space(target.parent, limit, f"what {os.path.basename(target)} holds")
            with whole_file(target) as out, progress(size, f"unpacking {os.path.basename(target)}", "B") as bar:
                done = 0
                while piece := read(stream, PIECE, what):
                    done += len(piece)
                    if done > most:
                        raise faulty(what, f"it holds more than the {limit:,} bytes that it may")
                    out.write(piece)
                    bar.update(packed.tell() - bar.n)
    with opened(target, as_it_is=True) as stream:
        return _checked(what, limit, _in_tar(target, stream, target.stat().st_size, what))


def _in_tar(path: Path, stream: BufferedIOBase, end: int, what: str | Path) -> Iterator[Member]:
    """Yields the members of the tar that begins at the stream's position and ends at the position `end` or before."""
    after = stream.tell()
    try:
        archive = tarfile.TarFile(fileobj=stream)
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # not in its stub; it would grow for ever
            member = f"{what}, member {info.name!r}"
            if info.offset_data < after or info.size < 0:
                raise faulty(member, "it is corrupt (its header makes no sense)")
            after = info.offset_data + info.size
            if after > end:
                raise faulty(member, f"it is truncated: {after - end} bytes are missing")
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise faulty(member, "it is a link, a device or a file with holes, which no dataset needs")
            yield Stored(path, info.name, info.offset_data, info.size)
        stream.seek(archive.offset)
        if archive.offset + len(END_MARK) > end or stream.read(len(END_MARK)) != END_MARK:
            raise faulty(what, "it is truncated or corrupt: after its last member there is no end mark")
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as error:  # the last two: absurd sizes
        raise faulty(what, f"it is not a whole .zip, .tar or .tar.gz archive ({error})") from error


def _in_zip(path: Path) -> Iterator[Member]:
    """Yields the members of a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
        end = path.stat().st_size
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise faulty(path, f"it is truncated, or not a .zip archive ({error})") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    for info in infos:
        member = f"{path}, member {info.orig_filename!r}"
        if info.flag_bits & ENCRYPTED:
            raise faulty(member, "it is encrypted, which no official file is")
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise faulty(member, "it is a link or a device, which no dataset needs")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise faulty(member, f"it is compressed in a way that is not known here ({info.compress_type})")
        if not 0 <= info.header_offset <= end - LOCAL_HEADER.size - info.compress_size:
            raise faulty(member, "it is truncated or corrupt: it would lie outside of the archive")
        if not info.orig_filename.endswith("/"):
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            yield Zipped(
                path, info.orig_filename, info.header_offset, info.file_size, info.compress_size, info.CRC, deflated
            )


def _checked(what: str | Path, limit: int, entries: Iterable[Member]) -> list[Member]:
    """Returns members whose names and sizes were checked, their names normalised. None of their content is read."""
    kept: dict[str, Member] = {}
    left = limit
    for member in entries:
        if LEADS_OUT.search(member.name):
            raise faulty(what, f"the name of its member {member.name!r} leads out of it")
        left -= member.size
        if left < 0:
            raise faulty(what, f"it holds more than the {limit:,} bytes that it may")
        if LEFT_BEHIND.search(member.name):
            continue
        name = member.name
        if name.startswith("./") or "//" in name or "/./" in name:
            name = "/".join(part for part in name.split("/") if part not in ("", "."))
            member = replace(member, name=name)
        if name in kept:
            raise faulty(what, f"two of its members are named {name!r}")
        kept[name] = member
    return list(kept.values())
