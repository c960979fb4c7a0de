"""Official files into uint8 arrays that are read by memory map: `ROOT/processed/DATASET`.

`images-NNNNN.npy` uint8 [n, H, W, C], shard by shard, the training part first; `labels.npy` int64 [N], little-endian,
−1 for captioned images; `names.json` and `captions.json`, a list over all images, where the files have such;
`skipped.json`, the pictures that were broken; `meta.json` says what they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from data import shards
from data.archives import close_files
from data.atomic import alone, resumable
from data.dataset import PARTS, Dataset, Official
from data.download import official_files
from data.errors import DataError
from data.folders import processed_folder
from data.formats import contract as formats
from data.progress import progress
from data.space import check_space
from data.store import CAPTIONS, LABELS, META, NAMES, SKIPPED, ImageStore

LAYOUT = 2  # raised whenever the files above change
UNPACKED = "unpacked"
MOST_BROKEN = 0.01  # share of pictures that may be skipped, and a handful of them in any case
HANDFUL = 10
PARALLEL_FROM = 256 * 2**20  # bytes of prepared pictures; fewer are made sooner than Ray starts


def is_prepared(dataset: Dataset, root: Path) -> bool:
    """Whether its arrays are there, whole (by their sizes), and of the shape that the catalog gives."""
    try:
        store = ImageStore.open(processed_folder(dataset.name, root))
    except DataError:
        return False
    return (store.dataset, store.images.shape[1:]) == (dataset.name, dataset.shape) and (
        not isinstance(dataset.classes, tuple) or store.classes == dataset.classes
    )


def prepare(dataset: Dataset, root: Path) -> bool:
    """Makes `root/processed/NAME` from `root/raw/NAME`; False where it was there already.

    Stopped half-way, it goes on with the shards that are not there yet. Raises DataError where an official file is
    missing, truncated or malformed, too many pictures are broken, or the disk is full.
    """
    target = processed_folder(dataset.name, root)
    if is_prepared(dataset, root) and not dataset.tree:
        return False
    official = official_files(dataset, root)
    with alone(target):
        if is_prepared(dataset, root) and ImageStore.open(target).origin == official.origin:
            return False
        key = json.dumps([LAYOUT, official.origin, official.format, dataset.shape])
        with resumable(target, key) as folder:
            unpacked = folder / UNPACKED
            unpacked.mkdir(exist_ok=True)
            contents = formats.get(official.format)(dataset, official.files, unpacked)
            _check_room(dataset, contents, folder)
            made = _made(dataset, contents, folder)
            close_files()  # those under `unpacked` are about to be removed
            _put_together(dataset, contents, made, official, folder)
    return True


def _check_room(dataset: Dataset, contents: formats.Contents, folder: Path) -> None:
    """DataError where the disk has no room for the images that are not made yet."""
    left = [shard.count for number, shard in enumerate(contents.shards) if shards.records(folder, number) is None]
    check_space(folder.parent, sum(left) * dataset.image_bytes, f"{sum(left):,} images of {dataset.name}")


def _made(dataset: Dataset, contents: formats.Contents, folder: Path) -> list[shards.Records]:
    """What each shard holds, in order, once they are all there."""
    total = sum(shard.count for shard in contents.shards)
    allowed = max(HANDFUL, int(MOST_BROKEN * total))
    skipped: list[list[str]] = []
    with progress(total, f"preparing {dataset.name}", " images") as bar:
        for made in _making(dataset, contents, folder, bar):
            _check_labels(made, contents, dataset)
            skipped += made.skipped
            if len(skipped) > allowed:
                told = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:5])
                raise DataError(
                    f"{len(skipped)} pictures of {dataset.name} are broken, at most {allowed} may be:{told}\n"
                    "Look at the first of them, and put the files right."
                )
    return [made for number in range(len(contents.shards)) if (made := shards.records(folder, number))]


def _making(dataset: Dataset, contents: formats.Contents, folder: Path, bar: progress) -> Iterator[shards.Records]:
    tasks = [(shard, number) for number, shard in enumerate(contents.shards)]
    left = [(shard, number) for shard, number in tasks if shards.records(folder, number) is None]
    work = sum(shard.count for shard, _ in left if isinstance(shard, formats.Pictures)) * dataset.image_bytes
    for shard, number in tasks:
        made = shards.records(folder, number)
        if made is not None:
            bar.update(shard.count)
            yield made
    if work < PARALLEL_FROM and "RAY_ADDRESS" not in os.environ:
        for shard, number in left:
            yield shards.make(shard, number, dataset.shape, folder, bar.update)
    else:
        from data import parallel

        for shard, made in parallel.make(left, dataset.shape, folder):
            bar.update(shard.count)
            yield made


def _check_labels(made: shards.Records, contents: formats.Contents, dataset: Dataset) -> None:
    allowed = range(len(contents.classes)) if contents.classes else {shards.NO_LABEL}
    for index, label in enumerate(made.labels):
        if label not in allowed:
            raise DataError(
                f"image {made.names[index] or index} of {dataset.name} has label {label}; its "
                f"{len(contents.classes)} classes are 0 … {len(contents.classes) - 1}"
            )


def _put_together(
    dataset: Dataset, contents: formats.Contents, made: list[shards.Records], official: Official, folder: Path
) -> None:
    """Writes what is said of all shards, meta.json last; then no shard needs its own records any more."""
    labels = np.concatenate([np.asarray(one.labels, dtype=shards.LABEL_TYPE) for one in made])
    empty = sorted(set(range(len(contents.classes))) - set(np.unique(labels).tolist()))
    if empty:
        raise DataError(f"{dataset.name} has no image of class {contents.classes[empty[0]]!r}: every class needs some")
    np.save(folder / LABELS, labels)
    names = list(chain.from_iterable(one.names for one in made))
    captions = list(chain.from_iterable(one.captions for one in made))
    skipped = list(chain.from_iterable(one.skipped for one in made))
    for file, values in ((NAMES, names), (CAPTIONS, captions), (SKIPPED, skipped)):
        if any(values):
            (folder / file).write_text(json.dumps(values, ensure_ascii=False, indent=0), encoding="utf-8")
    rows = [len(one.labels) for one in made]
    parts = {
        part: sum(n for n, shard in zip(rows, contents.shards, strict=True) if shard.part == part) for part in PARTS
    }
    meta = {
        "layout": LAYOUT,
        "dataset": dataset.name,
        "classes": list(contents.classes),
        "shape": list(dataset.shape),
        "shards": rows,
        "parts": {part: count for part, count in parts.items() if count},
        "skipped": len(skipped),
        "origin": official.origin,
        "fingerprint": shards.fingerprint([one.digest for one in made]),
    }
    (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    shards.forget_records(folder)
