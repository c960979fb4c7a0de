"""Shards on disk: `images-NNNNN.npy`, uint8 [n, H, W, C], and `records-NNNNN.json`, what is known of these images.

The records are written last, so a shard with records is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data.atomic import alone, whole_file
from data.errors import UserError
from data.formats.contract import Example, Shard
from data.formats.pictures import BrokenPicture, decoded
from data.prepared.arrays import NO_LABEL, completed, images_name


@dataclass(frozen=True)
class Records:
    """What is known of a shard's images, one by one: labels (−1 for captioned images), names and captions.

    `skipped` lists the broken pictures that were left out. `digest` is the SHA-256 of the images' bytes, then the
    labels', then, where there are any, the captions'.
    """

    labels: list[int]
    names: list[str]
    captions: list[list[str]]
    skipped: list[list[str]]  # name and reason
    digest: str


def _records_path(folder: Path, number: int) -> Path:
    return folder / f"records-{number:05d}.json"


def read_records(folder: Path, number: int, count: int) -> Records | None:
    """Reads the records of a shard of `count` images; None where it was not made, not whole, or cut otherwise."""
    try:
        records = Records(**json.loads(_records_path(folder, number).read_text(encoding="utf-8")))
        return records if len(records.labels) + len(records.skipped) == count else None
    except (OSError, ValueError, TypeError):
        return None


def forget_records(folder: Path) -> None:
    """Removes the records of all shards, once the files of the whole dataset have their content."""
    for path in folder.glob("records-*.json"):
        path.unlink()


def make(
    shard: Shard,
    number: int,
    shape: tuple[int, int, int],
    folder: Path,
    report: Callable[[int], object] = lambda images: None,
) -> Records:
    """Makes one shard, or returns the records of one that an earlier attempt made.

    `report` is called with a number of images as they are made. One image is in memory at a time. Broken pictures are
    left out. Raises UserError where a file is truncated or malformed, or the disk is full.
    """
    # A worker of a killed command may still be making this shard: wait for it.
    with alone(folder / images_name(number)):
        made = read_records(folder, number, shard.count)
        if made is not None:
            report(shard.count)
            return made
        with whole_file(folder / images_name(number)) as out:
            made = _write(shard, shape, out, report)
        with whole_file(_records_path(folder, number)) as out:
            out.write(json.dumps(asdict(made), ensure_ascii=False).encode())
    return made


def _write(shard: Shard, shape: tuple[int, int, int], out: BinaryIO, report: Callable[[int], object]) -> Records:
    """Writes the images of a shard and returns its records.

    The images are written, not stored through a memory map: on a full disk a write raises an error, while a store to a
    mapped page kills the process.
    """
    digest = hashlib.sha256()
    gathered = Records([], [], [], [], "")
    _write_header(out, (shard.count, *shape))
    count = 0
    for example in shard.examples():
        count += 1
        report(1)
        try:
            image = np.ascontiguousarray(_array(example, shape))
        except BrokenPicture as error:
            gathered.skipped.append([example.name, str(error)])
            continue
        out.write(image.data)
        digest.update(image.data)
        gathered.labels.append(NO_LABEL if example.label is None else example.label)
        gathered.names.append(example.name)
        gathered.captions.append(list(example.captions))
    if count != shard.count:
        raise UserError(f"the official files gave {count} images of the {shard.part} part, they announce {shard.count}")
    if gathered.skipped:  # a smaller number fits, because NumPy pads headers
        out.seek(0)
        _write_header(out, (len(gathered.labels), *shape))
    return replace(gathered, digest=completed(digest, gathered.labels, gathered.captions))


def _array(example: Example, shape: tuple[int, int, int]) -> np.ndarray:
    """Returns the image of an example, uint8 of that shape. Raises BrokenPicture or UserError where it is not one."""
    if isinstance(example.image, bytes):
        return decoded(example.image, shape)
    if example.image.shape != shape or example.image.dtype != np.uint8:
        raise UserError(f"an image is {example.image.dtype} {example.image.shape}, expected uint8 {shape}")
    return example.image


def _write_header(out: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)
