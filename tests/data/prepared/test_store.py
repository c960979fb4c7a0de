from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from data.errors import UserError
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore, Sharded
from data.verification import write_meta


@pytest.fixture
def folder(toy, tmp_path):
    download(toy.dataset, tmp_path / "d", toy.folder)
    prepare(toy.dataset, tmp_path / "d")
    return tmp_path / "d" / "processed" / "toy"


def test_what_it_holds(toy, folder):
    store = ImageStore.open(folder)
    assert isinstance(store.images, Sharded)
    assert store.shape == (1, 4, 4)
    assert store.labels.dtype == np.int64
    assert store.classes == ("ant", "bee", "cat")
    assert (store.dataset, store.parts) == ("toy", {"train": 60, "test": 15})


def test_a_batch_is_those_rows_scaled(toy, folder):
    store = ImageStore.open(folder)
    indices = [74, 0, 13, 13]
    batch = store.batch(indices)
    assert batch.dtype == torch.float32
    assert batch.shape == (4, 1, 4, 4)
    assert batch.is_contiguous()
    pixels = np.frombuffer(toy.pixels["train"] + toy.pixels["test"], dtype=np.uint8).reshape(75, 4, 4)
    expected = pixels[indices].astype(np.float64) / 255
    np.testing.assert_allclose(batch[:, 0].numpy(), expected, rtol=0, atol=1e-7)
    assert torch.equal(store.batch(np.array(indices)), batch)
    assert torch.equal(store.batch(torch.tensor(indices)), batch)
    assert store.batch([]).shape == (0, 1, 4, 4)
    with pytest.raises(IndexError):
        store.batch([75])


def test_shards_read_as_one_array():
    chance = np.random.default_rng(3)
    pieces = [chance.integers(0, 256, (rows, 2, 3, 1), dtype=np.uint8) for rows in (4, 0, 1, 7)]
    together, whole = Sharded(pieces), np.concatenate(pieces)
    assert together.shape == whole.shape
    assert together.nbytes == whole.nbytes
    for indices in ([], [11, 0, 4, 3, 5, 5], np.arange(12)[::-1]):
        wanted = np.asarray(indices, dtype=np.int64)
        assert np.array_equal(together[wanted], whole[wanted])
    for wrong in ([12], [-1]):
        with pytest.raises(IndexError, match=r"images are 0 … 11"):
            together[wrong]


def test_resident_images_give_the_same_batches(toy, folder, monkeypatch):
    monkeypatch.setattr("data.prepared.store.PIECE", 100)  # a few images at a time
    store = ImageStore.open(folder)
    resident = store.resident("cpu")
    assert isinstance(resident.images, torch.Tensor)
    assert resident.images.dtype == torch.uint8
    assert resident.shape == store.shape
    for indices in ([74, 0, 13, 13], [], np.arange(75)):
        assert torch.equal(resident.batch(indices), store.batch(indices))


def test_a_batch_is_a_copy(folder):
    store = ImageStore.open(folder)
    before = store.images[[5]].copy()
    store.batch([5]).zero_()
    assert np.array_equal(store.images[[5]], before)


def test_colours_become_the_first_axis(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, 5, 3), dtype=np.uint8)
    labels = np.array([0, 1, 0])
    np.save(tmp_path / "images-00000.npy", pixels)
    np.save(tmp_path / "labels.npy", labels)
    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    meta = {"dataset": "x", "classes": ["a", "b"], "shape": [2, 5, 3], "shards": [3], "parts": {"train": 3}}
    meta |= {"digests": [digest], "fingerprint": digest, "origin": "", "skipped": 0, "layout": 2}
    write_meta(tmp_path, meta, ["labels.npy"])
    store = ImageStore.open(tmp_path)
    assert store.shape == (3, 2, 5)
    batch = store.batch([2, 1])
    for channel in range(3):
        np.testing.assert_allclose(batch[0, channel].numpy() * 255, pixels[2, :, :, channel], atol=1e-4)


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"mnist holds no prepared images: run `python -m data prepare mnist`"):
        ImageStore.open(tmp_path / "mnist")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("meta.json", lambda b: b[:-10]),
        ("meta.json", lambda b: b"[]"),
        ("meta.json", lambda b: b"{}"),
        ("meta.json", lambda b: b.replace(b"60,", b"61,")),
        ("meta.json", lambda b: b"\xff\xfe"),
        ("images-00000.npy", lambda b: b[:-1]),
        ("images-00000.npy", lambda b: b[:20]),
        ("images-00000.npy", lambda b: b""),
        ("labels.npy", lambda b: b[:-8]),
        ("labels.npy", lambda b: b""),
        ("labels.npy", lambda b: b"hello"),
    ],
)
def test_damaged(folder, name, damage):
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r"toy is damaged .*delete it and run `python -m data prepare toy` again"):
        ImageStore.open(folder)


def permuted_labels(folder):
    labels = np.load(folder / "labels.npy")
    np.save(folder / "labels.npy", np.roll(labels, 1))


def one_pixel(folder):
    images = np.load(folder / "images-00001.npy")
    images[3, 1, 2, 0] ^= 1
    np.save(folder / "images-00001.npy", images)


def another_order_of_axes(folder):
    path = folder / "images-00000.npy"
    path.write_bytes(path.read_bytes().replace(b"'fortran_order': False", b"'fortran_order': True "))


def class_names(folder):
    path = folder / "meta.json"
    path.write_bytes(path.read_bytes().replace(b'"ant"', b'"ape"'))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (permuted_labels, "labels.npy"),
        (one_pixel, "images-00001.npy"),
        (another_order_of_axes, "images-00000.npy"),
        (class_names, "meta.json"),
    ],
)
def test_a_change_of_the_same_size_is_told_and_mended(toy, folder, change, name):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    change(folder)
    with pytest.raises(UserError, match=rf"toy is damaged .*{name} .*delete it and run `python -m data prepare toy`"):
        ImageStore.open(folder)
    assert prepare(toy.dataset, folder.parent.parent)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["images-00001.npy", "labels.npy"])
def test_half_there(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match="damaged"):
        ImageStore.open(folder)


def test_opening_needs_numpy_alone():
    # the commands stay quick, and a machine with PyTorch alone can read what another one prepared
    code = (
        "import sys, data.prepared.store, data.labelled.splits; "
        "print([m for m in ('torch', 'pooch', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
