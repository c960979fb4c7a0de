"""Reading official files, compressed or not, never further than they should go."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from data.errors import UserError

PIECE = 1 << 20  # bytes read at a time


@contextmanager
def _read_errors_explained(path: Path) -> Iterator[None]:
    """Turns what may go wrong while `path` is opened or read into a UserError that names it."""
    try:
        yield
    except EOFError as error:
        raise UserError(f"{path} is truncated: its compressed data ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is corrupt, or is not a gzip file: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def opened(path: Path, as_it_is: bool = False) -> BinaryIO:
    """The content of a file, decompressed on the way where its name ends in `.gz`, unless wanted as it is.

    Decompression makes only the bytes asked for, so a reader that knows how much it wants cannot be
    flooded. UserError where the file cannot be opened.
    """
    with _read_errors_explained(path):
        return (gzip.open if path.suffix == ".gz" and not as_it_is else open)(path, "rb")


def read(stream: BinaryIO, count: int, path: Path) -> bytes:
    """At most `count` bytes more; UserError where the file is truncated or corrupt as gzip, or unreadable."""
    with _read_errors_explained(path):
        return stream.read(count)


def read_line(stream: BinaryIO, longest: int, path: Path) -> bytes:
    """The next line, of which at most `longest` bytes are read; empty at the end. UserError as for `read`."""
    with _read_errors_explained(path):
        return stream.readline(longest)


def read_exactly(stream: BinaryIO, count: int, path: Path) -> bytes:
    """The next `count` bytes; UserError where the file ends before."""
    data = read(stream, count, path)
    if len(data) < count:
        raise UserError(f"{path} is truncated: {count - len(data)} bytes are missing where it ends")
    return data


def expect_end(stream: BinaryIO, path: Path) -> None:
    """UserError where the file goes on; looks at one byte more and no further."""
    if read(stream, 1, path):
        raise UserError(f"{path} holds more than it should: it goes on after its last value")


def pieces(stream: BinaryIO, count: int, path: Path) -> Iterator[bytes]:
    """All of a stream of `count` bytes, piece by piece; UserError where it is shorter or longer."""
    for start in range(0, count, PIECE):
        yield read_exactly(stream, min(PIECE, count - start), path)
    expect_end(stream, path)
