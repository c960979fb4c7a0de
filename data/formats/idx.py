"""The IDX format of MNIST and its relatives, gzip-compressed or plain.

Two zero bytes, a type code (0x08: unsigned bytes), the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values, the last dimension running fastest: "The IDX file format" on the
page of the MNIST database, yann.lecun.com/exdb/mnist.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from data.bounded_reading import expect_end, opened, read_exactly
from data.dataset import Dataset
from data.errors import UserError
from data.formats.checks import as_catalogued
from data.formats.contract import Contents, Example, register

UNSIGNED_BYTE = 0x08


def read_header(stream: BufferedIOBase, dimensions: int, path: Path) -> tuple[int, ...]:
    """Reads the sizes of an IDX file of unsigned bytes with that many dimensions, up to its first value.

    Raises UserError where the file is anything else.
    """
    expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    magic = read_exactly(stream, len(expected), path)
    if magic != expected:
        raise UserError(
            f"{path} is not an IDX file of unsigned bytes with {dimensions} dimension(s): "
            f"it begins with {magic.hex(' ')} instead of {expected.hex(' ')}"
        )
    return struct.unpack(f">{dimensions}I", read_exactly(stream, 4 * dimensions, path))


def _images_of(part: str, dataset: Dataset, files: Mapping[str, Path]) -> int:
    """Returns how many images a part holds by the headers of its two files. Raises UserError where they disagree."""
    images, labels = files[f"{part}-images"], files[f"{part}-labels"]
    with opened(images) as stream:
        count, *size = read_header(stream, 3, images)
    with opened(labels) as stream:
        (labelled,) = read_header(stream, 1, labels)
    if (*size, 1) != dataset.shape:
        raise UserError(
            f"{images} holds images of {size[0]}×{size[1]}, {dataset.name}'s are {dataset.shape[0]}×{dataset.shape[1]}"
        )
    if count != labelled:
        raise UserError(f"{images} holds {count} images, but {labels} holds {labelled} labels")
    return count


@dataclass(frozen=True)
class _Part:
    """A shard: one part, in a file of images and a file of labels."""

    part: str
    count: int
    images: Path
    labels: Path
    shape: tuple[int, int, int]

    def examples(self) -> Iterator[Example]:
        with opened(self.labels) as stream:
            read_header(stream, 1, self.labels)
            labels = np.frombuffer(read_exactly(stream, self.count, self.labels), dtype=np.uint8)
            expect_end(stream, self.labels)
        with opened(self.images) as stream:
            read_header(stream, 3, self.images)
            for label in labels.tolist():
                values = np.frombuffer(read_exactly(stream, int(np.prod(self.shape)), self.images), dtype=np.uint8)
                yield Example("", values.reshape(self.shape), label)
            expect_end(stream, self.images)


@register("idx")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads four files, of roles {train, test}-{images, labels}."""
    shards = [
        _Part(part, _images_of(part, dataset, files), files[f"{part}-images"], files[f"{part}-labels"], dataset.shape)
        for part in ("train", "test")
    ]
    return as_catalogued(dataset, dataset.class_names, shards, files["train-images"].parent)
