"""A little dataset in the official IDX format, written with `struct` alone, and the catalog row for it."""

from __future__ import annotations

import gzip
import hashlib
import random
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from data import catalog
from data.catalog import Dataset, File

SIZE = 4
CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": 60, "test": 15}
NAMES = {
    "train-images": "train-images-idx3-ubyte.gz",
    "train-labels": "train-labels-idx1-ubyte.gz",
    "test-images": "t10k-images-idx3-ubyte.gz",
    "test-labels": "t10k-labels-idx1-ubyte.gz",
}


@dataclass(frozen=True)
class Toy:
    """The row, the folder with its official files, and by part the pixels and labels written there."""

    dataset: Dataset
    folder: Path
    pixels: dict[str, bytes]
    labels: dict[str, bytes]


def idx(dimensions: tuple[int, ...], values: bytes) -> bytes:
    """An IDX file of unsigned bytes."""
    return struct.pack(f">HBB{len(dimensions)}I", 0, 8, len(dimensions), *dimensions) + values


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """Three classes, 60 training images (30, 20 and 10) and 15 test images of 4×4, known as `toy`."""
    chance = random.Random(7)
    folder = tmp_path / "official"
    folder.mkdir()
    pixels = {part: chance.randbytes(count * SIZE * SIZE) for part, count in COUNTS.items()}
    train = [0] * 30 + [1] * 20 + [2] * 10
    chance.shuffle(train)
    labels = {"train": bytes(train), "test": bytes([0, 1, 2] * 5)}
    files = []
    for role, name in NAMES.items():
        part, kind = role.split("-")
        if kind == "images":
            content = idx((COUNTS[part], SIZE, SIZE), pixels[part])
        else:
            content = idx((COUNTS[part],), labels[part])
        published = gzip.compress(content, mtime=1)
        (folder / name).write_bytes(published)
        files.append(
            File(
                role=role,
                name=name,
                size=len(published),
                checksum="md5:" + hashlib.md5(published).hexdigest(),
                content_size=len(content),
                content_checksum="sha256:" + hashlib.sha256(content).hexdigest(),
            )
        )
    row = Dataset(
        name="toy",
        shape=(SIZE, SIZE, 1),
        classes=CLASSES,
        images=sum(COUNTS.values()),
        validation=12,
        test=COUNTS["test"],
        official_test=True,
        format="idx",
        files=tuple(files),
        mirrors=(),
        licence="none",
        citation="none",
    )
    monkeypatch.setitem(catalog.CATALOG, "toy", row)
    return Toy(row, folder, pixels, labels)
