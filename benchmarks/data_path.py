"""Measures how fast images are prepared and read, relative to the least work that either could take.

    python -m benchmarks data_path                      # both
    python -m benchmarks data_path --pictures 5000      # a larger shard

Preparing: a shard of JPEGs of 256×256, and one of ImageNet's usual 500×375, in a process of its own on one core. The
ratio is to the time of decoding the same files with Pillow alone; the peak memory is that of the process.

Reading: batches of random images of a prepared set, as bytes (which is what travels to a GPU) and as float32 in [0, 1].
The ratios are to copying the bytes of the same random rows of one array, and to a sequential copy of as many bytes.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from data.formats.archives import OnDisk
from data.formats.contract import Picture, Pictures
from data.prepared import shards
from data.prepared.store import ImageStore, Sharded
from experiments.learning.device import keep_freed_memory

SIZES = ((256, 256), (500, 375))
SHAPE = (256, 256, 3)
BATCH = 64


def write_pictures(folder: Path, count: int, size: tuple[int, int]) -> list[str]:
    """Writes `count` JPEGs of smooth shapes under a little noise and returns their names.

    At quality 90 they compress about as well as photographs.
    """
    chance = np.random.default_rng(0)
    names = []
    for number in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BICUBIC
        )
        grain = chance.normal(0, 6, (size[1], size[0], 3))
        pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
        names.append(f"{number}.jpg")
        Image.fromarray(pixels).save(folder / names[-1], quality=90)
    return names


def work(folder: Path, count: int) -> None:
    """Decodes and prepares pictures in the process that is measured; prints seconds and peak memory as JSON."""
    names = [f"{number % 200}.jpg" for number in range(count)]
    start = time.perf_counter()
    for name in names:
        np.asarray(Image.open(io.BytesIO((folder / name).read_bytes()), formats=["JPEG"]).convert("RGB"))
    decoded = time.perf_counter() - start
    shard = Pictures("train", tuple(Picture(OnDisk(folder, name), 0) for name in names))
    start = time.perf_counter()
    shards.make(shard, 0, SHAPE, folder)
    prepared = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"decode": decoded, "prepare": prepared, "peak": peak / 1024}))


def measure_preparing(count: int) -> None:
    """Measures the preparation of one shard for each size of picture."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pictures(folder, 200, size)
            command = [sys.executable, __file__, "--worker", name, "--pictures", str(count)]
            measured = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rate, share = count / measured["prepare"], measured["decode"] / measured["prepare"]
        print(
            f"preparing {size[0]}×{size[1]} JPEGs as 256×256×3, one core: {rate:,.0f} images/s, "
            f"{share:.2f} of decoding alone; peak memory {measured['peak']:,.0f} MiB "
            f"for a shard of {count * np.prod(SHAPE) / 2**20:,.0f} MiB"
        )


def seconds(run: Callable[[np.ndarray], object], batches: list[np.ndarray]) -> float:
    """Returns the wall time of all batches, on one thread."""
    start = time.perf_counter()
    for batch in batches:
        run(batch)
    return time.perf_counter() - start


def measure_reading(side: int, channels: int, count: int) -> None:
    """Measures random batches of a set in four shards, each way of reading in turn, seven times."""
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        pieces = []
        for number in range(4):
            path = Path(name) / f"{number}.npy"
            np.save(path, chance.integers(0, 256, (count // 4, side, side, channels), dtype=np.uint8))
            pieces.append(np.load(path, mmap_mode="r", allow_pickle=False))
        labels = np.zeros(count, np.int64)
        store = ImageStore("random", Sharded(pieces), labels, ("one",), "none")
        resident = store.resident("cpu")
        whole = np.concatenate(pieces)
        starts = iter(np.resize(np.arange(0, count - BATCH, BATCH), 10**6))
        batches = np.array_split(chance.permutation(count), count // BATCH)
        ways: dict[str, Callable[[np.ndarray], object]] = {
            "bytes from mapped shards": lambda batch: store.images[batch],
            "float32 from mapped shards": store.batch,
            "float32 from resident images": resident.batch,
            "rows": lambda batch: whole[batch],
            "copy": lambda batch: whole[(start := next(starts)) : start + len(batch)].copy(),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for run in ways.values():
            seconds(run, batches)
        for _ in range(7):
            for way, run in ways.items():
                times[way].append(seconds(run, batches))
    rates = {way: count / statistics.median(found) for way, found in times.items()}
    for way in [way for way in ways if " from " in way]:
        print(
            f"reading {side}×{side}×{channels}, {way}: {rates[way]:,.0f} images/s, {rates[way] / rates['rows']:.2f} of "
            f"copying those rows' bytes within memory, {rates[way] / rates['copy']:.2f} of a sequential copy"
        )


def main() -> None:
    """Measures preparing, then reading."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pictures", type=int, default=2_730, help="number of pictures in a shard; ImageNet's shards have 2,730"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(Path(arguments.worker), arguments.pictures)
        return
    keep_freed_memory()
    torch.set_num_threads(1)
    measure_preparing(arguments.pictures)
    for side, channels, count in ((28, 1, 50_000), (32, 3, 20_000), (256, 3, 2_000)):
        measure_reading(side, channels, count)


if __name__ == "__main__":
    main()
