"""Shards on disk: `images-NNNNN.npy` uint8 [n, H, W, C], and `records-NNNNN.json`, written last, of what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from data.atomic import alone, whole_file
from data.errors import UserError
from data.formats.contract import Example, Shard
from data.formats.pictures import BrokenPicture, decoded
from data.prepared.store import images_name

LABEL_TYPE = np.dtype("<i8")
NO_LABEL = -1


@dataclass(frozen=True)
class Records:
    """What a shard holds, image by image: labels (−1 where there is none), names, captions; and what it left out.

    `digest` is the SHA-256 of the images' bytes, then the labels', then, where there are any, the captions'.
    """

    labels: list[int]
    names: list[str]
    captions: list[list[str]]
    skipped: list[list[str]]  # name and reason
    digest: str


def _records_path(folder: Path, number: int) -> Path:
    return folder / f"records-{number:05d}.json"


def records(folder: Path, number: int, count: int) -> Records | None:
    """Of that shard of `count` images; None where it was not made, not whole, or cut otherwise."""
    try:
        found = Records(**json.loads(_records_path(folder, number).read_text(encoding="utf-8")))
        return found if len(found.labels) + len(found.skipped) == count else None
    except (OSError, ValueError, TypeError):
        return None


def forget_records(folder: Path) -> None:
    """Removes what `records` reads: their content has been put together elsewhere."""
    for path in folder.glob("records-*.json"):
        path.unlink()


def make(
    shard: Shard,
    number: int,
    shape: tuple[int, int, int],
    folder: Path,
    report: Callable[[int], object] = lambda images: None,
) -> Records:
    """Makes one shard, or gives what an earlier attempt made; `report` is told of the images as they pass.

    One image is in memory at a time. Pictures that are broken are left out. UserError where a file is truncated or
    malformed, or the disk is full.
    """
    # A worker of a killed command may still be at it: then its work is waited for, not mixed with this one's.
    with alone(folder / images_name(number)):
        made = records(folder, number, shard.count)
        if made is not None:
            report(shard.count)
            return made
        with whole_file(folder / images_name(number)) as out:
            made = _write(shard, shape, out, report)
        with whole_file(_records_path(folder, number)) as out:
            out.write(json.dumps(asdict(made), ensure_ascii=False).encode())
    return made


def _write(shard: Shard, shape: tuple[int, int, int], out: BinaryIO, report: Callable[[int], object]) -> Records:
    """Writes the images of a shard and tells of them.

    Plain writes rather than a memory map: on a full disk a write is an error that can be told, a store
    to a mapped page kills the process.
    """
    digest = hashlib.sha256()
    found = Records([], [], [], [], "")
    _write_header(out, (shard.count, *shape))
    passed = 0
    for example in shard.examples():
        passed += 1
        report(1)
        try:
            image = np.ascontiguousarray(_array(example, shape))
        except BrokenPicture as error:
            found.skipped.append([example.name, str(error)])
            continue
        out.write(image.data)
        digest.update(image.data)
        found.labels.append(NO_LABEL if example.label is None else example.label)
        found.names.append(example.name)
        found.captions.append(list(example.captions))
    if passed != shard.count:
        raise UserError(
            f"the official files gave {passed} images of the {shard.part} part, they announce {shard.count}"
        )
    if found.skipped:  # NumPy pads headers so that the same number of digits, or fewer, fits
        out.seek(0)
        _write_header(out, (len(found.labels), *shape))
    digest.update(np.asarray(found.labels, dtype=LABEL_TYPE).data)
    if any(found.captions):
        digest.update(json.dumps(found.captions).encode())
    return Records(found.labels, found.names, found.captions, found.skipped, digest.hexdigest())


def _array(example: Example, shape: tuple[int, int, int]) -> np.ndarray:
    if isinstance(example.image, bytes):
        return decoded(example.image, shape)
    if example.image.shape != shape or example.image.dtype != np.uint8:
        raise UserError(f"an image is {example.image.dtype} {example.image.shape}, expected uint8 {shape}")
    return example.image


def _write_header(out: BinaryIO, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)


def fingerprint(digests: list[str]) -> str:
    """Of all shards, in order: the digest of their digests; that of a single shard is its own."""
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
