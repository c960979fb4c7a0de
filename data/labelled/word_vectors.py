"""Word vectors of a vocabulary's words, read once from a file of word2vec vectors, so that no trial reads gigabytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.disk_space import readable
from data.errors import UserError
from data.labelled.text import SPECIAL, Vocabulary
from data.labelled.word2vec_files import damaged, read_header, read_vectors

VECTORS = "vectors.npz"
Identity = dict[str, str | int]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors of dimension d for the V words of a vocabulary, in its order.

    `values` float32 [V, d] holds zeros for the words that are not `known`, bool [V]. The end of a caption and the
    unknown word are never known. The vectors are those of word2vec (Mikolov et al., "Distributed Representations of
    Words and Phrases and their Compositionality", NIPS 2013), or others that are kept in its formats.
    """

    values: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, vocabulary: Vocabulary, file: Path) -> WordVectors:
        """Reads the vectors of a vocabulary's words from a file, binary or text, compressed by gzip or not.

        Of several `spellings` of a word in the file the likeliest counts; of a spelling that comes twice, the first.

        Raises:
            UserError: the file is damaged or of another kind, its vectors do not fit into memory, or it knows no word.
        """
        header = read_header(file)
        words = len(vocabulary.words)
        try:
            values = np.zeros((words, header.dimensions), dtype=np.float32)
        except (MemoryError, ValueError) as error:
            raise UserError(
                f"{file} does not fit into this machine's memory: its vectors of {words:,} words take "
                f"{readable(4 * words * header.dimensions)}. Split on a machine with more, or name a file of fewer "
                "dimensions with --word-vectors"
            ) from error
        candidates: dict[str, list[tuple[int, int]]] = {}  # by spelling: its rank for a word, and that word's number
        for number, word in enumerate(vocabulary.words[len(SPECIAL) :], len(SPECIAL)):
            for rank, spelling in enumerate(spellings(word)):
                candidates.setdefault(spelling, []).append((rank, number))
        ranks: dict[int, int] = {}  # by a word's number: the rank of the spelling whose vector it has
        for spelling, vector in read_vectors(file, header, candidates):
            for rank, number in candidates[spelling]:
                if number not in ranks or rank < ranks[number]:
                    values[number], ranks[number] = vector, rank
        known = np.isin(np.arange(words), list(ranks))
        if not known.any():
            raise UserError(
                f"{file} knows none of the {words - len(SPECIAL):,} words of the captions: name one of their "
                "language with --word-vectors (in params.yaml, data.word_vectors)"
            )
        if not np.isfinite(values).all():
            raise damaged(file, "it holds values that are not numbers")
        return cls(values, known)

    def coverage(self, vocabulary: Vocabulary) -> tuple[float, float]:
        """How much has a vector, as shares in [0, 1]: of the vocabulary's words, and of their occurrences in training.

        The special words are left out; occurrences are counted in the training captions.
        """
        counts, known = np.array(vocabulary.counts[len(SPECIAL) :]), self.known[len(SPECIAL) :]
        return float(known.mean()), float(counts[known].sum() / counts.sum())

    def save(self, folder: Path) -> None:
        """Writes vectors.npz into a folder."""
        np.savez(folder / VECTORS, values=self.values, known=self.known)

    @classmethod
    def open(cls, folder: Path) -> WordVectors:
        """Reads what `save` wrote. Raises ValueError where the file holds something else."""
        with np.load(folder / VECTORS, allow_pickle=False) as file:
            values, known = file["values"], file["known"]
        if (values.dtype, known.dtype, values.ndim, known.shape) != (np.float32, bool, 2, values.shape[:1]):
            raise ValueError("it holds no word vectors")
        return cls(values, known)


def spellings(word: str) -> Iterable[str]:
    """Returns how a lower-case word may be written in a file of word vectors, the likeliest spelling first.

    First the word as it is, then capitalised, as a name. The same follows with underscores for hyphens, by which
    word2vec joins the words of a phrase (t_shirt, T_shirt, New_York), and with a typographic apostrophe.
    """
    written = (word, word.replace("-", "_"), word.replace("'", "’"))
    return dict.fromkeys(
        spelling
        for one in written
        for spelling in (one, one.capitalize(), "_".join(part.capitalize() for part in one.split("_")))
    )


def identity_of(file: Path) -> Identity:
    """Returns what tells a file from another without reading it: its name, size in bytes and time of change in ns.

    Its folder is left out, because another machine may keep the file elsewhere. Raises UserError where there is no
    such file.
    """
    if not file.is_file():
        raise UserError(
            f"{file} is not a file: name one of word vectors with --word-vectors (in params.yaml, data.word_vectors)"
        )
    status = file.stat()
    return {"name": file.name, "bytes": status.st_size, "changed": status.st_mtime_ns}
