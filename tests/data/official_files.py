"""Small datasets in their official formats, written by the standard library, Pillow and SciPy alone.

`make(name, folder)` writes the files and returns their catalog row; `truth(name)` returns what is in them. Both are the
same at every call.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from data import catalog
from data.dataset import Dataset, File
from data.scenes import composition as scenes

RGB_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FINE = ("apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle")
CALTECH_101 = ("Faces", "Motorbikes", "accordion", "airplanes")  # sorted by code point: capitals first
CALTECH_256 = ("ak47", "american-flag", "dog", "spider")
FOLDERS_256 = ("001.ak47", "002.american-flag", "056.dog", "198.spider")
SYNSETS = {1: "n02119789", 2: "n02100735", 3: "n01440764"}  # by ILSVRC2012_ID, which is not their order
FOLDER = ("cat", "dog", "élan")
ANIMALS, DEEDS = ("dog", "girl", "man", "horse"), ("runs", "sleeps", "jumps")


@dataclass(frozen=True)
class Written:
    """An image as it was written: its part, the name of its file, its encoded picture or its pixels."""

    part: str
    name: str
    image: bytes | np.ndarray
    label: str | None
    captions: tuple[str, ...] = ()


@cache
def picture(number: int, kind: str = "JPEG") -> bytes:
    """A blurred noise picture of an odd size; every seventh JPEG is grey and every eleventh CMYK."""
    chance = np.random.default_rng(number)
    size = tuple(int(side) for side in chance.integers(17, 60, 2) | 1)
    colours = Image.fromarray(chance.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if kind == "JPEG" and number % 7 == 6:
        colours = colours.convert("L")
    elif kind == "JPEG" and number % 11 == 10:
        colours = colours.convert("CMYK")
    out = io.BytesIO()
    colours.save(out, kind)
    return out.getvalue()


def sentences(number: int) -> tuple[str, ...]:
    """Returns five captions."""
    chance = random.Random(number)
    return tuple(
        f"A {chance.choice(ANIMALS)} {chance.choice(DEEDS)} near the {noun} ."
        for noun in ["sea", "wood", "hill", "road", "gate"]
    )


def _tar(files: dict[str, bytes | None]) -> bytes:
    """Returns a tar of files; entries without bytes are folders."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data or b""))
    return out.getvalue()


def _zip(files: dict[str, bytes | None]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            kind = zipfile.ZIP_STORED if name.endswith((".jpg", ".gz")) else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), data or b"", compress_type=kind)
    return out.getvalue()


def _gzipped(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=1)


def _file(role: str, name: str, data: bytes, unpacked: int, folder: Path) -> File:
    """Writes an official file; `unpacked` is how many bytes its members hold together."""
    (folder / name).write_bytes(data)
    return File(role, name, len(data), "sha256:" + hashlib.sha256(data).hexdigest(), unpacked=unpacked)


def _sum(files: dict[str, bytes | None]) -> int:
    return sum(len(data or b"") for data in files.values())


def _row(name: str, files: tuple[File, ...], **values) -> Dataset:
    """Returns a row of the catalog with default values."""
    common = {"official": (), "mirrors": (), "licence": "none", "citation": "none", "manual": "Ask for it."}
    return Dataset(name=name, files=files, **{**common, **values})


# --- CIFAR ---------------------------------------------------------------------------------------------------------


def _cifar_truth(name: str) -> list[Written]:
    """100 images in five equal batches and 20 test images, equally many of each class."""
    classes = RGB_CLASSES if name == "cifar-10" else FINE
    chance = np.random.default_rng(len(name))
    labels = np.concatenate([chance.permutation(np.repeat(np.arange(10), times)) for times in (10, 2)])
    images = chance.integers(0, 256, (120, 32, 32, 3), dtype=np.uint8)
    return [
        Written("train" if index < 100 else "test", "", image, classes[label])
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
    ]


