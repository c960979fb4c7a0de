"""The catalog as a table, with the stages of each dataset that are on this disk."""

from __future__ import annotations

import contextlib
from pathlib import Path

from data.catalog import CATALOG
from data.dataset import Dataset
from data.disk_space import readable
from data.errors import UserError
from data.labelled.splits import Splits
from data.labelled.stratify import share
from data.layout import processed_folder, raw_folder, splits_folder
from data.official.checksums import on_disk
from data.official.picture_tree import registered_tree
from data.prepared.store import ImageStore

HEAD = ("dataset", "image", "learns", "train/validation/test", "download", "disk", "here", "licence")


def _here(dataset: Dataset, root: Path) -> str:
    """Returns which of the three stages of a dataset are on disk, judged by names and sizes."""
    stages = []
    folder = raw_folder(dataset.name, root)
    files = sum(bool(on_disk(file, folder)) for file in dataset.files)
    if (dataset.files and files == len(dataset.files)) or registered_tree(dataset, root):
        stages.append("downloaded")
    elif files:
        stages.append(f"{files} of {len(dataset.files)} files")
    with contextlib.suppress(UserError):
        store = ImageStore.open(processed_folder(dataset.name, root))
        stages.append(f"prepared {len(store.labels):,}")
    with contextlib.suppress(UserError):
        stages.append(f"split×{Splits.open(splits_folder(dataset.name, root)).repetitions}")
    return ", ".join(stages) or "nothing"


def _download(dataset: Dataset) -> str:
    """Returns how much there is to download, and whether the user has to do it."""
    if dataset.drawn is not None:
        return "drawn here"
    known = sum(file.size or 0 for file in dataset.files)
    more = "+" if any(file.size is None for file in dataset.files) else ""
    size = f"{readable(known)}{more}" if dataset.files else ""
    return ", ".join(filter(None, [size, "by hand" if dataset.manual else ""]))


def _disk(dataset: Dataset) -> str:
    """Returns the disk space for the official files and the prepared images."""
    if dataset.images is None:
        return f"{readable(dataset.image_bytes)} an image"
    official = sum(file.size or file.unpacked or 0 for file in dataset.files)
    return readable(official + dataset.images * dataset.image_bytes)


def _parts(dataset: Dataset) -> str:
    """Returns the sizes of the training, validation and test parts, or their shares."""
    validation, test = dataset.validation, dataset.test
    if dataset.drawn is not None:
        validation, test = share(validation, dataset.image_count), share(test, dataset.image_count)
    if isinstance(validation, int) and isinstance(test, int) and dataset.images is not None:
        return "/".join(f"{size:,}" for size in (dataset.images - validation - test, validation, test))
    return "/".join(f"{size:.0%}" for size in (1 - (validation + test), validation, test))


def _row(dataset: Dataset, root: Path) -> tuple[str, ...]:
    """Returns the cells of a dataset, as HEAD names them."""
    return (
        dataset.name,
        "×".join(map(str, dataset.shape)),
        dataset.learns,
        _parts(dataset),
        _download(dataset),
        _disk(dataset),
        _here(dataset, root),
        dataset.licence,
    )


def table(root: Path) -> str:
    """Returns a table of all datasets, a line each, in the catalog's order, with aligned columns."""
    rows = [HEAD, *(_row(dataset, root) for dataset in CATALOG.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def about(dataset: Dataset, root: Path) -> str:
    """Returns all about one dataset: its files, where they come from or how to get them, its licence, what to cite."""
    lines = [f"{dataset.name}: {'×'.join(map(str, dataset.shape))}, {dataset.learns}, {_parts(dataset)} images"]
    for file in dataset.files:
        lines.append(f"  {file.name}  {readable(file.size) if file.size else 'size unknown'}  {file.checksum}")
        lines += [f"    {address}" for address in dataset.addresses(file)]
    lines += filter(None, [dataset.manual and f"get it: {dataset.manual}"])
    lines += [f"here: {_here(dataset, root)}", f"licence: {dataset.licence}", f"cite: {dataset.citation}"]
    return "\n".join(lines)
