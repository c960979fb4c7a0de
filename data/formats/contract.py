"""What a format is: a function that turns a dataset's official files into arrays, known by a name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.catalog import Dataset
from data.errors import DataError

ROWS = 1024  # images read at a time


@dataclass(frozen=True)
class Contents:
    """What a dataset's official files hold: training images first, test images last.

    `official_test` is the index of the first official test image, None where there is no such part.
    `chunks` gives (images uint8 [b, H, W, C], labels int64 [b]) in order, `count` rows in all, and is
    read once; it raises DataError, naming the file, where that is truncated or malformed.
    """

    count: int
    official_test: int | None
    chunks: Iterator[tuple[np.ndarray, np.ndarray]]


Reader = Callable[[Dataset, Mapping[str, Path]], Contents]  # files by their role in the catalog
_readers: dict[str, Reader] = {}


def register(name: str) -> Callable[[Reader], Reader]:
    """Function decorator that makes a reader known as a format; a name taken twice is a ValueError."""

    def known(reader: Reader) -> Reader:
        if name in _readers:
            raise ValueError(f"two formats are named {name!r}")
        _readers[name] = reader
        return reader

    return known


def _load() -> None:
    package = importlib.import_module("data.formats")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"data.formats.{module.name}")


def names() -> list[str]:
    """Names of all formats in this folder, sorted."""
    _load()
    return sorted(_readers)


def get(name: str) -> Reader:
    """The reader of that format; DataError, listing the known names, where there is none."""
    _load()
    if name not in _readers:
        raise DataError(f"unknown format {name!r}: known are {', '.join(sorted(_readers))}")
    return _readers[name]
