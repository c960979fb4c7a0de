"""Flickr8k, Flickr30k and COCO: archives of pictures, and Karpathy's captions and parts in `caption_datasets.zip`.

In that archive, `dataset_NAME.json` lists a dataset's images: {"images": [{"filename": …, "split": …, "sentences":
[{"raw": …}, …]}, …]}. Split "restval" of COCO is the rest of the validation images; as usual, it is trained on.
A. Karpathy, L. Fei-Fei, CVPR 2015; cs.stanford.edu/people/karpathy/deepimagesent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data.dataset import PARTS, Dataset
from data.errors import UserError
from data.formats.archives import Member, faulty
from data.formats.checks import as_catalogued, by_last_name, members, named
from data.formats.contract import Contents, Picture, register, shards_of

SPLITS = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
FIELDS = ("images", "filename", "split", "sentences", "raw")


def _needed(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the needed fields of a JSON object: the others take most of the memory of COCO's file."""
    return {name: fields[name] for name in FIELDS if name in fields}


def _entries(data: bytes, what: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """Parses the names, parts and captions of all images. Raises UserError where the file is something else."""
    try:
        images = json.loads(data, object_hook=_needed)["images"]
        entries = [
            (image["filename"], image["split"], tuple(sentence["raw"].strip() for sentence in image["sentences"]))
            for image in images
        ]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise faulty(what, f"it is not a list of images and sentences ({type(error).__name__}: {error})") from error
    for name, split, captions in entries:
        if split not in SPLITS:
            raise faulty(f"{what}, {name}", f"its part is {split!r}, known are {', '.join(SPLITS)}")
        if not any(captions):
            raise faulty(f"{what}, {name}", "it has no sentence")
    return [(name, SPLITS[split], tuple(filter(None, captions))) for name, split, captions in entries]


def _places(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> dict[str, Member]:
    """Returns the pictures of all archives by their names without folders. Raises UserError for a name twice."""
    places: dict[str, Member] = {}
    for role in sorted(role for role in files if role.startswith("images")):
        for name, place in by_last_name(members(dataset, files, role, unpacked)):
            if name in places:
                raise UserError(f"{files[role]}: {place.name!r} is there twice: also {places[name].name!r}")
            places[name] = place
    return places


@register("karpathy")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads files of roles captions and images, or several whose roles begin with images-."""
    archive = files["captions"]
    name = f"dataset_{dataset.name.partition('-')[0]}.json"
    annotations = named(members(dataset, files, "captions", unpacked), name, archive)
    entries = _entries(annotations.read(), f"{archive}, {name}")
    places = _places(dataset, files, unpacked)
    pictures: dict[str, dict[str, Picture]] = {part: {} for part in PARTS}
    for picture, part, captions in entries:
        if any(picture in others for others in pictures.values()):
            raise faulty(f"{archive}, {name}", f"{picture} is in it twice")
        if picture not in places:
            wanted = ", ".join(str(path) for role, path in files.items() if role.startswith("images"))
            raise faulty(wanted, f"the picture {picture}, which has captions in {archive.name}, is missing in it")
        pictures[part][picture] = Picture(places[picture], None, captions)
    shards = []
    for part, some in pictures.items():
        shards += shards_of(part, [some[picture] for picture in sorted(some)], dataset)
    return as_catalogued(dataset, (), shards, archive)
