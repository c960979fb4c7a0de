"""The two file formats of word2vec, binary and text, plain or compressed by gzip, read as a stream.

Both begin with a line of two numbers: how many words there are, and of how many dimensions d their vectors. In the
binary format a word, a blank and d float32, least significant byte first, follow for each word; in the text format a
line with the word and d numbers, separated by blanks. Files of gigabytes are read in pieces: memory holds one piece and
one vector at a time.
"""

from __future__ import annotations

import gzip
import re
import sys
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from unicodedata import normalize

import numpy as np

from data.disk_space import readable
from data.errors import UserError

LONGEST_HEADER = 100  # bytes; two numbers have far fewer
LONGEST_LINE = 2**20  # bytes of a line of the text format, and of a word of the binary one
PIECE = 2**20  # bytes read at a time
MANY_BYTES = 10**8  # of a file that takes more than a moment to read
MOST_INVALID = 0.01  # share of words that may be invalid UTF-8: word2vec cuts a few long words within a letter
REPLACEMENT = "\ufffd"  # what invalid UTF-8 becomes
_BEGINS_A_NUMBER = re.compile(r"[+-]?[.,]?\d")
_GZIP = b"\x1f\x8b"
_BREAKS_OFF = "unexpected end of the file: is the number of words in its first line wrong?"


@dataclass(frozen=True)
class Header:
    """What the beginning of a file says: the numbers of words and of dimensions, and which of the two formats it is."""

    words: int
    dimensions: int
    binary: bool

    @property
    def least_bytes(self) -> int:
        """The size below which an uncompressed file cannot be whole: a letter a word, a blank and a digit a number."""
        return self.words * (2 + (4 if self.binary else 2) * self.dimensions)


def read_header(file: Path) -> Header:
    """Reads the beginning of a file.

    Raises:
        UserError: it is no file of word vectors, or too short for the numbers in its first line.
    """
    try:
        with _opened(file) as stream:
            first, second = stream.readline(LONGEST_HEADER), stream.readline(LONGEST_LINE)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(file, str(error)) from error
    try:
        words, dimensions = (int(number) for number in first.decode("ascii").split())
    except ValueError:
        raise UserError(
            f"{file} is not a file of word2vec vectors: its first line must be the numbers of words and of dimensions, "
            "such as `3000000 300`. GloVe's files lack that line: write it into them; other formats must be converted"
        ) from None
    if min(words, dimensions) < 1:
        raise damaged(file, f"its first line says {words} words of {dimensions} dimensions")
    numbers = _count_numbers(second)
    if numbers is not None and numbers not in (1, dimensions):  # one may be a binary vector that begins like a digit
        raise damaged(file, f"its first line says {dimensions} dimensions, its first vector has {numbers}")
    if numbers is None and (flaw := _flaw_of_text(second, dimensions)):
        raise damaged(file, f"line 2: {flaw}")
    header = Header(words, dimensions, binary=numbers != dimensions)
    size = file.stat().st_size
    if size < header.least_bytes and not _is_gzip(file):
        raise damaged(file, f"it has {readable(size)}, too few for {words:,} words of {dimensions} dimensions")
    return header


