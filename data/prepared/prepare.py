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
from data.prepared.store import CAPTIONS, LABELS, META, NAMES, SKIPPED, ImageStore
from data.progress import progress

Task = tuple[formats.Shard, int]  # and its number
LAYOUT = 2  # raised whenever these files would hold something else: what was prepared before is then made again
UNPACKED = "unpacked"
MOST_BROKEN = 0.01  # share of pictures that may be skipped, and a handful of them in any case
HANDFUL = 10
PARALLEL_FROM = 256 * 2**20  # bytes of pictures to decode or draw; fewer are made sooner than Ray starts


def is_prepared(dataset: Dataset, root: Path, origin: str | None) -> bool:
    """Whether its arrays are there, whole (by their sizes), as the catalog describes them, and made from files of that
    origin (None: whichever)."""
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
    """Of the official files that are here, or of the drawing; None where there are none. UserError where a folder that
    stands for them has changed."""
    if dataset.drawn is not None:
        return dataset.origin
    if tree := registered_tree(dataset, root):
        return verified_tree(dataset, tree).origin
    folder = raw_folder(dataset.name, root)
    return dataset.origin if any(on_disk(file, folder) for file in dataset.files) else None


def prepare(dataset: Dataset, root: Path) -> bool:
    """Makes `root/processed/NAME` from `root/raw/NAME`; False where it was there already.

    Stopped half-way, it goes on with the shards that are not there yet. What is prepared does not need its official
    files any more. Raises UserError where one of those is missing, truncated or malformed, too many pictures are
    broken, or the disk is full.
    """
    root = root.absolute()  # workers on other machines are in other folders
    target = processed_folder(dataset.name, root)
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
            made = _made(dataset, contents, folder)
            close_files()  # those under `unpacked` are about to be removed
            _put_together(dataset, contents, made, official, folder)
        shards.forget_records(target)
    return True


def _done(contents: formats.Contents, folder: Path) -> dict[int, shards.Records]:
    """What the shards that are there hold, by their numbers."""
    found = {number: shards.records(folder, number, shard.count) for number, shard in enumerate(contents.shards)}
    return {number: made for number, made in found.items() if made}


def _made(dataset: Dataset, contents: formats.Contents, folder: Path) -> list[shards.Records]:
    """What each shard holds, in order, once they are all there."""
    total = sum(shard.count for shard in contents.shards)
    allowed = max(HANDFUL, int(MOST_BROKEN * total))
    done = _done(contents, folder)
    left = [(shard, number) for number, shard in enumerate(contents.shards) if number not in done]
    images = sum(shard.count for shard, _ in left)
    check_space(folder.parent, images * dataset.image_bytes, f"{images:,} images of {dataset.name}")
    skipped: list[list[str]] = []
    with progress(total, f"preparing {dataset.name}", " images", done=total - images) as bar:
        for made in chain(done.values(), _making(left, dataset, folder, bar)):
            _check_labels(made, contents, dataset)
            skipped += made.skipped
            if len(skipped) > allowed:
                told = "".join(f"\n  {name}: {reason}" for name, reason in skipped[:5])
                raise UserError(
                    f"{len(skipped)} pictures of {dataset.name} are broken, at most {allowed} may be:{told}\n"
                    "Look at the first of them, and put the files right."
                )
    done = _done(contents, folder)
    return [done[number] for number in range(len(contents.shards))]


def _making(left: Sequence[Task], dataset: Dataset, folder: Path, bar: tqdm) -> Iterator[shards.Records]:
    """Makes the shards that are left: here, or with Ray where there is much to decode or draw, or a cluster."""
    work = sum(shard.count for shard, _ in left if isinstance(shard, formats.Laborious)) * dataset.image_bytes
    if work < PARALLEL_FROM and not os.environ.get("RAY_ADDRESS"):
        for shard, number in left:
            yield shards.make(shard, number, dataset.shape, folder, bar.update)
    else:
        from data.prepared import parallel

        for shard, made in parallel.make(left, dataset.shape, folder):
            bar.update(shard.count)
            yield made


def _check_labels(made: shards.Records, contents: formats.Contents, dataset: Dataset) -> None:
    allowed = range(len(contents.classes)) if contents.classes else {shards.NO_LABEL}
    for index, label in enumerate(made.labels):
        if label not in allowed:
            raise UserError(
                f"image {made.names[index] or index} of {dataset.name} has label {label}; its "
                f"{len(contents.classes)} classes are 0 … {len(contents.classes) - 1}"
            )


def _put_together(
    dataset: Dataset, contents: formats.Contents, made: list[shards.Records], official: Official, folder: Path
) -> None:
    """Writes what is said of all shards, meta.json last."""
    labels = np.concatenate([np.asarray(one.labels, dtype=shards.LABEL_TYPE) for one in made])
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
