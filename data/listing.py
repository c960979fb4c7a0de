"""The catalog as a table, with what of it is on this disk."""

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
    """Which of its three stages are there, judged by names and sizes."""
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
    """How much there is to download, and whether the user has to do it."""
    if dataset.drawn is not None:
        return "drawn here"
    known = sum(file.size or 0 for file in dataset.files)
    more = "+" if any(file.size is None for file in dataset.files) else ""
    told = f"{readable(known)}{more}" if dataset.files else ""
    return ", ".join(filter(None, [told, "by hand" if dataset.manual else ""]))


def _disk(dataset: Dataset) -> str:
    """What all of it needs here: official files and prepared images."""
    if dataset.images is None:
        return f"{readable(dataset.image_bytes)} an image"
    official = sum(file.size or file.unpacked or 0 for file in dataset.files)
    return readable(official + dataset.images * dataset.image_bytes)


def _parts(dataset: Dataset) -> str:
    """Sizes of its parts, or shares."""
    cut = (dataset.validation, dataset.test)
    if dataset.drawn is not None:
        cut = tuple(share(part, dataset.images) for part in cut)
    if all(isinstance(part, int) for part in cut) and dataset.images is not None:
        return "/".join(f"{part:,}" for part in (dataset.images - sum(cut), *cut))
    return "/".join(f"{part:.0%}" for part in (1 - sum(cut), *cut))


def _row(dataset: Dataset, root: Path) -> tuple[str, ...]:
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
    """All datasets, a line each, in the catalog's order; columns are aligned for reading and for `cut`."""
    rows = [HEAD, *(_row(dataset, root) for dataset in CATALOG.values())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def about(dataset: Dataset, root: Path) -> str:
    """One dataset: its files, where they come from or how to get them, its licence and what to cite."""
    lines = [f"{dataset.name}: {'×'.join(map(str, dataset.shape))}, {dataset.learns}, {_parts(dataset)} images"]
    for file in dataset.files:
        lines.append(f"  {file.name}  {readable(file.size) if file.size else 'size unknown'}  {file.checksum}")
        lines += [f"    {address}" for address in dataset.addresses(file)]
    lines += filter(None, [dataset.manual and f"get it: {dataset.manual}"])
    lines += [f"here: {_here(dataset, root)}", f"licence: {dataset.licence}", f"cite: {dataset.citation}"]
    return "\n".join(lines)
