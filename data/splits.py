"""Training, validation and test parts, and nested labelled subsets of the training part.

`ROOT/splits/DATASET` holds `parts.npz` (train, validation, test: sorted indices), one `order-NNN.npy` per
repetition (the training indices in the order in which they get labels) and `meta.json`. All of it
depends on the labels and the dataset's name alone, so it is the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.atomic import alone, whole_folder
from data.catalog import Dataset
from data.errors import DataError
from data.folders import processed_folder, splits_folder
from data.seeds import seed_of
from data.store import ImageStore
from data.stratify import cut, label_order, labelled_count

PARTS, META = "parts.npz", "meta.json"
INDEX_TYPE = np.dtype("<i8")


def _parts(dataset: Dataset, store: ImageStore) -> dict[str, np.ndarray]:
    """Train, validation and test, sorted int64 indices into the store; seeded by the dataset's name alone."""
    everything = np.arange(len(store.labels))
    try:
        if dataset.official_test:
            rest, test = everything[: store.official_test], everything[store.official_test :]
        else:
            seed = seed_of("parts", dataset=dataset.name, part="test")
            test, rest = cut(store.labels, everything, dataset.test, seed)
        seed = seed_of("parts", dataset=dataset.name, part="validation")
        validation, train = cut(store.labels, rest, dataset.validation, seed)
    except ValueError as error:
        raise DataError(f"{dataset.name} cannot be cut as the catalog asks: {error}") from error
    parts = {"train": train, "validation": validation, "test": test}
    if len(test) != dataset.test:
        raise DataError(f"{dataset.name}'s own test part has {len(test)} images, expected {dataset.test}")
    missing = set(range(len(dataset.classes))) - set(np.unique(store.labels[train]).tolist())
    if missing:
        raise DataError(f"{dataset.name} has no training image of class {dataset.classes[min(missing)]!r}")
    return {name: indices.astype(INDEX_TYPE) for name, indices in parts.items()}


def _is_split(dataset: Dataset, store: ImageStore, repetitions: int, root: Path) -> bool:
    try:
        splits = Splits.open(splits_folder(dataset.name, root))
    except DataError:
        return False
    sizes = (len(splits.validation), len(splits.test))
    return (
        splits.data == store.fingerprint
        and splits.repetitions >= repetitions
        and sizes == (dataset.validation, dataset.test)
    )


def split(dataset: Dataset, repetitions: int, root: Path) -> bool:
    """Makes `root/splits/NAME` with at least that many repetitions; False where it was there already.

    More repetitions leave the parts and the earlier ones as they are, byte for byte. Raises DataError
    where the prepared images are missing or damaged, or a class has too few of them.
    """
    if repetitions < 1:
        raise DataError(f"--repetitions {repetitions}: at least 1 is needed")
    store = ImageStore.open(processed_folder(dataset.name, root))
    target = splits_folder(dataset.name, root)
    if _is_split(dataset, store, repetitions, root):
        return False
    with alone(target):
        if _is_split(dataset, store, repetitions, root):
            return False
        parts = _parts(dataset, store)
        with whole_folder(target) as folder:
            np.savez(folder / PARTS, **parts)
            for repetition in range(repetitions):
                seed = seed_of("labelled", dataset=dataset.name, repetition=repetition)
                order = parts["train"][label_order(store.labels[parts["train"]], seed)]
                np.save(folder / _order_name(repetition), order)
            meta = {
                "dataset": dataset.name,
                "data": store.fingerprint,
                "classes": len(store.classes),
                "repetitions": repetitions,
                **{name: len(indices) for name, indices in parts.items()},
            }
            (folder / META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    return True


def _order_name(repetition: int) -> str:
    return f"order-{repetition:03d}.npy"


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one dataset, sorted int64 indices into `ImageStore.images`, and its labelled subsets.

    `repetitions` says how many orders are on disk, `data` is the fingerprint of the images that they index.
    """

    folder: Path
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    classes: int
    repetitions: int
    data: str

    @classmethod
    def open(cls, folder: Path) -> Splits:
        """Opens what `python -m data split` wrote.

        DataError, naming the command that makes it, where it is missing, damaged or half there.
        """
        command = f"run `python -m data split {folder.name} --repetitions R`"
        try:
            if not (folder / META).is_file():
                raise DataError(f"{folder} holds no splits: {command} first")
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            with np.load(folder / PARTS, allow_pickle=False) as file:
                parts = {name: file[name] for name in ("train", "validation", "test")}
            for name, indices in parts.items():
                if indices.shape != (meta[name],) or indices.dtype != np.int64:
                    raise ValueError(f"the {name} part is not as meta.json says")
            whole = [(folder / _order_name(i)).is_file() for i in range(meta["repetitions"])]
            if not all(whole):
                raise ValueError(f"{_order_name(whole.index(False))} is missing")
            return cls(folder, **parts, **{key: meta[key] for key in ("classes", "repetitions", "data")})
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{folder} is damaged ({error}): delete it and {command} again") from error

    def labelled(self, repetition: int, proportion: float) -> np.ndarray:
        """The training images whose labels may be used, sorted int64 indices into the store.

        A larger proportion of the same repetition contains every smaller one; see `label_order` for how the
        classes share it. DataError for a repetition that is not on disk or a proportion outside (0, 1].
        """
        if not 0 <= repetition < self.repetitions:
            raise DataError(
                f"repetition {repetition}: {self.folder} has {self.repetitions}, counted from 0; run "
                f"`python -m data split {self.folder.name} --repetitions {max(repetition, 0) + 1}`"
            )
        count = labelled_count(proportion, len(self.train), self.classes)
        path = self.folder / _order_name(repetition)
        try:
            order = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} is damaged ({error}): delete {self.folder} and split again") from error
        if order.shape != self.train.shape:
            raise DataError(f"{path} does not order all images: delete {self.folder} and split again")
        return np.sort(order[:count])

    def fingerprint(self, repetition: int, proportion: float) -> str:
        """SHA-256 over the three parts and that labelled subset, hexadecimal."""
        digest = hashlib.sha256()
        for indices in (self.train, self.validation, self.test, self.labelled(repetition, proportion)):
            digest.update(len(indices).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(indices, dtype=INDEX_TYPE).data)
        return digest.hexdigest()
