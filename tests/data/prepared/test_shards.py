"""Shards of real pictures, whole and broken, made in this process, in parallel, and again after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import stages
from data.dataset import Dataset, Official
from data.errors import UserError
from data.formats.archives import OnDisk
from data.formats.contract import Picture, Pictures, shards_of
from data.prepared import parallel, shards
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from tests.data.workers.listening import assert_closed, watched

SHAPE = (8, 8, 3)
ROW = Dataset(
    name="pictures",
    shape=SHAPE,
    classes=("a", "b"),
    images=None,
    validation=0.1,
    test=0.1,
    official=(),
    format="folder",
    files=(),
    mirrors=(),
    licence="none",
    citation="none",
)


def pictures(folder, count, broken=()):
    """Returns so many PNGs, each a single grey that is its number; labels take turns."""
    made = []
    for number in range(count):
        path = folder / f"{number:03d}.png"
        Image.new("RGB", (9, 12), (number, number, number)).save(path)
        if number in broken:
            path.write_bytes(path.read_bytes()[:40])
        made.append(Picture(OnDisk(folder, path.name), number % 2))
    return made


def test_what_a_shard_holds(tmp_path):
    shard = Pictures("train", tuple(pictures(tmp_path, 5, broken=[3])))
    seen = []
    made = shards.make(shard, 7, SHAPE, tmp_path, seen.append)
    images = np.load(tmp_path / "images-00007.npy")
    assert images.shape == (4, *SHAPE)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 2, 4]
    assert (made.labels, made.names) == ([0, 1, 0, 0], ["000.png", "001.png", "002.png", "004.png"])
    ((name, reason),) = made.skipped
    assert name == "003.png"
    assert reason == "not a picture"
    labels = b"".join(label.to_bytes(8, "little") for label in made.labels)
    assert made.digest == hashlib.sha256(images.tobytes() + labels).hexdigest()
    assert sum(seen) == 5
    assert shards.read_records(tmp_path, 7, 5) == made
    assert shards.read_records(tmp_path, 7, 6) is None  # of shards that were cut otherwise


def test_captions_are_part_of_the_digest(tmp_path):
    (picture,) = pictures(tmp_path, 1)
    digests = {
        shards.make(Pictures("train", (replace(picture, label=None, captions=captions),)), i, SHAPE, tmp_path).digest
        for i, captions in enumerate([("a dog",), ("a cat",), ("a", "dog"), ()])
    }
    assert len(digests) == 4


def test_a_shard_that_is_there_is_not_made_again(tmp_path):
    shard = Pictures("train", tuple(pictures(tmp_path, 3)))
    made = shards.make(shard, 0, SHAPE, tmp_path)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    assert shards.make(shard, 0, SHAPE, tmp_path) == made
    (tmp_path / "records-00000.json").write_text("{")  # half-written by another hand: made anew
    with pytest.raises(UserError):
        shards.make(shard, 0, SHAPE, tmp_path)


def test_shards_are_even_and_hold_everything_in_order(tmp_path):
    some = [Picture(OnDisk(tmp_path, str(i)), 0) for i in range(40_000)]
    for side, most in ((32, 40_000 // 64), (2048, 42)):
        cut = shards_of("train", some, replace(ROW, shape=(side, side, 3)))
        assert [picture for shard in cut for picture in shard.pictures] == some
        assert {shard.count for shard in cut[:-1]} == {most}


@pytest.fixture
def official(tmp_path, monkeypatch):
    """Returns a function that makes `prepare` find the pictures that it is given, as shards of ten."""

    def known(found):
        cut = [Pictures("train", tuple(found[start : start + 10])) for start in range(0, len(found), 10)]

        def read(dataset, files, unpacked):
            from data.formats.contract import Contents

            return Contents(("a", "b"), cut)

        monkeypatch.setattr("data.formats.contract.FORMATS.get", lambda name: read)
        monkeypatch.setattr("data.prepared.prepare.official_files", lambda *_: Official("folder", {}, "origin"))

    return known


def test_broken_pictures_are_left_out_and_listed(official, tmp_path):
    official(pictures(tmp_path, 45, broken=[4, 30, 44]))
    assert prepare(ROW, tmp_path / "d")
    folder = tmp_path / "d" / "processed" / "pictures"
    store = ImageStore.open(folder)
    kept = [n for n in range(45) if n not in (4, 30, 44)]
    assert store.skipped == 3
    assert store.images[np.arange(42)][:, 0, 0, 0].tolist() == kept
    assert store.labels.tolist() == [n % 2 for n in kept]
    assert [name for name, _ in json.loads((folder / "skipped.json").read_text())] == ["004.png", "030.png", "044.png"]
    assert json.loads((folder / "names.json").read_text()) == [f"{n:03d}.png" for n in kept]


def test_too_many_broken_pictures(official, tmp_path):
    official(pictures(tmp_path, 45, broken=range(11)))
    with pytest.raises(UserError, match=r"11 pictures of pictures are broken, at most 10 may be:\n  000.png: "):
        prepare(ROW, tmp_path / "d")
    assert not (tmp_path / "d" / "processed" / "pictures").exists()


def test_a_class_without_pictures(official, tmp_path):
    official(pictures(tmp_path, 20)[::2])
    with pytest.raises(UserError, match="pictures has no image of class 'b'"):
        prepare(ROW, tmp_path / "d")


def test_nothing_but_broken_pictures(official, tmp_path):
    official(pictures(tmp_path, 8, broken=range(8)))
    with pytest.raises(UserError, match=r"pictures has no picture that is not broken: .*000.png.*not a picture"):
        prepare(ROW, tmp_path / "d")
    official(pictures(tmp_path, 8, broken=[1, 3, 5, 7]))
    with pytest.raises(UserError, match=r"no image of class 'b': every class needs some, and 4 pictures are broken"):
        prepare(ROW, tmp_path / "e")


@pytest.mark.slow
def test_prepare_hands_much_work_to_ray(tmp_path, monkeypatch, official):
    official(pictures(tmp_path, 45, broken=[7]))
    assert prepare(ROW, tmp_path / "d")
    monkeypatch.setattr("data.prepared.prepare.PARALLEL_FROM", 0)
    assert prepare(ROW, tmp_path / "e")
    one, other = (ImageStore.open(tmp_path / root / "processed" / "pictures") for root in ("d", "e"))
    assert one.fingerprint == other.fingerprint
    assert (one.skipped, len(one.labels)) == (1, 44)
    assert np.array_equal(one.images[np.arange(44)], other.images[np.arange(44)])


def test_an_interrupted_prepare_goes_on_with_what_is_left(official, tmp_path, monkeypatch):
    found = pictures(tmp_path, 45)
    official(found)
    made, make = [], shards.make

    def stopped(shard, number, *rest):
        if number == 3:
            raise KeyboardInterrupt
        made.append(number)
        return make(shard, number, *rest)

    monkeypatch.setattr(shards, "make", stopped)
    with pytest.raises(KeyboardInterrupt):
        prepare(ROW, tmp_path / "d")
    folder = tmp_path / "d" / "processed" / "pictures"
    assert not folder.exists()
    with pytest.raises(UserError, match="holds no prepared images"):
        ImageStore.open(folder)
    monkeypatch.setattr(
        shards, "make", lambda shard, number, *rest: (made.append(number), make(shard, number, *rest))[1]
    )
    assert prepare(ROW, tmp_path / "d")
    assert made == [0, 1, 2, 3, 4]
    assert ImageStore.open(folder).images[np.arange(45)][:, 0, 0, 0].tolist() == list(range(45))
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith((".", "records"))) == []


def test_other_official_files_leave_nothing_of_an_earlier_attempt(official, tmp_path, monkeypatch):
    official(pictures(tmp_path, 25))
    monkeypatch.setattr("data.prepared.prepare._write_arrays", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(ROW, tmp_path / "d")
    monkeypatch.undo()
    newer = tmp_path / "newer"
    newer.mkdir()
    official(list(reversed(pictures(newer, 25))))
    monkeypatch.setattr("data.prepared.prepare.official_files", lambda *_: Official("folder", {}, "another"))
    assert prepare(ROW, tmp_path / "d")
    store = ImageStore.open(tmp_path / "d" / "processed" / "pictures")
    assert store.images[np.arange(25)][:, 0, 0, 0].tolist() == list(range(24, -1, -1))


@pytest.mark.slow
def test_in_parallel_it_is_the_same(tmp_path):
    """Two workers of a real Ray make the same shards as this process; the broken picture is left out."""
    found = pictures(tmp_path, 60, broken=[17])
    tasks = [(Pictures("train", tuple(found[start : start + 10])), start // 10) for start in range(0, 60, 10)]
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    for shard, number in tasks:
        shards.make(shard, number, SHAPE, here)
    with watched(os.getpid()) as seen:
        assert sum(shard.count for shard, _ in parallel.make(tasks, SHAPE, there)) == 60
    assert_closed(seen)
    names = sorted(path.name for path in here.iterdir() if not path.name.startswith("."))
    assert len(names) == 12
    for name in names:
        assert (there / name).read_bytes() == (here / name).read_bytes()
    missing = Pictures("train", (Picture(OnDisk(tmp_path, "gone.png"), 0),))
    with pytest.raises(UserError, match=r"gone\.png"):
        list(parallel.make([(missing, 9)], SHAPE, there))


def test_a_cluster_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(UserError, match=r"no Ray cluster at RAY_ADDRESS=127.0.0.1:9"):
        list(parallel.make([], SHAPE, tmp_path))


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_was(tmp_path):
    """`python -m data prepare folder` is killed once a shard is there; a second run makes only the others."""
    for name in ("a", "b"):
        folder = tmp_path / "mine" / name
        folder.mkdir(parents=True)
        noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / "0.jpg")
        for number in range(1, 300):
            os.link(folder / "0.jpg", folder / f"{number}.jpg")
    root = tmp_path / "d"
    command = [sys.executable, "-m", "data"]
    where = ["--root", str(root)]
    stages.download("folder", tmp_path / "mine", root)
    first = subprocess.Popen([*command, "prepare", "folder", *where], stdout=subprocess.DEVNULL)
    partial = root / "processed" / ".folder.partial"
    deadline = time.monotonic() + 60
    while not list(partial.glob("records-*.json")) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    done = {path.name: path.stat().st_mtime_ns for path in partial.glob("images-*.npy")}
    assert done
    assert not (root / "processed" / "folder").exists()
    subprocess.run([*command, "prepare", "folder", *where], check=True)
    store = ImageStore.open(root / "processed" / "folder")
    assert len(store.labels) == 600
    for name, stamp in done.items():
        assert (root / "processed" / "folder" / name).stat().st_mtime_ns == stamp


@pytest.mark.slow
def test_on_a_cluster_whose_workers_are_elsewhere(tmp_path, monkeypatch):
    """`python -m data prepare`, with a relative root, on a cluster of two nodes makes what this process makes."""
    from ray.cluster_utils import Cluster

    for number in range(40):
        path = tmp_path / "mine" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (5 * number, 0, 0)).save(path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        monkeypatch.chdir(tmp_path)
        command = [sys.executable, "-m", "data"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "RAY_ADDRESS": cluster.address}
        stages.download("folder", tmp_path / "mine", Path("d"))
        done = subprocess.run(
            [*command, "prepare", "folder", "--root", "d"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    finally:
        cluster.shutdown()
    stages.download("folder", tmp_path / "mine", Path("e"))
    stages.prepare("folder", Path("e"))
    there, made = (ImageStore.open(tmp_path / root / "processed" / "folder") for root in ("d", "e"))
    assert there.fingerprint == made.fingerprint
    assert len(there.labels) == 40
