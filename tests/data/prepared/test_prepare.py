from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest

from data.errors import UserError
from data.formats.contract import Contents, Example
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore


@pytest.fixture
def root(toy, tmp_path):
    download(toy.dataset, tmp_path / "d", toy.folder)
    return tmp_path / "d"


def _stamps(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


def test_arrays_and_their_description(toy, root):
    assert prepare(toy.dataset, root)
    folder = root / "processed" / "toy"
    assert sorted(path.name for path in folder.iterdir()) == [
        "images-00000.npy",
        "images-00001.npy",
        "labels.npy",
        "meta.json",
    ]
    images = np.concatenate([np.load(folder / f"images-0000{i}.npy") for i in range(2)])
    labels = np.load(folder / "labels.npy")
    pixels = toy.pixels["train"] + toy.pixels["test"]
    assert images.shape == (75, 4, 4, 1)
    assert images.dtype == np.uint8
    assert images.tobytes() == pixels
    assert labels.tolist() == list(toy.labels["train"] + toy.labels["test"])
    digests = [
        hashlib.sha256(toy.pixels[part] + b"".join(label.to_bytes(8, "little") for label in toy.labels[part]))
        for part in ("train", "test")
    ]
    shards = [digest.hexdigest() for digest in digests]
    meta = json.loads((folder / "meta.json").read_text())
    assert meta.pop("origin")
    assert meta.pop("sum")
    assert meta == {
        "layout": 2,
        "dataset": "toy",
        "classes": ["ant", "bee", "cat"],
        "shape": [4, 4, 1],
        "shards": [60, 15],
        "parts": {"train": 60, "test": 15},
        "skipped": 0,
        "digests": shards,
        "files": {"labels.npy": hashlib.sha256((folder / "labels.npy").read_bytes()).hexdigest()},
        "fingerprint": hashlib.sha256("\n".join(shards).encode()).hexdigest(),
    }


def test_a_second_time_touches_nothing(toy, root):
    prepare(toy.dataset, root)
    before = _stamps(root / "processed" / "toy")
    assert not prepare(toy.dataset, root)
    assert _stamps(root / "processed" / "toy") == before


def test_decompressed_official_files_do_as_well(toy, root, tmp_path):
    prepare(toy.dataset, root)
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in toy.dataset.files:
        content = gzip.decompress((toy.folder / file.name).read_bytes())
        (plain / file.content_name).write_bytes(content)
    download(toy.dataset, tmp_path / "e", plain)
    prepare(toy.dataset, tmp_path / "e")
    one, other = (ImageStore.open(r / "processed" / "toy").fingerprint for r in (root, tmp_path / "e"))
    assert one == other


@pytest.mark.parametrize("name", ["images-00001.npy", "labels.npy", "meta.json"])
def test_a_damaged_result_is_made_again(toy, root, name):
    prepare(toy.dataset, root)
    path = root / "processed" / "toy" / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert prepare(toy.dataset, root)
    assert path.read_bytes() == whole


def test_a_changed_catalog_makes_it_again(toy, root):
    prepare(toy.dataset, root)
    renamed = replace(toy.dataset, classes=("ant", "bee", "dog"))
    assert prepare(renamed, root)
    assert ImageStore.open(root / "processed" / "toy").classes == ("ant", "bee", "dog")


@dataclass(frozen=True)
class Short:
    """A shard with fewer images than it announces."""

    part: str = "train"
    count: int = 75

    def examples(self):
        return (Example("", np.zeros((4, 4, 1), np.uint8), 0) for _ in range(70))


def test_a_reader_that_gives_less_than_announced(toy, root, monkeypatch):
    contents = Contents(("ant", "bee", "cat"), [Short()])
    monkeypatch.setattr("data.formats.contract.FORMATS.get", lambda name: lambda dataset, files, unpacked: contents)
    with pytest.raises(UserError, match="gave 70 images of the train part, they announce 75"):
        prepare(toy.dataset, root)
    assert not (root / "processed" / "toy").exists()


def test_missing_or_damaged_official_files(toy, root, tmp_path):
    with pytest.raises(UserError, match="python -m data download toy"):
        prepare(toy.dataset, tmp_path / "nothing")
    victim = root / "raw" / "toy" / toy.dataset.files[0].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=f"holds {victim.name} damaged: run `python -m data download toy"):
        prepare(toy.dataset, root)
    assert not (root / "processed").exists()


def test_labels_out_of_range_are_named_and_nothing_is_left(toy, root):
    narrow = replace(toy.dataset, classes=("ant", "bee"))
    first = toy.labels["train"].index(2)
    with pytest.raises(UserError, match=f"image {first} of toy has label 2; its 2 classes are 0 … 1"):
        prepare(narrow, root)
    assert [path.name for path in (root / "processed").iterdir() if not path.name.startswith(".")] == []


def test_no_room_is_told_before_anything_is_made(toy, root, monkeypatch):
    usage = shutil.disk_usage(root)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_199))
    with pytest.raises(UserError, match=r"needs 1.2 kB for 75 images of toy, its disk has 1.2 kB free. Free some"):
        prepare(toy.dataset, root)
    assert [path.name for path in (root / "processed").iterdir() if not path.name.startswith(".")] == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_200))
    assert prepare(toy.dataset, root)


def test_another_number_of_images_than_the_catalog_says(toy, root):
    with pytest.raises(UserError, match="raw/toy has 75 images, toy has 76"):
        prepare(replace(toy.dataset, images=76), root)


def test_other_official_files_or_another_layout_make_it_again(toy, root, monkeypatch):
    prepare(toy.dataset, root)
    first = toy.dataset.files[0]
    victim = root / "raw" / "toy" / first.name
    content = gzip.decompress(victim.read_bytes())
    changed = gzip.compress(content[:-1] + bytes([content[-1] ^ 1]), mtime=1)
    victim.unlink()
    victim.write_bytes(changed)
    checksum = "sha256:" + hashlib.sha256(changed).hexdigest()
    newer = replace(first, size=len(changed), checksum=checksum, content=None)
    row = replace(toy.dataset, files=(newer, *toy.dataset.files[1:]))
    before = ImageStore.open(root / "processed" / "toy").fingerprint
    assert prepare(row, root)
    assert ImageStore.open(root / "processed" / "toy").fingerprint != before
    assert not prepare(row, root)
    monkeypatch.setattr("data.prepared.prepare.LAYOUT", 99)
    assert prepare(row, root)


def test_what_is_prepared_does_not_need_the_official_files(toy, root):
    prepare(toy.dataset, root)
    shutil.rmtree(root / "raw")
    assert not prepare(toy.dataset, root)
    assert not prepare(replace(toy.dataset, tree="folder"), root)


def test_one_class_alone_is_refused_before_anything_is_made(toy, root, monkeypatch):
    contents = Contents(("ant",), [Short()])
    monkeypatch.setattr("data.formats.contract.FORMATS.get", lambda name: lambda dataset, files, unpacked: contents)
    with pytest.raises(UserError, match=r"toy has one class alone, 'ant', .*: add pictures of another class"):
        prepare(toy.dataset, root)
    assert not (root / "processed" / "toy").exists()
