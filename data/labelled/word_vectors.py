"""Word vectors of a vocabulary's words, taken once from a file of word2vec's, so that no trial reads gigabytes."""

from __future__ import annotations

import gzip
import logging
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from data.errors import UserError
from data.labelled.text import SPECIAL, Vocabulary
from data.space import readable

if TYPE_CHECKING:  # importing it takes seconds
    from gensim.models import KeyedVectors

VECTORS = "vectors.npz"
LONGEST_HEADER = 100  # bytes; two numbers have far fewer
LONGEST_LINE = 2**20  # bytes of the first vector, written as text
MANY_BYTES = 10**8  # of a file that takes more than a moment to read
GARBAGE = 0.01  # share of words that are no UTF-8; word2vec cuts a few long ones within a letter
_GZIP = b"\x1f\x8b"
Identity = dict[str, str | int]
_LOADER = logging.getLogger("gensim.models.keyedvectors")


@dataclass(frozen=True, eq=False)
class WordVectors:
    """The vectors of V words, in the order of a vocabulary: `values` float32 [V, d], zeros where not `known`, bool [V].

    A caption's end and unknown words never are. The vectors are those of word2vec (Mikolov et al., "Distributed
    Representations of Words and Phrases and their Compositionality", NIPS 2013), or of whatever else is kept in its
    formats.
    """

    values: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, vocabulary: Vocabulary, file: Path) -> WordVectors:
        """Those that the file has, binary or text, compressed by gzip or not; its content says which.

        A word is looked up as `spellings` says. What is large is announced on stderr. UserError where the file is
        missing, damaged or of another kind, does not fit into memory, or knows no word of the vocabulary.
        """
        found = _read(file)
        values = np.zeros((len(vocabulary.words), found.vector_size), dtype=np.float32)
        known = np.zeros(len(vocabulary.words), dtype=bool)
        for number, word in enumerate(vocabulary.words[len(SPECIAL) :], len(SPECIAL)):
            if (spelling := next((s for s in spellings(word) if s in found.key_to_index), None)) is not None:
                values[number], known[number] = found[spelling], True
        if not known.any():
            raise UserError(
                f"{file} knows none of the {len(known) - len(SPECIAL):,} words of the captions: name one of their "
                "language with --word-vectors (in params.yaml, data.word_vectors)"
            )
        if not np.isfinite(values).all():
            raise _damaged(file, "it holds values that are no numbers")
        return cls(values, known)

    def coverage(self, vocabulary: Vocabulary) -> tuple[float, float]:
        """What is known, as shares in [0, 1]: of the vocabulary's words, the special ones left out, and of how often
        these come in the training captions."""
        counts, known = np.array(vocabulary.counts[len(SPECIAL) :]), self.known[len(SPECIAL) :]
        return float(known.mean()), float(counts[known].sum() / counts.sum())

    def save(self, folder: Path) -> None:
        """Writes vectors.npz."""
        np.savez(folder / VECTORS, values=self.values, known=self.known)

    @classmethod
    def open(cls, folder: Path) -> WordVectors:
        """Reads what `save` wrote. ValueError where it is something else."""
        with np.load(folder / VECTORS, allow_pickle=False) as file:
            values, known = file["values"], file["known"]
        if (values.dtype, known.dtype, values.ndim, known.shape) != (np.float32, bool, 2, values.shape[:1]):
            raise ValueError("it holds no word vectors")
        return cls(values, known)


def spellings(word: str) -> Iterable[str]:
    """How a lower-case word may be written in a file, the likeliest first.

    As it is, and capitalised, as a name; then the same with underscores for hyphens, with which word2vec joins what it
    takes for one phrase (t_shirt, T_shirt, New_York), and with a typographic apostrophe for the straight one.
    """
    written = (word, word.replace("-", "_"), word.replace("'", "’"))
    return dict.fromkeys(
        spelling
        for one in written
        for spelling in (one, one.capitalize(), "_".join(part.capitalize() for part in one.split("_")))
    )


