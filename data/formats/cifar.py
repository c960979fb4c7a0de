"""The binary versions of CIFAR-10 and CIFAR-100: a .tar.gz of files of records without anything in between.

A record is a label (CIFAR-10), or a coarse and a fine label (CIFAR-100), of a byte each, then the red, green and blue
values of the image, each plane row by row. The fine label of CIFAR-100 is used, the coarse one is not. See "Binary
version" on the page of the CIFAR datasets, www.cs.toronto.edu/~kriz/cifar.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.dataset import Dataset
from data.formats.archives import Member, faulty
from data.formats.checks import as_catalogued, distinct, members, named
from data.formats.contract import Contents, Example, register


@dataclass(frozen=True)
class _Batch:
    """A shard: one file of records. Each begins with `labels` bytes of labels, of which the last one is used."""

    part: str
    count: int
    place: Member
    archive: Path
    labels: int
    classes: int
    shape: tuple[int, int, int]

    def examples(self) -> Iterator[Example]:
        height, width, channels = self.shape
        records = np.frombuffer(self.place.read(), dtype=np.uint8).reshape(self.count, -1)
        for index, record in enumerate(records):
            label = int(record[self.labels - 1])
            if label >= self.classes:
                raise faulty(
                    f"{self.archive}, member {self.place.name!r}, record {index}",
                    f"its label is {label}, the {self.classes} classes are 0 … {self.classes - 1}",
                )
            planes = record[self.labels :].reshape(channels, height, width)
            yield Example("", np.ascontiguousarray(planes.transpose(1, 2, 0)), label)


def _read(
    dataset: Dataset, files: Mapping[str, Path], unpacked: Path, names: str, batches: list[tuple[str, str]], labels: int
) -> Contents:
    """Reads either dataset. `names` is the file that names the classes; `batches` lists parts and files of records."""
    archive = files["archive"]
    entries = members(dataset, files, "archive", unpacked)
    lines = named(entries, names, archive).read().decode("ascii", errors="replace").splitlines()
    classes = distinct([name.strip() for name in lines if name.strip()], f"{archive}, {names}")
    record = labels + dataset.image_bytes
    shards = []
    for part, name in batches:
        place = named(entries, name, archive)
        if place.size % record or not place.size:
            raise faulty(f"{archive}, member {place.name!r}", f"its {place.size} bytes are no records of {record}")
        shards.append(_Batch(part, place.size // record, place, archive, labels, len(classes), dataset.shape))
    return as_catalogued(dataset, classes, shards, archive)


@register("cifar-10")
def read_10(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one file, of role archive."""
    batches = [("train", f"data_batch_{number}.bin") for number in range(1, 6)]
    return _read(dataset, files, unpacked, "batches.meta.txt", [*batches, ("test", "test_batch.bin")], labels=1)


@register("cifar-100")
def read_100(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one file, of role archive."""
    batches = [("train", "train.bin"), ("test", "test.bin")]
    return _read(dataset, files, unpacked, "fine_label_names.txt", batches, labels=2)