def read_vectors(file: Path, header: Header, wanted: Container[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the wanted words of a file with their vectors, float32 [dimensions], in the file's order.

    A word that comes twice is yielded twice. A large file is announced on stderr.

    Raises:
        UserError: a part of the file is damaged, wanted or not; or too many words are invalid UTF-8.
    """
    if file.stat().st_size > MANY_BYTES:
        print(
            f"reading {header.words:,} word vectors of {header.dimensions} dimensions from {file}, which may take "
            "minutes",
            file=sys.stderr,
        )
    invalid: set[str] = set()
    most_invalid = max(1, MOST_INVALID * header.words)
    try:
        with _opened(file) as stream:
            stream.readline(LONGEST_HEADER)
            for word, vector in (_binary_vectors if header.binary else _text_vectors)(stream, header):
                if (composed := normalize("NFC", word)) in wanted:  # as `data.tokens` has them
                    yield composed, vector
                elif REPLACEMENT in word and len(invalid) <= most_invalid:
                    invalid.add(word)
            stream.read(1)  # gzip compares the checksum when it reaches the end
        if len(invalid) > most_invalid:
            raise ValueError(f"{len(invalid):,} of its words are no text")
    except (EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(file, str(error) or "it breaks off") from error


def damaged(file: Path, reason: str) -> UserError:
    """Returns the error that tells the user that a file of word vectors is damaged."""
    return UserError(
        f"{file} is damaged, or not a file of word2vec vectors ({reason}): get it again, or name another one"
    )


def _is_gzip(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(_GZIP)) == _GZIP


@contextmanager
def _opened(file: Path) -> Iterator[BufferedIOBase]:
    """Yields the content of a file, decompressed if its first bytes, whatever its name, are those of gzip."""
    if _is_gzip(file):
        with gzip.open(file, "rb") as stream:
            yield stream
    else:
        with file.open("rb") as stream:
            yield stream


def _count_numbers(line: bytes) -> int | None:
    """How many numbers follow the word in a line of the text format; None if the line is not of that format."""
    try:
        return len([float(number) for number in line.decode().rstrip().split(" ")[1:]]) or None
    except ValueError:
        return None


def _flaw_of_text(line: bytes, dimensions: int) -> str | None:
    """Says why a line without numbers is not of the text format; None where it may begin a binary vector.

    Text is printable and has a digit for each number. A binary vector of several values is hardly ever printable.
    """
    text = line.decode(errors="replace").rstrip().replace("\t", " ")
    fields = text.split(" ")[1:]
    is_text = text.isprintable() and REPLACEMENT not in text and any(map(_BEGINS_A_NUMBER.match, fields))
    if dimensions == 1 or not is_text or len(line) < 2 * dimensions:
        return None
    return _not_a_number(fields) or "its numbers must be separated by blanks"


def _not_a_number(fields: list[str]) -> str | None:
    """Names the first field that is not a number; None where all are."""
    for field in fields:
        try:
            float(field)
        except ValueError:
            return f"{field!r} is not a number" + ("; decimals need a point" if "," in field else "")
    return None


def _binary_vectors(stream: BufferedIOBase, header: Header) -> Iterator[tuple[str, np.ndarray]]:
    """All words and vectors of a binary file whose header was read. Raises EOFError or ValueError where it is damaged.

    word2vec itself ends each vector with a line break, other programs do not: at the start of a word it is left out.
    """
    vector_bytes = 4 * header.dimensions
    buffer, start = b"", 0  # the next word starts there
    for _ in range(header.words):
        while (blank := buffer.find(b" ", start)) < 0 or len(buffer) - blank - 1 < vector_bytes:
            if blank < 0 and len(buffer) - start > LONGEST_LINE:
                raise ValueError(f"a word has more than {LONGEST_LINE:,} bytes")
            if not (piece := stream.read(max(PIECE, vector_bytes))):
                raise EOFError(_BREAKS_OFF)
            buffer, start = buffer[start:] + piece, 0
        word = buffer[start:blank].decode(errors="replace").lstrip("\n")
        yield word, np.frombuffer(buffer, "<f4", header.dimensions, blank + 1)
        start = blank + 1 + vector_bytes


def _text_vectors(stream: BufferedIOBase, header: Header) -> Iterator[tuple[str, np.ndarray]]:
    """All words and vectors of a text file whose header was read. Raises EOFError or ValueError where it is damaged."""
    for line_number in range(2, header.words + 2):
        line = stream.readline(LONGEST_LINE)
        if not line:
            raise EOFError(_BREAKS_OFF)
        if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            raise ValueError(f"line {line_number} has more than {LONGEST_LINE:,} bytes")
        word, *numbers = line.rstrip().decode(errors="replace").split(" ")
        if len(numbers) != header.dimensions:
            raise ValueError(f"line {line_number} has {len(numbers)} numbers, not {header.dimensions}")
        try:
            with np.errstate(over="ignore"):  # too large a number becomes infinite
                vector = np.array([float(number) for number in numbers], dtype=np.float32)
        except ValueError:
            raise ValueError(f"line {line_number}: {_not_a_number(numbers)}") from None
        yield word, vector
