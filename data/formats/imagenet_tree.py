"""ImageNet as a tree of folders, the way most people keep it.

The tree is `train/WNID/*` and `val/WNID/*`, which the usual scripts make of the official tars (WNID is a WordNet
identifier); or the layout of the copy on Kaggle. There the same lies in `ILSVRC/Data/CLS-LOC`, but all of `val` is in
one folder, and `LOC_val_solution.csv` has its labels in the columns ImageId and PredictionString
('n03995372 85 1 499 272': a class and a box, once or several times).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from data.dataset import Dataset
from data.errors import UserError
from data.formats.archives import OnDisk
from data.formats.checks import as_catalogued
from data.formats.contract import Contents, Picture, register, shards_of
from data.formats.trees import is_picture, listed

KAGGLE, SOLUTION = Path("ILSVRC/Data/CLS-LOC"), "LOC_val_solution.csv"


def _first_folder(places: list[Path], what: str, tree: Path) -> Path:
    """Returns the first of some folders that exists. Raises UserError where none does."""
    for place in places:
        if place.is_dir():
            return place
    wanted = " or ".join(str(place.relative_to(tree)) for place in places)
    raise UserError(f"{tree} is not a tree of ImageNet: there is no folder {wanted} of {what} images in it")


def _sorted_in(folder: Path, labels: Mapping[str, int]) -> Iterator[Picture]:
    """Yields the pictures in folders of classes. Raises UserError for a folder of no class or without pictures."""
    for wnid in listed(folder)[0]:
        if wnid not in labels:
            raise UserError(f"{folder / wnid} is the folder of no class: there is none of that name for training")
        names = [name for name in listed(folder / wnid)[1] if is_picture(name)]
        if not names:
            raise UserError(f"{folder / wnid} has no pictures in it")
        yield from (Picture(OnDisk(folder, f"{wnid}/{name}"), labels[wnid]) for name in names)


def _solution(path: Path, labels: Mapping[str, int]) -> dict[str, int]:
    """Reads the labels of validation images, by their names without endings. Raises UserError where that fails."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row["ImageId"], row["PredictionString"].split()[0]) for row in csv.DictReader(file)]
    except OSError as error:
        raise UserError(f"cannot read {path}, which labels the images in val: {error.strerror}") from error
    except (KeyError, AttributeError, IndexError, ValueError, csv.Error) as error:
        raise UserError(f"{path} lacks the columns ImageId and PredictionString in some of its rows") from error
    for image, wnid in rows:
        if wnid not in labels:
            raise UserError(f"{path}: the class {wnid!r} of {image} is none of those for training")
    return {image: labels[wnid] for image, wnid in rows}


def _flat(folder: Path, solution: Path, labels: Mapping[str, int]) -> list[Picture]:
    """Returns the pictures in one folder, labelled by a table, sorted by class, then by name."""
    known = _solution(solution, labels)
    labelled: list[tuple[int, Picture]] = []
    for name in filter(is_picture, listed(folder)[1]):
        image = name.rpartition(".")[0]
        if image not in known:
            raise UserError(f"{solution} has no row for {folder / name}")
        labelled.append((known[image], Picture(OnDisk(folder, name), known[image])))
    return [picture for _, picture in sorted(labelled, key=lambda pair: pair[0])]


@register("imagenet-tree")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads one folder, of role tree."""
    tree = files["tree"]
    train = _first_folder([tree / "train", tree / KAGGLE / "train"], "training", tree)
    val = _first_folder([train.parent / "val", train.parent / "validation"], "validation", tree)
    classes = tuple(listed(train)[0])
    labels = {wnid: label for label, wnid in enumerate(classes)}
    validation = _sorted_in(val, labels) if listed(val)[0] else _flat(val, tree / SOLUTION, labels)
    shards = [
        *shards_of("train", list(_sorted_in(train, labels)), dataset),
        *shards_of("test", list(validation), dataset),
    ]
    return as_catalogued(dataset, classes, shards, tree)