def _records(rows: list[Written], classes: tuple[str, ...], coarse: bool) -> bytes:
    """Label bytes, then red, green and blue planes; the superclass of class k is k mod 5."""
    out = bytearray()
    for row in rows:
        label = classes.index(row.label)
        out += bytes([label % 5, label] if coarse else [label])
        for plane in range(3):
            out += row.image[:, :, plane].tobytes()
    return bytes(out)


def _cifar(name: str, folder: Path) -> Dataset:
    rows = _cifar_truth(name)
    if name == "cifar-10":
        inside = "cifar-10-batches-bin"
        files = {f"{inside}/batches.meta.txt": ("\n".join(RGB_CLASSES) + "\n\n").encode()}
        for batch in (0, 2, 1, 4, 3):
            some = rows[20 * batch : 20 * batch + 20]
            files[f"{inside}/data_batch_{batch + 1}.bin"] = _records(some, RGB_CLASSES, coarse=False)
        files[f"{inside}/readme.html"] = b"<html>\n"
        files[f"{inside}/test_batch.bin"] = _records(rows[100:], RGB_CLASSES, coarse=False)
    else:
        inside = "cifar-100-binary"
        files = {
            f"{inside}/test.bin": _records(rows[100:], FINE, coarse=True),
            f"{inside}/train.bin": _records(rows[:100], FINE, coarse=True),
            f"{inside}/coarse_label_names.txt": b"a\nb\nc\nd\ne\n",
            f"{inside}/fine_label_names.txt": ("\n".join(FINE) + "\n").encode(),
        }
    data = _gzipped(_tar({inside: None, **files}))
    return _row(
        name,
        (_file("archive", f"{name}-binary.tar.gz", data, _sum(files), folder),),
        shape=(32, 32, 3), classes=10, images=120, validation=20, test=20, official=("test",), format=name,
    )  # fmt: skip


# --- Caltech -------------------------------------------------------------------------------------------------------


def _caltech_truth(name: str) -> list[Written]:
    rows = []
    for label in range(4):
        for number in range(1, 9):
            if name == "caltech-101":
                path = f"101_ObjectCategories/{CALTECH_101[label]}/image_{number:04d}.jpg"
                class_ = CALTECH_101[label]
            else:
                path = f"256_ObjectCategories/{FOLDERS_256[label]}/{FOLDERS_256[label][:3]}_{number:04d}.jpg"
                class_ = CALTECH_256[label]
            rows.append(Written("train", path, picture(100 * label + number), class_))
    return rows


def _caltech(name: str, folder: Path) -> Dataset:
    chance = random.Random(name)
    rows = _caltech_truth(name)
    chance.shuffle(rows)  # archives are in no order
    files: dict[str, bytes | None] = {row.name: row.image for row in rows}
    if name == "caltech-101":
        files["101_ObjectCategories/BACKGROUND_Google/image_0001.jpg"] = picture(5)
        files["101_ObjectCategories/BACKGROUND_Google/tmp"] = b"not a picture"
        packed = {
            "caltech-101/": None,
            "caltech-101/101_ObjectCategories.tar.gz": _gzipped(_tar(files)),
            "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"\0\5\x16\7",
            "caltech-101/Annotations.tar": _tar({"Annotations/Faces_2/annotation_0001.mat": b"outline"}),
            "caltech-101/show_annotation.m": b"function show_annotation\n",
        }
        file = _file("archive", "caltech-101.zip", _zip(packed), max(_sum(packed), _sum(files)), folder)
    else:
        files["256_ObjectCategories/056.dog/greg"] = None
        files["256_ObjectCategories/056.dog/greg/vision309"] = None
        files["256_ObjectCategories/198.spider/RENAME2"] = b"#!/bin/sh\n"
        files["256_ObjectCategories/257.clutter/257_0001.jpg"] = picture(5)
        file = _file("archive", "256_ObjectCategories.tar", _tar(files), _sum(files), folder)
    return _row(
        name, (file,), shape=(128, 128, 3), classes=4, images=32, validation=4, test=8, format="class-folders"
    )  # fmt: skip


