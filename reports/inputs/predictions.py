"""predictions.csv.gz: which class each trial says that every test image is of."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from reports.errors import UserError
from reports.foreign_text import one_line
from reports.inputs.paths import MOST_BYTES, cannot_read, is_there, read_file, shortened

REMEDY = "`python -m experiments run` writes it"
COLUMNS = ("image", "label", "class")  # of a test image: its index, its class, and that class's name
MOST_CLASSES = 100_000


@dataclass(frozen=True, eq=False)
class Predictions:
    """What trials say about the n test images of C classes.

    Attributes:
        labels: the true classes, integers [n].
        names: of the C classes; one without a test image is called by its number.
        guesses: the classes that a trial says, integers [n], by trial id.
    """

    labels: np.ndarray
    names: tuple[str, ...]
    guesses: Mapping[str, np.ndarray]

    @property
    def images(self) -> int:
        """The number of test images, n."""
        return len(self.labels)


def read_predictions(path: Path, results: pd.DataFrame) -> Predictions:
    """Reads a column per done trial; no trials where there is no such file.

    Raises:
        UserError: the file cannot be read; a value is no class; a trial is not done, or is right about another share of
            the images than the results say.
    """
    trials, named, values = _read(path) if is_there(path, REMEDY) else ([], {}, np.empty((0, 1), np.int64))
    labels, guesses = values[:, 0], dict(zip(trials, values.T[1:], strict=True))
    _check(path, labels, guesses, results)
    count = 1 + int(values.max(initial=-1))
    return Predictions(labels, tuple(named.get(label, f"class {label}") for label in range(count)), guesses)


def _read(path: Path) -> tuple[list[str], dict[int, str], np.ndarray]:
    """Returns the trials, the classes' names by number, and the label and each trial's class, integers [n, 1 + trials].

    UserError where a line has another number of values than the head, or a value is no class.
    """
    lines = csv.reader(io.StringIO(_decompressed(path), newline=""), strict=True)
    named: dict[int, str] = {}
    rows = []
    try:
        head = next(lines, [])
        _check_head(path, head)
        for line in lines:
            if len(line) != len(head):
                raise ValueError(f"has {len(line)} values, its head {len(head)}")
            _, label, name, *said = line
            row = np.array([int(text) for text in (label, *said)])
            if row.min() < 0 or row.max() >= MOST_CLASSES:
                raise ValueError("has a value that is no class")
            named[int(row[0])] = name
            rows.append(row)
    except (ValueError, OverflowError, csv.Error) as error:
        raise UserError(f"{path}, line {lines.line_num}: {shortened(one_line(str(error)))}; {REMEDY}") from None
    return head[len(COLUMNS) :], named, np.array(rows, np.int64).reshape(len(rows), len(head) - len(COLUMNS) + 1)


def _check_head(path: Path, head: list[str]) -> None:
    if tuple(head[: len(COLUMNS)]) != COLUMNS:
        raise UserError(f"{path} does not begin with the columns {', '.join(COLUMNS)}; {REMEDY}")
    if twice := [name for name in head if head.count(name) > 1]:
        raise UserError(f"{path} has the column {shortened(repr(twice[0]))} twice; {REMEDY}")


def _decompressed(path: Path) -> str:
    try:
        with gzip.open(io.BytesIO(read_file(path, REMEDY))) as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise UserError(f"{path} holds more than {MOST_BYTES:,} bytes, the most that a report reads; {REMEDY}")
        return content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise cannot_read(path, error, REMEDY) from None


def _check(path: Path, labels: np.ndarray, guesses: Mapping[str, np.ndarray], results: pd.DataFrame) -> None:
    done = results[results["status"] == "done"].set_index("trial_id")["top1"]
    for name, values in guesses.items():
        if name not in done.index:
            raise UserError(f"{path}: {shortened(name)} is no done trial of the results; {REMEDY}")
        right = 100 * float((values == labels).mean()) if len(labels) else 0.0
        if abs(right - done[name]) >= 99.9 / max(len(labels), 1):  # an image; less is rounding
            raise UserError(
                f"{path}: trial {name} is right about {right:.2f} % of the images, and the results say "
                f"{done[name]:.2f} %; {REMEDY}"
            )
