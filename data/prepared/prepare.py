"""Official files into uint8 arrays that are read by memory map: `ROOT/processed/DATASET`.

`images-NNNNN.npy` uint8 [n, H, W, C], shard by shard, the training part first; `labels.npy` int64 [N], little-endian,
−1 for captioned images; `names.json` and `captions.json`, a list over all images, where the files have such;
`skipped.json`, the pictures that were broken; `meta.json` says what they are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data.atomic import alone, resumable
from data.dataset import PARTS, Dataset, Official
from data.disk_space import check_space
from data.errors import UserError
from data.formats import contract as formats
from data.formats.archives import close_files
from data.layout import processed_folder, raw_folder
from data.official.checksums import on_disk
from data.official.download import official_files
from data.official.picture_tree import registered_tree, verified_tree
from data.prepared import shards
from data.prepared.arrays import CAPTIONS, LABEL_TYPE, LABELS, NAMES, NO_LABEL, SKIPPED, fingerprint
from data.prepared.earlier import add_digests
from data.prepared.store import ImageStore
from data.progress import progress
from data.verification import write_meta

Task = tuple[formats.Shard, int]  # a shard and its number
LAYOUT = 2  # raised whenever these files would hold something else: what was prepared before is then made again
UNPACKED = "unpacked"
MOST_BROKEN = 0.01  # share of pictures that may be broken and left out; …
HANDFUL = 10  # … so many may be in any case
PARALLEL_FROM = 256 * 2**20  # bytes of pictures to decode or draw; fewer are made before Ray has started


def is_prepared(dataset: Dataset, root: Path, origin: str | None) -> bool:
    """Says whether a dataset's arrays are there, by their sizes, and as the catalog describes them.

    They must be made from files of that origin; None is any origin.
    """
    try:
        store = ImageStore.open(processed_folder(dataset.name, root))
    except UserError:
        return False
    return (
        (store.dataset, store.images.shape[1:], store.layout) == (dataset.name, dataset.shape, LAYOUT)
        and (not isinstance(dataset.classes, tuple) or store.classes == dataset.classes)
        and origin in (None, store.origin)
    )


def _origin(dataset: Dataset, root: Path) -> str | None:
    """Returns the origin of the official files on disk, or of the drawing; None where there are no files.

    Raises UserError where a folder that stands in for them has changed.
    """
    if dataset.drawn is not None:
        return dataset.origin
    if tree := registered_tree(dataset, root):
        return verified_tree(dataset, tree).origin
    folder = raw_folder(dataset.name, root)
    return dataset.origin if any(on_disk(file, folder) for file in dataset.files) else None


def prepare(dataset: Dataset, root: Path) -> bool:
    """Makes `root/processed/NAME` from `root/raw/NAME`. Returns False where it was there already.

    A run that was stopped half-way is resumed with the shards that are missing. A prepared dataset no longer needs its
    official files.

    Raises:
        UserError: an official file is missing, truncated or malformed, too many pictures are broken, or the disk is
            full.
    """
    root = root.absolute()  # workers on other machines have other working folders
    target = processed_folder(dataset.name, root)
    add_digests(target)
    if is_prepared(dataset, root, _origin(dataset, root)):
        return False
    official = official_files(dataset, root)
    with alone(target):
        if is_prepared(dataset, root, official.origin):
            return False
        key = json.dumps([LAYOUT, official.origin, official.format, dataset.shape])
        with resumable(target, key) as folder:
            unpacked = folder / UNPACKED
            unpacked.mkdir(exist_ok=True)
            contents = formats.FORMATS.get(official.format)(dataset, official.files, unpacked)
            _check_classes(contents, dataset)
            made = _make_shards(dataset, contents, folder)
            close_files()  # the files under `unpacked` are about to be removed
            _write_arrays(dataset, contents, made, official, folder)
        shards.forget_records(target)
    return True


def _finished(contents: formats.Contents, folder: Path) -> dict[int, shards.Records]:
    """Returns the records of the shards that are on disk, by their numbers."""
    records = {number: shards.read_records(folder, number, shard.count) for number, shard in enumerate(contents.shards)}
    return {number: made for number, made in records.items() if made}


def _make_shards(dataset: Dataset, contents: formats.Contents, folder: Path) -> list[shards.Records]:
    """Makes the missing shards and returns the records of all, in order.

    Raises UserError where too many pictures are broken or a label is out of range.
    """
    total = sum(shard.count for shard in contents.shards)
    allowed = max(HANDFUL, int(MOST_BROKEN * total))
    done = _finished(contents, folder)
    left = [(shard, number) for number, shard in enumerate(contents.shards) if number not in done]
    images = sum(shard.count for shard, _ in left)
    check_space(folder.parent, images * dataset.image_bytes, f"{images:,} images of {dataset.name}")
    skipped: list[list[str]] = []
    with progress(total, f"preparing {dataset.name}", " images", done=total - images) as bar:
        for made in chain(done.values(), _run(left, dataset, folder, bar)):
            _check_labels(made, contents, dataset)
            skipped += made.skipped
            if len(skipped) > allowed:
                listed = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:5])
                raise UserError(
                    f"{len(skipped)} pictures of {dataset.name} are broken, at most {allowed} may be:{listed}\n"
                    "Look at the first of them and repair the files."
                )
    done = _finished(contents, folder)
    return [done[number] for number in range(len(contents.shards))]


def _run(left: Sequence[Task], dataset: Dataset, folder: Path, bar: tqdm) -> Iterator[shards.Records]:
    """Makes the shards that are left and yields their records.

    Ray makes them where there is much to decode or draw, or a cluster; otherwise this process does.
    """
    work = sum(shard.count for shard, _ in left if isinstance(shard, formats.Laborious)) * dataset.image_bytes
    if work < PARALLEL_FROM and not os.environ.get("RAY_ADDRESS"):
        for shard, number in left:
            yield shards.make(shard, number, dataset.shape, folder, bar.update)
    else:
        from data.prepared import parallel

        for shard, made in parallel.make(left, dataset.shape, folder):
            bar.update(shard.count)
            yield made


def _check_classes(contents: formats.Contents, dataset: Dataset) -> None:
    """Raises UserError where there is one class alone: whatever is learned of it would be right."""
    if len(contents.classes) == 1:
        raise UserError(
            f"{dataset.name} has one class alone, {contents.classes[0]!r}, so that there is nothing to tell apart: add "
            "pictures of another class"
        )


def _check_labels(made: shards.Records, contents: formats.Contents, dataset: Dataset) -> None:
    """Raises UserError where a label is not the number of a class."""
    allowed = range(len(contents.classes)) if contents.classes else {NO_LABEL}
    for index, label in enumerate(made.labels):
        if label not in allowed:
            raise UserError(
                f"image {made.names[index] or index} of {dataset.name} has label {label}; its "
                f"{len(contents.classes)} classes are 0 … {len(contents.classes) - 1}"
            )


def _write_arrays(
    dataset: Dataset, contents: formats.Contents, made: list[shards.Records], official: Official, folder: Path
) -> None:
    """Writes the labels, names and captions of all shards, and meta.json last."""
    labels = np.concatenate([np.asarray(one.labels, dtype=LABEL_TYPE) for one in made])
    if not len(labels):
        raise UserError(f"{dataset.name} has no picture that is not broken: {made[0].skipped[0]}")
    empty = sorted(set(range(len(contents.classes))) - set(np.unique(labels).tolist()))
    if empty:
        broken = sum(len(one.skipped) for one in made)
        why = f"every class needs some, and {broken} pictures are broken" if broken else "every class needs some"
        raise UserError(f"{dataset.name} has no image of class {contents.classes[empty[0]]!r}: {why}")
    np.save(folder / LABELS, labels)
    names = list(chain.from_iterable(one.names for one in made))
    captions = list(chain.from_iterable(one.captions for one in made))
    skipped = list(chain.from_iterable(one.skipped for one in made))
    files = {LABELS}
    for file, values in ((NAMES, names), (CAPTIONS, captions), (SKIPPED, skipped)):
        if any(values):
            files.add(file)
            (folder / file).write_text(json.dumps(values, ensure_ascii=False, indent=0), encoding="utf-8")
    rows, digests = [len(one.labels) for one in made], [one.digest for one in made]
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
        "digests": digests,
        "fingerprint": fingerprint(digests),
    }
    write_meta(folder, meta, files)