# --- ImageNet ------------------------------------------------------------------------------------------------------


def _imagenet_truth() -> list[Written]:
    """Six training images of each class, one of them a PNG with another ending, and six validation images."""
    rows = []
    for wnid in sorted(SYNSETS.values()):
        for number in range(6):
            kind = "PNG" if (wnid, number) == ("n02119789", 3) else "JPEG"
            key = 31 * number + 7 + int(wnid[-3:])
            rows.append(Written("train", f"{wnid}_{number * 13 + 4}.JPEG", picture(key, kind), wnid))
    ids = (3, 1, 2, 2, 3, 1)
    for number, id_ in enumerate(ids, start=1):
        rows.append(Written("test", f"ILSVRC2012_val_{number:08d}.JPEG", picture(900 + number), SYNSETS[id_]))
    return sorted(rows, key=lambda row: (row.part == "test", row.label, row.name))


def _meta() -> bytes:
    """The table of synsets: the three classes, and their parent."""
    fields = (
        "ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images",
    )  # fmt: skip
    table = np.empty((4, 1), dtype=[(field, object) for field in fields])
    for index, (id_, wnid) in enumerate([*SYNSETS.items(), (4, "n00001740")]):
        above = id_ == 4
        children = np.array([[1, 2, 3]], dtype=float) if above else np.zeros((0, 0))
        words = "tench, Tinca tinca"
        table[index, 0] = (
            float(id_),
            wnid,
            words,
            "a gloss",
            3.0 if above else 0.0,
            children,
            1.0,
            0.0 if above else 6.0,
        )
    out = io.BytesIO()
    savemat(out, {"synsets": table})
    return out.getvalue()


def _imagenet(folder: Path) -> Dataset:
    rows = _imagenet_truth()
    ids = {wnid: id_ for id_, wnid in SYNSETS.items()}
    test = [row for row in rows if row.part == "test"]
    truth = "".join(f"{ids[row.label]}\n" for row in sorted(test, key=lambda row: row.name))
    tars = {}
    for wnid in SYNSETS.values():
        some = {row.name: row.image for row in reversed(rows) if row.part == "train" and row.label == wnid}
        tars[f"{wnid}.tar"] = _tar(some)
    validation = {row.name: row.image for row in reversed(test)}
    inside = "ILSVRC2012_devkit_t12"
    kit = {
        inside: None,
        f"{inside}/readme.txt": b"Introduction\n",
        f"{inside}/data": None,
        f"{inside}/data/meta.mat": _meta(),
        f"{inside}/data/ILSVRC2012_validation_ground_truth.txt": truth.encode(),
    }
    return _row(
        "imagenet-2012",
        (
            _file("train", "ILSVRC2012_img_train.tar", _tar(tars), _sum(tars), folder),
            _file("validation", "ILSVRC2012_img_val.tar", _tar(validation), _sum(validation), folder),
            _file("devkit", "ILSVRC2012_devkit_t12.tar.gz", _gzipped(_tar(kit)), _sum(kit), folder),
        ),
        shape=(256, 256, 3), classes=3, images=24, validation=3, test=6, official=("test",), format="imagenet",
        tree="imagenet-tree",
    )  # fmt: skip


