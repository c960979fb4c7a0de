"""ImageNet of the 2012 challenge (ILSVRC 2012) as it is published: two tars of images and the development kit.

The training tar holds a tar for each class. The validation tar holds images whose classes are listed in the kit.
Classes are the 1,000 synsets without children in the kit's `data/meta.mat`, named by their WordNet identifiers
('n01440764'). Line k of `data/ILSVRC2012_validation_ground_truth.txt` is the `ILSVRC2012_ID` of
`ILSVRC2012_val_{k:08d}.JPEG` (the kit's readme.txt). The labels of the challenge's test images are not published, so
its validation images are the test part, as is usual.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from scipy.io import loadmat

from data.dataset import Dataset
from data.formats.archives import Member, faulty, inner
from data.formats.checks import as_catalogued, by_last_name, limit, members, named
from data.formats.contract import Contents, Picture, register, shards_of
from data.progress import progress

META, TRUTH = "meta.mat", "ILSVRC2012_validation_ground_truth.txt"


def _synsets(data: bytes, kit: Path) -> dict[int, str]:
    """Returns the WordNet identifiers of the classes by their ILSVRC2012_ID."""
    try:
        synsets = loadmat(io.BytesIO(data), squeeze_me=True, variable_names=["synsets"])["synsets"]
        leaves = [row for row in synsets.ravel() if int(row["num_children"]) == 0]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
    except Exception as error:  # SciPy's reader may raise anything on a file of another kind
        raise faulty(f"{kit}, {META}", f"it is not the table of synsets ({error})") from error


def _truth(data: bytes, synsets: Mapping[int, str], kit: Path) -> list[str]:
    """Returns the WordNet identifiers of the validation images, in the order of their numbers."""
    wnids = []
    for number, line in enumerate(data.split(), start=1):
        if not line.isdigit() or int(line) not in synsets:
            raise faulty(f"{kit}, {TRUTH}, line {number}", f"{line.decode(errors='replace')!r} is no class's number")
        wnids.append(synsets[int(line)])
    return wnids


def _train(
    dataset: Dataset, files: Mapping[str, Path], labels: Mapping[str, int], unpacked: Path
) -> list[tuple[str, Member]]:
    """Returns the classes and pictures of the training tar, sorted by class, then by name."""
    tars: dict[str, Member] = {}
    for place in members(dataset, files, "train", unpacked):
        name = place.name.rpartition("/")[2].removesuffix(".tar")
        if name not in labels or name in tars:
            raise faulty(files["train"], f"its member {place.name!r} is none of the classes' tars")
        tars[name] = place
    if missing := sorted(labels.keys() - tars.keys()):
        raise faulty(files["train"], f"there is no {missing[0]}.tar in it ({len(missing)} classes are missing)")
    pairs = []
    with progress(len(tars), f"listing {files['train'].name}", " classes") as bar:
        for name in sorted(tars):
            pictures = by_last_name(inner(tars[name], limit(dataset, "train"), unpacked))
            pairs += [(name, place) for _, place in sorted(pictures, key=lambda picture: picture[0])]
            bar.update()
    return pairs


def _validation(places: list[Member], truth: list[str], archive: Path) -> list[tuple[str, Member]]:
    """Returns the classes and pictures of the validation tar, sorted by class, then by name.

    Line k of the ground truth is the class of picture number k.
    """
    pictures = dict(by_last_name(places))
    expected = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, len(truth) + 1)]
    if missing := sorted(set(expected) - pictures.keys()):
        raise faulty(archive, f"{missing[0]} is missing in it ({len(missing)} of {len(truth)} pictures are)")
    if surplus := sorted(pictures.keys() - set(expected)):
        raise faulty(archive, f"the ground truth has {len(truth)} lines, none of them for {surplus[0]}")
    return [(wnid, pictures[name]) for wnid, name in sorted(zip(truth, expected, strict=True))]


@register("imagenet")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads three files, of roles train, validation and devkit."""
    kit = files["devkit"]
    kit_files = members(dataset, files, "devkit", unpacked)
    synsets = _synsets(named(kit_files, META, kit).read(), kit)
    truth = _truth(named(kit_files, TRUTH, kit).read(), synsets, kit)
    classes = tuple(sorted(synsets.values()))
    labels = {wnid: label for label, wnid in enumerate(classes)}
    parts = {
        "train": _train(dataset, files, labels, unpacked),
        "test": _validation(members(dataset, files, "validation", unpacked), truth, files["validation"]),
    }
    shards = [
        shard
        for part, pictures in parts.items()
        for shard in shards_of(part, [Picture(place, labels[wnid]) for wnid, place in pictures], dataset)
    ]
    return as_catalogued(dataset, classes, shards, files["train"].parent)
