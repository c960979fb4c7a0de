"""Synthetic images under the name of a real dataset: `python toy_data.py REPETITIONS` puts them in ./data."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np

from data import catalog
from data.labelled import splits
from data.prepared.arrays import LABELS, images_name
from data.verification import write_meta

NAME = "mnist-5k"


def make(root: Path, repetitions: int) -> None:
    """Ten patterns under heavy noise, 5,000 images, cut into parts; `root` is the data folder."""
    dataset = catalog.get(NAME)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(len(dataset.classes)), dataset.images // len(dataset.classes))
    rng.shuffle(labels)
    patterns = rng.integers(0, 60, (len(dataset.classes), *dataset.shape))
    noise = rng.integers(0, 195, (dataset.images, *dataset.shape))
    images = (patterns[labels] + noise).astype(np.uint8)
    folder = root / "processed" / NAME
    folder.mkdir(parents=True)
    np.save(folder / images_name(0), images)
    np.save(folder / LABELS, labels)
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    meta = {
        "dataset": NAME,
        "classes": list(dataset.classes),
        "shape": list(dataset.shape),
        "shards": [dataset.images],
        "parts": {"train": dataset.images},
        "skipped": 0,
        "origin": "",
        "layout": 2,
        "digests": [digest],
        "fingerprint": digest,
    }
    write_meta(folder, meta, [LABELS])
    splits.split(dataset, repetitions, root)


if __name__ == "__main__":
    make(Path("data"), int(sys.argv[1]))