def _imagenet_tree(folder: Path, kaggle: bool) -> Dataset:
    """The same images as a tree of folders, with the catalog row of the tars."""
    with tempfile.TemporaryDirectory() as elsewhere:
        dataset = _imagenet(Path(elsewhere))
    top = folder / "ILSVRC" / "Data" / "CLS-LOC" if kaggle else folder
    solution = [("ImageId", "PredictionString")]
    for row in _imagenet_truth():
        if row.part == "train":
            path = top / "train" / row.label / row.name
        elif kaggle:
            path = top / "val" / row.name
            solution.insert(1, (row.name.removesuffix(".JPEG"), f"{row.label} 85 1 499 272 {row.label} 1 2 3 4 "))
        else:
            path = top / "val" / row.label / row.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(row.image)
    if kaggle:
        with (folder / "LOC_val_solution.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(solution)
        (top / "test").mkdir()
        (top / "test" / "ILSVRC2012_test_00000001.JPEG").write_bytes(picture(1))
    return dataset


# --- captions ------------------------------------------------------------------------------------------------------

SPLITS = ["train"] * 13 + ["restval"] * 3 + ["val"] * 4 + ["test"] * 4


def _captions_truth(name: str) -> list[Written]:
    parts = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
    rows = []
    for number, split in enumerate(SPLITS):
        if name == "coco-2014":
            inside = "train2014" if split == "train" else "val2014"
            path = f"{inside}/COCO_{inside}_{7 * number + 9:012d}.jpg"
        elif name == "flickr8k":
            path = f"Flicker8k_Dataset/{1000268201 + 977 * number}_693b08cb{number:02x}.jpg"
        else:
            path = f"flickr30k-images/{1000092795 + 977 * number}.jpg"
        rows.append(Written(parts[split], path, picture(300 + number), None, sentences(number)))
    return sorted(rows, key=lambda row: (("train", "validation", "test").index(row.part), row.name.rpartition("/")[2]))


def _json(name: str, rows: list[Written]) -> bytes:
    """Karpathy's list of images, unsorted."""
    short = name.partition("-")[0]
    back = {"train": "train", "validation": "val", "test": "test"}
    images = []
    for index, row in enumerate(rows):
        inside, _, file = row.name.rpartition("/")
        split = back[row.part]
        if split == "train" and inside == "val2014":
            split = "restval"
        said = [
            {
                "tokens": text.lower().split()[:-1],
                "raw": f" {text}\n" if index % 3 else text,
                "imgid": index,
                "sentid": 5 * index + k,
            }
            for k, text in enumerate(row.captions)
        ]
        image = {
            "sentids": [s["sentid"] for s in said],
            "imgid": index,
            "sentences": said,
            "split": split,
            "filename": file,
        }
        images.append({**image, "filepath": inside, "cocoid": index} if short == "coco" else image)
    random.Random(name).shuffle(images)
    return json.dumps({"images": images, "dataset": short}).encode()


def _captioned(name: str, folder: Path) -> Dataset:
    rows = _captions_truth(name)
    pictures: dict[str, bytes | None] = {row.name: row.image for row in reversed(rows)}
    if name == "coco-2014":
        archives = {
            "images-train": ("train2014.zip", {"train2014/": None}),
            "images-validation": ("val2014.zip", {"val2014/": None}),
        }
        for path, data in pictures.items():
            archives["images-train" if path.startswith("train") else "images-validation"][1][path] = data
    elif name == "flickr8k":
        left = {
            "Flicker8k_Dataset/2258277193_586949ec62.jpg": picture(1),  # a picture without captions
            "__MACOSX/Flicker8k_Dataset/._1000268201_693b08cb00.jpg": b"\0\5\x16\7",
        }
        archives = {"images": ("Flickr8k_Dataset.zip", {"Flicker8k_Dataset/": None, **pictures, **left})}
    else:
        archives = {"images": ("flickr30k-images.tar.gz", {"flickr30k-images": None, **pictures})}
    lists = {
        f"dataset_{other}.json": _json(name, rows if other == name.partition("-")[0] else [])
        for other in ("coco", "flickr30k", "flickr8k")
    }
    files = [
        _file(role, file, _zip(inside) if file.endswith(".zip") else _gzipped(_tar(inside)), _sum(inside), folder)
        for role, (file, inside) in archives.items()
    ]
    files.append(_file("captions", "caption_datasets.zip", _zip(lists), _sum(lists), folder))
    return _row(
        name, tuple(files), shape=(256, 256, 3), classes=(), images=24, validation=4, test=4,
        official=("validation", "test"), format="karpathy",
    )  # fmt: skip


# --- emoji ---------------------------------------------------------------------------------------------------------

VENDORS = ("google", "twitter")


def _emoji_group(code_points: str) -> str:
    """Returns the group of an emoji by a hash of its code points, computed independently."""
    text = json.dumps(["emoji", {"code_points": code_points}], separators=(",", ":"))
    tenth = (int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1) % 10
    return {0: "validation", 1: "test"}.get(tenth, "train")


def _emoji_list() -> list[tuple[dict, tuple[str, ...]]]:
    """Entries of emoji.json, unsorted, and their captions; none for entries that must be left out."""
    rows = []
    for number in range(40):
        animal, deed = ANIMALS[number % 4], DEEDS[number % 3]
        code_points = f"1F{600 + number}" + ("-200D-2640-FE0F" if number % 5 == 0 else "")
        entry = {
            "name": f"{animal}: {deed}-loudly {number}".upper(),
            "unified": code_points,
            "image": f"{code_points.lower()}.png",
            "short_names": [f"{animal}_{deed}", f"{animal}{number}", f"{animal}-{deed}"],
            "category": "Animals & Nature",
            "subcategory": "animal",
            "has_img_google": True,
            "has_img_twitter": True,
        }
        rows.append((entry, (f"{animal} {deed} loudly {number}", f"{animal} {deed}")))
    flag = {"name": "Côte & Oxen Flag", "unified": "1F1E8-1F1F4", "image": "1f1e8-1f1f4.png"}
    rows.append((rows[0][0] | flag | {"short_names": ["co"], "subcategory": "country-flag"}, ("côte and oxen flag",)))
    tone = {"unified": "1F3FB", "image": "1f3fb.png", "category": "Component"}
    alone = {"unified": "1F999", "image": "1f999.png", "has_img_twitter": False}
    lost = {"unified": "1F998", "image": "1f998.png"}  # whose Twitter drawing is not there, whatever the list says
    rows += [(rows[0][0] | other, ()) for other in (tone, alone, lost)]
    random.Random("emoji").shuffle(rows)
    return rows


def _emoji_drawing(code_points: str, vendor: str) -> bytes:
    return picture(int(hashlib.sha256(f"{vendor} {code_points}".encode()).hexdigest()[:6], 16), "PNG")


def _emoji_truth(name: str) -> list[Written]:
    rows = []
    known = sorted((entry["unified"], entry["image"], captions) for entry, captions in _emoji_list() if captions)
    for part, vendor, groups in (
        ("train", "google", ("train",)),
        ("validation", "google", ("validation",)),
        ("test", "twitter", ("train", "test")),
    ):
        for code_points, image, captions in known:
            if _emoji_group(code_points) in groups:
                drawing = _emoji_drawing(code_points, vendor)
                rows.append(Written(part, f"package/img/{vendor}/64/{image}", drawing, None, captions))
    return rows


def _emoji(name: str, folder: Path) -> Dataset:
    files = []
    for vendor in VENDORS:
        inside: dict[str, bytes | None] = {
            "package/package.json": b"{}\n",
            "package/emoji.json": json.dumps([entry for entry, _ in _emoji_list()]).encode(),
            f"package/img/{vendor}/sheets-64/64.png": picture(1, "PNG"),
        }
        for entry, _ in _emoji_list():
            if vendor == "google" or entry["unified"] not in ("1F998", "1F999"):
                inside[f"package/img/{vendor}/64/{entry['image']}"] = _emoji_drawing(entry["unified"], vendor)
        data = _gzipped(_tar(inside))
        files.append(_file(vendor, f"emoji-datasource-{vendor}-16.0.0.tgz", data, _sum(inside), folder))
    parts = [row.part for row in _emoji_truth(name)]
    return _row(
        name, tuple(files), shape=(32, 32, 3), classes=(), images=len(parts), validation=parts.count("validation"),
        test=parts.count("test"), official=("validation", "test"), format="emoji", minimum_count=2,
    )  # fmt: skip


# --- shapes --------------------------------------------------------------------------------------------------------

SCENES = 36


def _shapes_truth(name: str) -> list[Written]:
    """Scenes drawn by the project itself. `test_shapes` checks that their captions are true."""
    return [
        Written("train", "", one.drawn(), None, one.captions)
        for one in (scenes.scene(number) for number in range(SCENES))
    ]


# --- one's own pictures --------------------------------------------------------------------------------------------


def _own_truth(name: str) -> list[Written]:
    rows = []
    for label, class_ in enumerate(FOLDER):
        for number in range(8):
            kind, suffix = (("JPEG", "jpg"), ("PNG", "png"), ("BMP", "BMP"), ("GIF", "gif"))[number % 4]
            captions = sentences(10 * label + number)[: 1 + number % 3] if name == "folder-captions" else ()
            path = f"{class_}/{number:02d} a picture.{suffix}"
            rows.append(
                Written("train", path, picture(500 + 10 * label + number, kind), None if captions else class_, captions)
            )
    return rows


def _own(name: str, folder: Path) -> Dataset:
    rows = _own_truth(name)
    for row in rows:
        (folder / row.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / row.name).write_bytes(row.image)
    if name == "folder":
        (folder / "README.txt").write_text("pictures\n")
        (folder / "cat" / "Thumbs.db").write_bytes(b"\xd0\xcf")
        (folder / ".DS_Store").write_bytes(b"Bud1")
    else:
        with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
            lines = [(row.name, "|".join(row.captions)) for row in reversed(rows)]
            csv.writer(file).writerows([("path", "captions"), *lines])
    return _row(
        "folder", (), shape=(32, 32, 3), classes=None, images=None, validation=0.25, test=0.25, format="folder",
        tree="folder",
    )  # fmt: skip


_KINDS: dict[str, tuple[Callable[[str, Path], Dataset], Callable[[str], list[Written]]]] = {
    "cifar-10": (_cifar, _cifar_truth),
    "cifar-100": (_cifar, _cifar_truth),
    "caltech-101": (_caltech, _caltech_truth),
    "caltech-256": (_caltech, _caltech_truth),
    "imagenet-2012": (lambda _, folder: _imagenet(folder), lambda _: _imagenet_truth()),
    "imagenet-2012-tree": (lambda _, folder: _imagenet_tree(folder, kaggle=False), lambda _: _imagenet_truth()),
    "imagenet-2012-kaggle": (lambda _, folder: _imagenet_tree(folder, kaggle=True), lambda _: _imagenet_truth()),
    "flickr8k": (_captioned, _captions_truth),
    "flickr30k": (_captioned, _captions_truth),
    "coco-2014": (_captioned, _captions_truth),
    "shapes": (lambda name, _: replace(catalog.get(name), images=SCENES), _shapes_truth),
    "emoji": (_emoji, _emoji_truth),
    "folder": (_own, _own_truth),
    "folder-captions": (_own, _own_truth),
}
DRAWN = ("shapes",)  # without any files
NAMES = tuple(name for name in _KINDS if name not in DRAWN)
TREES = ("imagenet-2012-tree", "imagenet-2012-kaggle", "folder", "folder-captions")  # whose folder is what is read


def make(name: str, folder: Path) -> Dataset:
    """Writes a dataset's official files, or the tree of folders that stands in for them, into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return _KINDS[name][0](name, folder)


def truth(name: str) -> list[Written]:
    """Returns what a reader must find there, part by part, in order."""
    return _KINDS[name][1](name)
