"""The captions of a dataset as a trial uses them: as numbers of words to learn from, and as texts to score against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from data.labelled.splits import Splits
from data.labelled.text import END, Texts, Vocabulary
from data.labelled.word_vectors import WordVectors
from data.prepared.store import ImageStore
from data.tokens import words
from vae.caption_model import PADDING

LONGEST = 60  # words that a caption is cut to, its end included: a few of COCO's have hundreds
LEAST = 2  # columns of a batch, at least: a recurrent cell reads one word even where all captions are empty


class Captions:
    """All captions of a dataset, by the indices of its images.

    Args:
        store: the images, with the texts of their captions.
        splits: the dataset's splits, with its vocabulary and the captions as numbers of words.
    """

    def __init__(self, store: ImageStore, splits: Splits) -> None:
        self._store, self._train = store, splits.train
        self.vocabulary: Vocabulary = splits.vocabulary
        self.vectors: WordVectors | None = splits.vectors
        self._texts: Texts = splits.texts

    def drawn(self, images: Sequence[int] | np.ndarray, chances: np.ndarray) -> np.ndarray:
        """Returns one caption of each image, as numbers of words: int64 [n, L], padded.

        `chances` [n] are numbers in [0, 1); each chooses one of an image's captions.
        """
        first, counts = self._first_and_count(images)
        return self._rows(first + (chances * counts).astype(np.int64))

    def every(self, images: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns all captions of the images, as numbers of words: int64 [n, L], padded; and each one's image, [n].

        An image is given by its position in `images`.
        """
        first, counts = self._first_and_count(images)
        owner = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._rows(first[owner] + within), owner

    def _first_and_count(self, images: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the number of each image's first caption, and how many captions it has."""
        images = np.asarray(images)
        first = self._texts.images[images]
        return first, self._texts.images[images + 1] - first

    def _rows(self, captions: np.ndarray) -> np.ndarray:
        """Returns captions, given by their numbers, as numbers of words: int64 [n, L], padded."""
        starts, ends = self._texts.captions[captions], self._texts.captions[captions + 1]
        lengths = np.minimum(ends - starts, LONGEST)
        rows = np.full((len(captions), int(lengths.max(initial=LEAST))), PADDING, dtype=np.int64)
        inside = np.arange(rows.shape[1]) < lengths[:, None]
        rows[inside] = self._texts.numbers[(starts[:, None] + np.arange(rows.shape[1]))[inside]]
        rows[np.arange(len(rows)), lengths - 1] = END
        return rows

    def mean_words(self, images: np.ndarray) -> float:
        """Returns T, the mean number of words of the images' captions; the end of a caption counts as a word."""
        first, counts = self._first_and_count(images)
        chosen = np.concatenate([np.arange(start, start + count) for start, count in zip(first, counts, strict=True)])
        lengths = self._texts.captions[chosen + 1] - self._texts.captions[chosen]
        return float(np.minimum(lengths, LONGEST).mean())

    def references(self, images: Sequence[int] | np.ndarray) -> list[tuple[str, ...]]:
        """Returns the captions of each image as they were written."""
        return [self._store.captions[image] for image in images]

    def familiar(self, image: int) -> bool:
        """Returns whether each of the image's captions is, word for word, also a caption of a training image."""
        return all(" ".join(words(caption)) in self._known_captions for caption in self._store.captions[image])

    @cached_property
    def _known_captions(self) -> frozenset[str]:
        """The captions of all training images, as words with blanks between."""
        return frozenset(" ".join(words(caption)) for image in self._train for caption in self._store.captions[image])
