"""Captions as numbers: the vocabulary of a training part, and every caption as the numbers of its words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.errors import UserError
from data.tokens import words

VOCABULARY, TEXTS = "vocabulary.json", "texts.npz"
END, UNKNOWN = 0, 1  # the numbers of the end of a caption, and of every word that is not in the vocabulary
SPECIAL = ("<end>", "<unknown>")


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model can write, by their numbers, after the special words for end and unknown.

    `counts` is how often each word occurs in the training captions; `minimum` is the least count that was asked for.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    minimum: int

    @classmethod
    def of(cls, captions: Iterable[str], minimum: int) -> Vocabulary:
        """Returns the words that occur at least `minimum` times, the most frequent first, ties in alphabetical order.

        Raises UserError where there is no such word.
        """
        counted = Counter(word for caption in captions for word in words(caption))
        kept = sorted(((-count, word) for word, count in counted.items() if count >= minimum))
        if not kept:
            raise UserError(
                f"no word comes {minimum} times in the training captions: lower --minimum-count (in params.yaml, "
                "data.minimum_count)"
            )
        return cls((*SPECIAL, *(word for _, word in kept)), (0, 0, *(-count for count, _ in kept)), minimum)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def encode(self, caption: str) -> list[int]:
        """Returns a caption as the numbers of its words, with the end as the last number."""
        return [*(self.numbers.get(word, UNKNOWN) for word in words(caption)), END]

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the words of those numbers up to the end, separated by blanks."""
        decoded = []
        for number in numbers:
            if number == END:
                break
            decoded.append(self.words[number])
        return " ".join(decoded)

    def save(self, folder: Path) -> None:
        """Writes vocabulary.json into a folder."""
        content = {"minimum": self.minimum, "words": list(self.words), "counts": list(self.counts)}
        (folder / VOCABULARY).write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> Vocabulary:
        """Reads what `save` wrote."""
        content = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        return cls(tuple(content["words"]), tuple(content["counts"]), content["minimum"])


@dataclass(frozen=True, eq=False)
class Texts:
    """All captions of a dataset as numbers, one after the other.

    Attributes:
        numbers: int32 [words of all captions, with an end each].
        captions: int64 [captions + 1]; caption c is `numbers[captions[c]:captions[c + 1]]`.
        images: int64 [images + 1]; image i has the captions `images[i]` … `images[i + 1]` − 1.
    """

    numbers: np.ndarray
    captions: np.ndarray
    images: np.ndarray

    @classmethod
    def of(cls, captions: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Texts:
        """Returns the captions of all images, given in order, as numbers."""
        encoded = [vocabulary.encode(caption) for of_image in captions for caption in of_image]
        return cls(
            np.fromiter((number for caption in encoded for number in caption), dtype=np.int32),
            np.cumsum([0, *map(len, encoded)], dtype=np.int64),
            np.cumsum([0, *map(len, captions)], dtype=np.int64),
        )

    def of_image(self, image: int) -> list[np.ndarray]:
        """Returns the captions of one image, each int32 [its words and its end]."""
        first, last = self.images[image], self.images[image + 1]
        return [self.numbers[self.captions[c] : self.captions[c + 1]] for c in range(first, last)]

    def save(self, folder: Path) -> None:
        """Writes texts.npz into a folder."""
        np.savez(folder / TEXTS, numbers=self.numbers, captions=self.captions, images=self.images)

    @classmethod
    def open(cls, folder: Path) -> Texts:
        """Reads what `save` wrote."""
        with np.load(folder / TEXTS, allow_pickle=False) as file:
            return cls(file["numbers"], file["captions"], file["images"])
