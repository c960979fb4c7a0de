"""Captioned scenes that the project draws itself (`data.scenes.composition`). There are no files to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.dataset import Dataset
from data.formats.contract import Contents, Example, Laborious, register, rows_of_a_shard
from data.scenes.composition import scene


@dataclass(frozen=True)
class _Scenes(Laborious):
    """A shard: the scenes of numbers `first` … `first` + `count` − 1."""

    part: str
    first: int
    count: int

    def examples(self) -> Iterator[Example]:
        for number in range(self.first, self.first + self.count):
            made = scene(number)
            yield Example("", made.drawn(), None, made.captions)


@register("shapes")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads no file; gives as many scenes as the catalog, or the user, says."""
    count = dataset.image_count
    rows = rows_of_a_shard(count, dataset)
    return Contents((), [_Scenes("train", start, min(rows, count - start)) for start in range(0, count, rows)])
