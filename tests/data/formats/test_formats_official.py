"""Readers of official formats, with files from `official_files`, whole and damaged."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import tarfile
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data.dataset import PARTS
from data.errors import UserError
from data.formats import contract as formats
from tests.data import official_files as official


def files_of(name, dataset, folder):
    """Returns the files by their roles, or the folder that stands in for them."""
    return {"tree": folder} if name in official.TREES else {file.role: folder / file.name for file in dataset.files}


def read(name, dataset, folder, unpacked):
    format_ = dataset.tree if name in official.TREES else dataset.format
    contents = formats.FORMATS.get(format_)(dataset, files_of(name, dataset, folder), unpacked)
    return contents, [(shard.part, example) for shard in contents.shards for example in shard.examples()]


@pytest.fixture
def made(tmp_path):
    """Returns a function that makes a dataset; that one returns a function that reads it with changes of its row."""

    def make(name):
        dataset = official.make(name, tmp_path / "official")
        return lambda **values: read(name, replace(dataset, **values), tmp_path / "official", tmp_path / "unpacked")

    return make


@pytest.mark.parametrize("name", official.NAMES)
def test_what_was_written_is_read(made, name):
    contents, found = made(name)()
    written = official.truth(name)
    assert [part for part, _ in found] == [row.part for row in written]
    for (_, example), row in zip(found, written, strict=True):
        assert (None if example.label is None else contents.classes[example.label]) == row.label
        assert example.captions == row.captions
        if isinstance(row.image, bytes):
            assert example.image == row.image
            assert Image.open(io.BytesIO(example.image)).size
            assert example.name.endswith(row.name.rpartition("/")[2])
        else:
            assert example.image.dtype == np.uint8
            np.testing.assert_array_equal(example.image, row.image)


@pytest.mark.parametrize("name", official.NAMES)
def test_shards_are_counted_and_can_be_read_by_others(made, name):
    contents, found = made(name)()
    sent = pickle.loads(pickle.dumps(list(contents.shards)))
    again = [(shard.part, example) for shard in reversed(sent) for example in shard.examples()]
    assert [shard.count for shard in sent] == [len(list(shard.examples())) for shard in sent]
    assert sorted((part, example.name) for part, example in again) == sorted((part, e.name) for part, e in found)
    assert [shard.part for shard in sent] == sorted((shard.part for shard in sent), key=PARTS.index)


def test_the_three_forms_of_imagenet_give_the_same_images_in_the_same_order(made, tmp_path):
    found = []
    for name in ("imagenet-2012", "imagenet-2012-tree", "imagenet-2012-kaggle"):
        dataset = official.make(name, tmp_path / name)
        contents, examples = read(name, dataset, tmp_path / name, tmp_path / "unpacked")
        found.append((contents.classes, [(part, e.image, e.label) for part, e in examples]))
    assert found[0] == found[1] == found[2]


def test_the_writer_makes_the_odd_pictures_that_official_files_have():
    pictures = [Image.open(io.BytesIO(row.image)) for row in official.truth("imagenet-2012")]
    assert {picture.mode for picture in pictures} == {"RGB", "L", "CMYK"}
    assert {picture.format for picture in pictures} == {"JPEG", "PNG"}
    assert len({picture.size for picture in pictures}) > 10


@pytest.mark.parametrize("name", official.NAMES)
def test_the_catalogs_numbers_of_images_and_classes_are_held_to(made, name):
    read_with = made(name)
    with pytest.raises(UserError, match=r"has \d+ images, .* has 7"):
        read_with(images=7)
    if "captions" not in name and name not in ("flickr8k", "flickr30k", "coco-2014"):
        with pytest.raises(UserError, match=r"has \d+ classes, .* has 17"):
            read_with(classes=17)
        with pytest.raises(UserError, match=r"has the classes .*'ant', 'bee'"):
            read_with(classes=("ant", "bee"))


def test_an_archive_whose_content_the_catalog_does_not_bound_is_a_mistake_in_the_catalog(made, tmp_path):
    dataset = official.make("cifar-10", tmp_path / "official")
    with pytest.raises(ValueError, match="does not say how much cifar-10-binary"):
        made("cifar-10")(files=(replace(dataset.files[0], unpacked=None),))


def test_pictures_deeper_than_a_folder_of_a_class_are_no_pictures_of_it(tmp_path):
    dataset = official.make("caltech-256", tmp_path / "official")
    archive = tmp_path / "official" / dataset.files[0].name
    pack(archive, {**unpack(archive), "256_ObjectCategories/056.dog/greg/056_0001.jpg": b""})
    contents, _ = read("caltech-256", dataset, archive.parent, tmp_path / "unpacked")
    assert sum(shard.count for shard in contents.shards) == 32


# --- spoilt archives: each change is of the members of one archive --------------------------------------------------


def unpack(path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(path) as archive:
        return {info.name: archive.extractfile(info).read() for info in archive if info.isfile()}


def pack(path, files):
    out = io.BytesIO()
    if path.suffix == ".zip":
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode="w") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    path.write_bytes(gzip.compress(out.getvalue()) if path.suffix == ".gz" else out.getvalue())


@pytest.fixture
def spoilt(tmp_path):
    """Makes a dataset, changes the members of one of its archives, and returns the error message of reading it."""

    def read_spoilt(name, archive, change):
        folder = tmp_path / "official"
        dataset = official.make(name, folder)
        files = unpack(folder / archive)
        pack(folder / archive, change(files) or files)
        roomy = tuple(replace(file, unpacked=1 << 22) for file in dataset.files)
        with pytest.raises(UserError) as caught:
            read(name, replace(dataset, files=roomy), folder, tmp_path / "unpacked")
        return str(caught.value)

    return read_spoilt


def edit(name, change):
    """Returns a change of the bytes of the member whose name ends like this."""

    def changed(files):
        key = next(key for key in files if key.endswith(name))
        files[key] = change(files[key])

    return changed


def drop(name):
    return lambda files: {key: data for key, data in files.items() if not key.endswith(name)}


TRAIN, VALIDATION, KIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
CAPTIONS = "caption_datasets.zip"
TEN, HUNDRED = "cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"


@pytest.mark.parametrize(
    ("name", "archive", "change", "message"),
    [
        ("cifar-10", TEN, edit("batch_2.bin", lambda b: b[:-1]), r"data_batch_2.bin': its 61459 bytes are no records"),
        ("cifar-10", TEN, edit("batch_2.bin", lambda b: b""), "data_batch_2.bin': its 0 bytes"),
        ("cifar-10", TEN, edit("batch_3.bin", lambda b: b[: 3073 * 19]), "has 119 images, cifar-10 has 120"),
        (
            "cifar-10",
            TEN,
            edit("batch_5.bin", lambda b: b[:3073] + b"\x0a" + b[3074:]),
            r"data_batch_5.bin', record 1: its label is 10, the 10 classes are 0 … 9",
        ),
        (
            "cifar-100",
            HUNDRED,
            edit("test.bin", lambda b: b[: 3074 * 4 + 1] + b"\xff" + b[3074 * 4 + 2 :]),
            "test.bin', record 4: its label is 255",
        ),
        (
            "cifar-100",
            HUNDRED,
            edit("fine_label_names.txt", lambda b: b.replace(b"bear", b"Baby")),
            "'baby' and 'Baby' have one name",
        ),
        ("cifar-10", TEN, drop("batches.meta.txt"), "there is no batches.meta.txt in it"),
        ("cifar-10", TEN, drop("test_batch.bin"), "there is no test_batch.bin in it"),
        ("caltech-256", "256_ObjectCategories.tar", lambda f: {"readme": b"x"}, "no pictures in folders of classes"),
        (
            "caltech-256",
            "256_ObjectCategories.tar",
            lambda f: f.update({"256_ObjectCategories/003.AK47/003_0001.jpg": b""}),
            "'ak47' and 'AK47' have one name",
        ),
        ("caltech-256", "256_ObjectCategories.tar", drop("056_0003.jpg"), "has 31 images, caltech-256 has 32"),
        ("caltech-101", "caltech-101.zip", drop(".tar.gz"), "no pictures in folders of classes"),
        ("imagenet-2012", TRAIN, drop("n02100735.tar"), "there is no n02100735.tar in it"),
        ("imagenet-2012", TRAIN, lambda f: f.update({"n5.tar": b""}), "'n5.tar' is none of the classes"),
        (
            "imagenet-2012",
            TRAIN,
            edit("n02100735.tar", lambda b: b[:2000]),
            "member 'n02100735.tar'.*truncated",
        ),
        ("imagenet-2012", VALIDATION, drop("00000002.JPEG"), "ILSVRC2012_val_00000002.JPEG is missing in it"),
        (
            "imagenet-2012",
            VALIDATION,
            lambda f: f.update({"ILSVRC2012_val_00000007.JPEG": b""}),
            "has 6 lines, none of them for ILSVRC2012_val_00000007.JPEG",
        ),
        ("imagenet-2012", KIT, edit("truth.txt", lambda b: b"3\n4\n"), "truth.txt, line 2: '4' is no class"),
        ("imagenet-2012", KIT, edit("truth.txt", lambda b: b"x\n"), "line 1: 'x' is no class"),
        ("imagenet-2012", KIT, edit("meta.mat", lambda b: b[:300]), "meta.mat: it is not the table"),
        ("imagenet-2012", KIT, drop("meta.mat"), "there is no meta.mat in it"),
        (
            "flickr8k",
            "Flickr8k_Dataset.zip",
            drop("1000268201_693b08cb00.jpg"),
            "1000268201_693b08cb00.jpg.*is missing in it",
        ),
        (
            "flickr30k",
            "flickr30k-images.tar.gz",
            drop("1000092795.jpg"),
            "1000092795.jpg, which has captions .* is missing",
        ),
        (
            "coco-2014",
            "val2014.zip",
            lambda f: {"val2014/x": b""},
            "train2014.zip, .*val2014.zip: the picture COCO_val2014",
        ),
        (
            "coco-2014",
            "val2014.zip",
            lambda f: f.update({"v/COCO_train2014_000000000009.jpg": b""}),
            "is there twice",
        ),
        ("flickr8k", CAPTIONS, drop("flickr8k.json"), "there is no dataset_flickr8k.json in it"),
        ("flickr8k", CAPTIONS, edit("flickr8k.json", lambda b: b[:-9]), "is not a list of images"),
        ("flickr8k", CAPTIONS, edit("flickr8k.json", lambda b: b"[]"), "is not a list of images"),
        (
            "flickr8k",
            CAPTIONS,
            edit("flickr8k.json", lambda b: b'{"images": [{"split": "val"}]}'),
            "KeyError: 'filename'",
        ),
    ],
)
def test_spoilt_archives_are_named(spoilt, name, archive, change, message):
    said = spoilt(name, archive, change)
    assert re.search(message, said), said
    assert archive in said


def sentence(change):
    """Returns a change of the entry of one image in a list of captions."""

    def changed(data):
        listed = json.loads(data)
        change(next(image for image in listed["images"] if image["filename"] == "1000092795.jpg"), listed["images"])
        return json.dumps(listed).encode()

    return edit("flickr30k.json", changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image, _: image.update(sentences=[]), "dataset_flickr30k.json, 1000092795.jpg: it has no sentence"),
        (lambda image, _: image.update(sentences=[{"raw": " \n"}]), "1000092795.jpg: it has no sentence"),
        (lambda image, _: image.update(split="dev"), "1000092795.jpg: its part is 'dev', known are train, restval"),
        (lambda image, _: image.update(sentences=[{"raw": 3}]), "AttributeError"),
        (lambda image, images: images.append({**image, "split": "test"}), "1000092795.jpg is in it twice"),
    ],
)
def test_spoilt_captions_are_named(spoilt, change, message):
    said = spoilt("flickr30k", CAPTIONS, sentence(change))
    assert re.search(message, said), said
    assert CAPTIONS in said


@pytest.mark.parametrize("name", ["cifar-10", "caltech-101", "caltech-256", "imagenet-2012", "flickr30k", "coco-2014"])
def test_no_archive_may_hold_more_than_the_catalog_says(made, tmp_path, name):
    dataset = official.make(name, tmp_path / "official")
    for index, file in enumerate(dataset.files):
        tight = [*dataset.files]
        tight[index] = replace(file, unpacked=file.unpacked - 1)
        with pytest.raises(UserError, match=f"{re.escape(file.name)}.*more than the [0-9,]+ bytes that it may"):
            made(name)(files=tuple(tight))
