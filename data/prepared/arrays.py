"""The arrays of prepared images as they lie on disk, checked against meta.json, and the digests of their content.

A shard has a digest of its images, labels and captions. Those of all shards make the fingerprint of the dataset, which
enters the identity of every trial.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from data.verification import verify

if TYPE_CHECKING:
    from hashlib import _Hash

LABELS, NAMES, CAPTIONS, SKIPPED = "labels.npy", "names.json", "captions.json", "skipped.json"
LABEL_TYPE = np.dtype("<i8")
NO_LABEL = -1  # of captioned images
PIECE = 2**23  # bytes of images read at a time, at most, or one image


def images_name(number: int) -> str:
    """Returns the name of the file of a shard's images."""
    return f"images-{number:05d}.npy"


def completed(of_images: _Hash, labels: Sequence[int] | np.ndarray, captions: Sequence[Sequence[str]]) -> str:
    """Returns the digest of a shard, given that of its images' bytes: the labels', then any captions', are added."""
    of_images.update(np.ascontiguousarray(labels, dtype=LABEL_TYPE).data)
    if any(captions):
        of_images.update(json.dumps(captions).encode())
    return of_images.hexdigest()


def fingerprint(digests: Sequence[str]) -> str:
    """Returns the digest of a dataset from the digests of its shards, in order; that of a single shard is its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Arrays:
    """The arrays of one dataset.

    Attributes:
        folder: where they are.
        labels: int64 [N].
        images: by shard, uint8 [n, H, W, C], memory-mapped.
    """

    folder: Path
    labels: np.ndarray
    images: list[np.ndarray]

    @classmethod
    def open(cls, folder: Path, meta: Mapping[str, Any]) -> Arrays:
        """Opens the arrays in a folder. Raises ValueError, naming the file, where one is not as meta.json says.

        Numbers, types and sizes are compared, not the content. Raises what `DAMAGE` lists where a file cannot be read.
        """
        labels = np.load(folder / LABELS, allow_pickle=False)
        if (labels.shape, labels.dtype) != ((sum(meta["shards"]),), np.int64):
            raise ValueError(f"{LABELS} does not hold as many labels as meta.json says")
        least, most = (0, len(meta["classes"]) - 1) if meta["classes"] else (NO_LABEL, NO_LABEL)
        if len(labels) and not least <= labels.min() <= labels.max() <= most:
            raise ValueError(f"{LABELS} holds {labels.min()} … {labels.max()}, not {least} … {most} as meta.json says")
        if sum(meta["parts"].values()) != len(labels):
            raise ValueError(f"the parts do not add up to the number of images in {LABELS}")
        return cls(folder, labels, [_mapped(folder, n, rows, meta["shape"]) for n, rows in enumerate(meta["shards"])])

    @cached_property
    def captions(self) -> list[list[str]]:
        """Each image's captions, as they were written; empty where images have labels.

        Raises what `DAMAGE` lists where the file is damaged.
        """
        path = self.folder / CAPTIONS
        captions = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else [[]] * len(self.labels)
        if len(captions) != len(self.labels):
            raise ValueError(f"{CAPTIONS} is of {len(captions)} images")
        return captions

    def digest(self, number: int, report: Callable[[int], object] = lambda count: None) -> str:
        """Computes the digest of a shard. `report` is called with a number of bytes as they are read."""
        images, start = self.images[number], sum(map(len, self.images[:number]))
        of_images = hashlib.sha256()
        rows = max(1, PIECE // max(1, images[:1].nbytes))
        for first in range(0, len(images), rows):
            piece = np.ascontiguousarray(images[first : first + rows])
            of_images.update(piece.data)
            report(piece.nbytes)
        within = slice(start, start + len(images))
        return completed(of_images, self.labels[within], self.captions[within])

    def verify(self, digests: Sequence[str]) -> None:
        """Compares the content of all shards with their digests, where that was not done since they changed.

        Raises ValueError, naming the file, where it is another one.
        """
        numbers = {images_name(number): number for number in range(len(self.images))}
        expected = dict(zip(numbers, digests, strict=True))
        verify(self.folder, expected, lambda name, report: self.digest(numbers[name], report))


def _mapped(folder: Path, number: int, rows: int, shape: Sequence[int]) -> np.ndarray:
    """Memory-maps the images of a shard. Raises ValueError where their size is not that of meta.json."""
    if not (folder / images_name(number)).is_file():
        raise ValueError(f"{images_name(number)} is missing, or not a file")
    images = np.load(folder / images_name(number), mmap_mode="r" if rows else None, allow_pickle=False)
    if (images.shape, images.dtype) != ((rows, *shape), np.uint8):
        raise ValueError(f"the size of {images_name(number)} is not as meta.json says")
    return images
