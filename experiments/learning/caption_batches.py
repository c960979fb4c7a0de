"""The captions of a dataset as a trial uses them: numbers to learn from, texts to be scored by."""

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

LONGEST = 60  # words, the end among them, that a caption is cut to: a few of COCO's have hundreds
LEAST = 2  # columns: a cell reads one word at least, even where all that was said is nothing


class Captions:
    """All captions of a dataset, by its images' indices."""

    def __init__(self, store: ImageStore, splits: Splits) -> None:
        self._store, self._train = store, splits.train
        self.vocabulary: Vocabulary = splits.vocabulary
        self.vectors: WordVectors | None = splits.vectors
        self._texts: Texts = splits.texts

    def drawn(self, images: Sequence[int] | np.ndarray, chances: np.ndarray) -> np.ndarray:
        """One caption of each image, by a number in [0, 1) for each, as words: int64 [n, L], padded."""
        first, counts = self._whose(images)
        return self._rows(first + (chances * counts).astype(np.int64))

    def every(self, images: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All captions of those images, as words: int64 [n, L], padded; and which of the images each is of, [n]."""
        first, counts = self._whose(images)
        owner = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._rows(first[owner] + within), owner

    def _whose(self, images: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The number of each image's first caption, and how many it has."""
        images = np.asarray(images)
        first = self._texts.images[images]
        return first, self._texts.images[images + 1] - first

    def _rows(self, captions: np.ndarray) -> np.ndarray:
        starts, ends = self._texts.captions[captions], self._texts.captions[captions + 1]
        lengths = np.minimum(ends - starts, LONGEST)
        rows = np.full((len(captions), int(lengths.max(initial=LEAST))), PADDING, dtype=np.int64)
        inside = np.arange(rows.shape[1]) < lengths[:, None]
        rows[inside] = self._texts.numbers[(starts[:, None] + np.arange(rows.shape[1]))[inside]]
        rows[np.arange(len(rows)), lengths - 1] = END
        return rows

    def mean_words(self, images: np.ndarray) -> float:
        """T: the words of a caption, its end among them, on average over the captions of those images."""
        first, counts = self._whose(images)
        chosen = np.concatenate([np.arange(start, start + count) for start, count in zip(first, counts, strict=True)])
        lengths = self._texts.captions[chosen + 1] - self._texts.captions[chosen]
        return float(np.minimum(lengths, LONGEST).mean())

    def references(self, images: Sequence[int] | np.ndarray) -> list[tuple[str, ...]]:
        """The captions of each image as they were written."""
        return [self._store.captions[image] for image in images]

    def familiar(self, image: int) -> bool:
        """Whether all of the image's captions are, word for word, captions of training images too."""
        return all(" ".join(words(caption)) in self._known for caption in self._store.captions[image])

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(" ".join(words(caption)) for image in self._train for caption in self._store.captions[image])
