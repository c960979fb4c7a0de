"""Reading official files, compressed or not, and never further than expected."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from data.errors import UserError

PIECE = 1 << 20  # bytes read at a time


@contextmanager
def _read_errors_explained(path: str | Path) -> Iterator[None]:
    """Turns what can go wrong while `path` is opened or read into a UserError that names it."""
    try:
        yield
    except EOFError as error:
        raise UserError(f"{path} is truncated: its compressed data ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is corrupt, or is not a gzip file: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error


def opened(path: Path, as_it_is: bool = False) -> BufferedIOBase:
    """Opens a file for reading; unless `as_it_is`, one whose name ends in `.gz` is decompressed while it is read.

    Decompression makes only the bytes that are asked for, so a small archive cannot flood a reader that knows how
    much it wants. Raises UserError where the file cannot be opened.
    """
    with _read_errors_explained(path):
        return gzip.open(path, "rb") if path.suffix == ".gz" and not as_it_is else path.open("rb")


def read(stream: BufferedIOBase, count: int, path: str | Path) -> bytes:
    """Reads at most `count` bytes. Raises UserError, naming `path`, where gzip finds damage or the system an error."""
    with _read_errors_explained(path):
        return stream.read(count)


def read_line(stream: BufferedIOBase, longest: int, path: Path) -> bytes:
    """Reads the next line, or its first `longest` bytes; b"" at the end. Raises UserError as `read` does."""
    with _read_errors_explained(path):
        return stream.readline(longest)


def read_exactly(stream: BufferedIOBase, count: int, path: Path) -> bytes:
    """Reads the next `count` bytes. Raises UserError where the file ends before."""
    data = read(stream, count, path)
    if len(data) < count:
        raise UserError(f"{path} is truncated: {count - len(data)} bytes are missing where it ends")
    return data


def expect_end(stream: BufferedIOBase, path: Path) -> None:
    """Raises UserError where the file goes on. Reads at most one byte."""
    if read(stream, 1, path):
        raise UserError(f"{path} holds more than it should: it goes on after its last value")


def pieces(stream: BufferedIOBase, count: int, path: Path) -> Iterator[bytes]:
    """Yields a stream of `count` bytes piece by piece. Raises UserError where it is shorter or longer."""
    for start in range(0, count, PIECE):
        yield read_exactly(stream, min(PIECE, count - start), path)
    expect_end(stream, path)
