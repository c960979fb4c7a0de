"""Official files into uint8 arrays that are read by memory map: `ROOT/processed/DATASET`.

`images.npy` uint8 [N, H, W, C], `labels.npy` int64 [N], little-endian, training images first; `meta.json`
says what they are.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data.atomic import alone, whole_folder
from data.catalog import Dataset
from data.download import official_files
from data.errors import DataError
from data.folders import processed_folder
from data.formats import contract as formats
from data.progress import progress
from data.store import IMAGES, LABELS, META, ImageStore

IMAGE_TYPE, LABEL_TYPE = np.dtype("|u1"), np.dtype("<i8")


def is_prepared(dataset: Dataset, root: Path) -> bool:
    """Whether its arrays are there, whole (by their sizes), and as the catalog describes them."""
    try:
        store = ImageStore.open(processed_folder(dataset.name, root))
    except DataError:
        return False
    return (store.dataset, store.classes, store.images.shape) == (
        dataset.name,
        dataset.classes,
        (dataset.images, *dataset.shape),
    )


def prepare(dataset: Dataset, root: Path) -> bool:
    """Makes `root/processed/NAME` from `root/raw/NAME`; False where it was there already.

    Raises DataError where an official file is missing, truncated or malformed, or the disk is full.
    """
    target = processed_folder(dataset.name, root)
    if is_prepared(dataset, root):
        return False
    files = official_files(dataset, root)
    with alone(target):
        if is_prepared(dataset, root):
            return False
        contents = formats.get(dataset.format)(dataset, files)
        if contents.count != dataset.images:
            raise DataError(
                f"{target.name} should have {dataset.images} images, its official files hold {contents.count}"
            )
        with whole_folder(target) as folder:
            _write(dataset, contents, folder)
    return True


def _write(dataset: Dataset, contents: formats.Contents, folder: Path) -> None:
    """Writes the arrays chunk by chunk, then meta.json.

    Plain writes rather than a memory map: on a full disk a write is an error that can be told, a store
    to a mapped page kills the process.
    """
    digest = hashlib.sha256()
    labels = np.empty(contents.count, dtype=LABEL_TYPE)
    done = 0
    with (
        (folder / IMAGES).open("wb") as out,
        progress(contents.count, f"preparing {dataset.name}", " images") as bar,
    ):
        _write_header(out, (contents.count, *dataset.shape), IMAGE_TYPE)
        for images, some in contents.chunks:
            _check_labels(some, done, dataset)
            piece = np.ascontiguousarray(images, dtype=IMAGE_TYPE).data
            out.write(piece)
            digest.update(piece)
            labels[done : done + len(some)] = some
            done += len(some)
            bar.update(len(some))
    if done != contents.count:
        raise DataError(f"{dataset.name}'s official files gave {done} images, they announce {contents.count}")
    with (folder / LABELS).open("wb") as out:
        _write_header(out, labels.shape, LABEL_TYPE)
        out.write(labels.data)
    digest.update(labels.data)
    meta = {
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "shape": list(dataset.shape),
        "count": contents.count,
        "official_test": contents.official_test,
        "fingerprint": digest.hexdigest(),
    }
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _write_header(out: BinaryIO, shape: tuple[int, ...], dtype: np.dtype) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def _check_labels(labels: np.ndarray, first: int, dataset: Dataset) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(dataset.classes)))
    if len(wrong):
        raise DataError(
            f"image {first + int(wrong[0])} of {dataset.name} has label {int(labels[wrong[0]])}; its "
            f"{len(dataset.classes)} classes are 0 … {len(dataset.classes) - 1}"
        )
