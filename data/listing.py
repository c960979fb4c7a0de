"""The catalog as a table, with what of it is on this disk."""

from __future__ import annotations

import contextlib
from pathlib import Path

from data.catalog import CATALOG, Dataset
from data.download import on_disk
from data.errors import DataError
from data.folders import raw_folder, splits_folder
from data.prepare import is_prepared
from data.splits import Splits

HEAD = ("dataset", "image", "classes", "train/validation/test", "format", "download", "here", "licence")


def _here(dataset: Dataset, root: Path) -> str:
    """Which of its three stages are there, judged by names and sizes."""
    stages = []
    folder = raw_folder(dataset.name, root)
    files = sum(bool(on_disk(file, folder)) for file in dataset.files)
    if files == len(dataset.files):
        stages.append("downloaded")
    elif files:
        stages.append(f"{files} of {len(dataset.files)} files")
    if is_prepared(dataset, root):
        stages.append("prepared")
    with contextlib.suppress(DataError):
        stages.append(f"split×{Splits.open(splits_folder(dataset.name, root)).repetitions}")
    return ", ".join(stages) or "nothing"


def _row(dataset: Dataset, root: Path) -> tuple[str, ...]:
    train = dataset.images - dataset.validation - dataset.test
    return (
        dataset.name,
        "×".join(map(str, dataset.shape)),
        str(len(dataset.classes)),
        f"{train:,}/{dataset.validation:,}/{dataset.test:,}",
        dataset.format,
        f"{sum(file.size for file in dataset.files) / 1e6:.1f} MB",
        _here(dataset, root),
        dataset.licence,
    )


def table(root: Path) -> str:
    """All datasets, a line each, sorted by name; columns are aligned for reading and for `cut`."""
    rows = [HEAD, *(_row(CATALOG[name], root) for name in sorted(CATALOG))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