def identity_of(file: Path) -> Identity:
    """What tells a file of vectors from another without reading it: its name, bytes, and when it was changed, in ns.

    Not its folder, which may be another one on another machine. UserError where there is no such file.
    """
    if not file.is_file():
        raise UserError(
            f"{file} is not a file: name one of word vectors with --word-vectors (in params.yaml, data.word_vectors)"
        )
    status = file.stat()
    return {"name": file.name, "bytes": status.st_size, "changed": status.st_mtime_ns}


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    """Its content, decompressed where it is compressed."""
    with file.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
        raw.seek(0)
        if packed:
            with gzip.open(raw) as stream:
                yield stream
        else:
            yield raw


@dataclass(frozen=True)
class _Kind:
    """What the beginning of a file says of it: so many words of so many dimensions, written in one of four ways."""

    words: int
    dimensions: int
    binary: bool
    packed: bool

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors in memory."""
        return 4 * self.words * self.dimensions

    @property
    def least(self) -> int:
        """Bytes that an uncompressed file cannot do without: a letter a word, and a blank and a digit a value."""
        return self.words * (2 + (4 if self.binary else 2) * self.dimensions)


def _kind(file: Path) -> _Kind:
    """UserError where it is no file of vectors."""
    with _opened(file) as stream:
        header, line = stream.readline(LONGEST_HEADER), stream.readline(LONGEST_LINE)
    try:
        words, dimensions = (int(number) for number in header.decode("ascii").split())
    except ValueError:
        raise UserError(
            f"{file} is no file of word2vec vectors: its first line must be the numbers of words and of dimensions, "
            "such as `3000000 300`. GloVe's files lack that line: write it into them; other formats must be converted"
        ) from None
    if min(words, dimensions) < 1:
        raise _damaged(file, f"its first line says {words} words of {dimensions} dimensions")
    numbers = _numbers(line)
    if numbers is not None and numbers not in (1, dimensions):  # one may be a binary vector that begins like a digit
        raise _damaged(file, f"its first line says {dimensions} dimensions, its first vector has {numbers}")
    with file.open("rb") as raw:
        packed = raw.read(len(_GZIP)) == _GZIP
    return _Kind(words, dimensions, numbers != dimensions, packed)


def _numbers(line: bytes) -> int | None:
    """How many numbers follow the word in a line of text; None where that is not what the line is."""
    try:
        return len([float(number) for number in line.decode().rstrip().split(" ")[1:]]) or None
    except ValueError:
        return None


def _read(file: Path) -> KeyedVectors:
    """All vectors of a file."""
    try:
        kind, size = _kind(file), file.stat().st_size
        if not kind.packed and size < kind.least:
            raise EOFError(f"it has {readable(size)}, too few for {kind.words:,} words of {kind.dimensions} dimensions")
        if size > MANY_BYTES:
            print(
                f"reading {kind.words:,} word vectors of {kind.dimensions} dimensions from {file}, which may take "
                f"minutes and takes {readable(kind.nbytes)} of memory, and more for the words",
                file=sys.stderr,
            )
        found = _loaded(file, kind)
        garbage = sum("\ufffd" in word for word in found.key_to_index)
        if garbage > max(1, GARBAGE * len(found)):
            raise ValueError(f"{garbage:,} of its words are no text")
    except MemoryError as error:
        raise UserError(
            f"{file} does not fit into this machine's memory: its {kind.words:,} vectors take {readable(kind.nbytes)}, "
            "and more for the words. Split on a machine with more, or name a smaller file with --word-vectors"
        ) from error
    except (EOFError, ValueError, AssertionError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(file, str(error) or "it breaks off") from error
    return found


def _loaded(file: Path, kind: _Kind) -> KeyedVectors:
    """By gensim, which tells from the suffix alone what is compressed: so it gets a link with the right one."""
    from gensim.models import KeyedVectors

    level = _LOADER.level
    _LOADER.setLevel(logging.ERROR)  # that a word comes twice is no matter: the first one counts
    try:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / ("vectors.gz" if kind.packed else "vectors")
            link.symlink_to(file.resolve())
            return KeyedVectors.load_word2vec_format(str(link), binary=kind.binary, unicode_errors="replace")
    finally:
        _LOADER.setLevel(level)


def _damaged(file: Path, how: str) -> UserError:
    return UserError(f"{file} is damaged, or no file of word2vec vectors ({how}): get it again, or name another one")
