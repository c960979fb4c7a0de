"""Folders pushed to another place and pulled back: memory, files, and S3 by a server of moto."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from data import __main__ as command_line
from data.errors import UserError
from data.labelled.splits import Splits, split
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.remote import push_pull as remote
from data.remote.filesystems import place_at
from data.remote.push_pull import pull_dataset, push, push_dataset
from data.verification import read_meta, write_meta

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path):
    """A folder of six files, the last of them a whole meta.json."""
    return make(tmp_path / "here" / "toy")


def make(path, fingerprint="first"):
    path.mkdir(parents=True, exist_ok=True)
    for number in range(5):
        (path / f"images-{number:05d}.npy").write_bytes(f"{fingerprint} {number}".encode() * (1000 + number))
    (path / "meta.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (path / ".hidden").write_text("not ours")
    return path


@pytest.fixture(params=["memory", "file", "s3"])
def empty(request, tmp_path):
    """An empty place on each kind of filesystem."""
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]
        return "memory://there"
    if request.param == "file":
        return f"file://{tmp_path}/over there"
    return f"s3://{request.getfixturevalue('bucket')}/there"


@pytest.fixture
def uri(empty, tmp_path):
    """A place on each kind of filesystem with two files of splits and no images yet."""
    return with_splits(empty, tmp_path)


@pytest.fixture
def shared(tmp_path):
    """Such a place in a folder."""
    return with_splits(str(tmp_path / "there"), tmp_path)


def with_splits(base, tmp_path):
    splits = tmp_path / "made-splits"
    splits.mkdir()
    (splits / "draws.npy").write_bytes(b"draws")
    (splits / "meta.json").write_text("{}")
    push(splits, f"{base}/splits/toy")
    return base


def send(folder, base, again=False):
    return push(folder, f"{base}/processed/toy", again)


def pulled(base, root):
    """Pulls the dataset and returns the folder of its images."""
    pull_dataset("toy", base, root)
    return root / "processed" / "toy"


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name[0] != "."}


@pytest.fixture
def sends(monkeypatch):
    """Records the names of the files that were sent, in order; sending those in `broken` fails."""
    send = remote._send_file

    class Sends(list):
        broken = frozenset()

        def taken(self):
            names = list(self)
            self.clear()
            return names

    sent = Sends()

    def spied(place, path):
        if path.name in sent.broken:
            raise UserError("the line broke")
        send(place, path)
        sent.append(path.name)

    monkeypatch.setattr(remote, "_send_file", spied)
    return sent


def test_what_was_pushed_comes_back_and_is_not_sent_or_fetched_twice(folder, uri, tmp_path, sends):
    assert send(folder, uri) == 6
    assert sends.taken()[-1] == "meta.json"
    assert send(folder, uri) == 0
    assert sends.taken() == []
    assert pull_dataset("toy", uri, tmp_path / "d")
    found = tmp_path / "d/processed/toy"
    assert content(found) == content(folder)
    before = {file.name: file.stat().st_mtime_ns for file in found.iterdir()}
    assert not pull_dataset("toy", uri + "/", tmp_path / "d")
    assert {file.name: file.stat().st_mtime_ns for file in found.iterdir()} == before


def test_a_push_that_broke_off_sends_only_what_is_missing(folder, uri, tmp_path, sends):
    sends.broken = {"images-00002.npy"}
    with pytest.raises(UserError, match="the line broke"):
        send(folder, uri)
    sent = sends.taken()
    assert "meta.json" not in sent
    command = f"`python -m data push toy {shlex.quote(uri)}`"
    with pytest.raises(UserError, match="does not exist or is incomplete: .*" + re.escape(command)):
        pulled(uri, tmp_path / "d")
    assert not (tmp_path / "d").exists()
    sends.broken = set()
    assert send(folder, uri) == 6 - len(sent)
    again = sends.taken()
    assert sorted(sent + again) == sorted(content(folder))
    assert again[-1] == "meta.json"
    assert content(pulled(uri, tmp_path / "d")) == content(folder)


def test_other_content_of_the_same_size_is_sent_and_fetched(folder, uri, tmp_path, sends):
    send(folder, uri)
    first = content(pulled(uri, tmp_path / "d"))
    make(folder, "other")
    sends.clear()
    sends.broken = {"images-00004.npy"}  # broken off half-way, what is left of the first is not taken for the other
    with pytest.raises(UserError):
        send(folder, uri)
    with pytest.raises(UserError, match="is incomplete"):
        pulled(uri, tmp_path / "d")
    assert content(tmp_path / "d/processed/toy") == first
    sends.broken = set()
    send(folder, uri)
    assert sorted(sends.taken()) == sorted(content(folder))
    assert content(pulled(uri, tmp_path / "d")) == content(folder) != first


def test_one_changed_file_is_sent_alone_with_meta_json(folder, sends, tmp_path):
    uri = f"file://{tmp_path}/there/toy"
    push(folder, uri)
    (folder / "images-00001.npy").write_bytes(b"x" * (folder / "images-00001.npy").stat().st_size)
    (folder / "images-00003.npy").unlink()
    sends.clear()
    assert push(folder, uri) == 2
    assert sends.taken() == ["images-00001.npy", "meta.json"]
    assert set(content(tmp_path / "there/toy")) == {*content(folder), "sums.json"}


@pytest.mark.parametrize("again", [False, True])
def test_what_nobody_pushed_there_is_left_alone(folder, shared, tmp_path, again):
    there = Path(shared, "processed/toy")
    there.mkdir(parents=True)
    (there / "thesis.txt").write_text("ten years' work")
    (there / "images-00001.npy").write_bytes(b"x" * (folder / "images-00001.npy").stat().st_size)
    send(folder, shared)
    make(folder, "other")
    send(folder, shared, again)
    assert (there / "thesis.txt").read_text() == "ten years' work"
    assert content(there).items() >= content(folder).items()
    assert content(pulled(shared, tmp_path / "d")) == content(folder)


@pytest.fixture
def fetches(monkeypatch):
    """Records the names of the files that were fetched, in order; fetching those in `broken` fails."""
    fetch = remote._fetch_file

    class Fetches(list):
        broken = frozenset()

    fetched = Fetches()

    def spied(place, name, *rest):
        if name in fetched.broken:
            raise UserError("the line broke")
        fetch(place, name, *rest)
        fetched.append(name)

    monkeypatch.setattr(remote, "_fetch_file", spied)
    return fetched


def test_a_fetch_that_broke_off_fetches_only_what_is_missing(folder, uri, tmp_path, fetches):
    send(folder, uri)
    fetches.broken = {"images-00003.npy"}
    with pytest.raises(UserError, match="the line broke"):
        pulled(uri, tmp_path / "d")
    assert not (tmp_path / "d/processed/toy").exists()
    fetches.broken = set()
    found = pulled(uri, tmp_path / "d")
    assert sorted(fetches) == sorted([*content(folder), "draws.npy", "meta.json"])
    assert content(found) == content(folder)


def test_room_is_asked_for_before_anything_is_fetched(folder, shared, tmp_path, fetches, monkeypatch):
    send(folder, shared)
    need = sum(file.stat().st_size for file in folder.iterdir() if file.name[0] != ".")

    def free(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**12, 0, size))

    free(need - 1)
    with pytest.raises(UserError, match=r"d/processed/toy needs .* for 6 files from .*/processed/toy, its disk has"):
        pulled(shared, tmp_path / "d")
    assert fetches == []
    free(need)
    fetches.broken = {"images-00003.npy"}
    with pytest.raises(UserError, match="the line broke"):
        pulled(shared, tmp_path / "d")
    fetches.broken = set()
    lacking = need - sum((folder / name).stat().st_size for name in fetches)
    assert lacking < need
    free(lacking - 1)
    with pytest.raises(UserError, match="Free some space"):
        pulled(shared, tmp_path / "d")
    free(lacking)
    assert content(pulled(shared, tmp_path / "d")) == content(folder)


@pytest.fixture
def dataset(toy, tmp_path):
    """A root with prepared images and splits of a dataset."""
    root = tmp_path / "one"
    download(toy.dataset, root, toy.folder)
    prepare(toy.dataset, root)
    split(toy.dataset, 2, root)
    return root


@pytest.mark.parametrize("kind", ["processed", "splits"])
@pytest.mark.parametrize("suffix", [".npy", "meta.json"])
def test_what_is_damaged_there_is_told_and_mended(dataset, empty, tmp_path, monkeypatch, capsys, kind, suffix):
    files = sum(len(content(dataset / kind / "toy")) for kind in ("processed", "splits"))
    push_dataset("toy", dataset, empty)
    place = place_at(f"{empty}/{kind}/toy")
    name = next(name for name in sorted(content(dataset / kind / "toy")) if name.endswith(suffix))
    good = place.filesystem.cat_file(place.file(name))
    place.filesystem.pipe_file(place.file(name), good[:-1] + bytes([good[-1] ^ 1]))
    assert push_dataset("toy", dataset, empty) == 0  # sizes do not show it
    with pytest.raises(UserError, match=re.escape(f"{place.uri}/{name} is not what sums.json says")) as caught:
        pull_dataset("toy", empty, tmp_path / "two")
    assert not (tmp_path / "two" / kind / "toy").exists()
    (command,) = re.findall("`python -m data (.*)`", str(caught.value))
    monkeypatch.setattr(sys, "argv", ["data", *shlex.split(command), "--root", str(dataset)])
    with pytest.raises(SystemExit) as done:
        command_line.main()
    assert not done.value.code
    assert f"toy: {files} files sent to {empty}" in capsys.readouterr().out
    assert pull_dataset("toy", empty, tmp_path / "two")
    assert content(tmp_path / "two" / kind / "toy") == content(dataset / kind / "toy")


@pytest.mark.parametrize(
    "name", ["../../evil", "/evil", "a/b", "", ".", "..", ".hidden", "a\\b", "C:x", "con", "x\n", "x\0"]
)
def test_names_that_lead_elsewhere_are_refused(folder, shared, tmp_path, name):
    send(folder, shared)
    path = Path(shared, "processed/toy/sums.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), name: [1, "0"]}))
    with pytest.raises(UserError, match=r"sums\.json: the name .* leads out of the folder .* --again` where") as told:
        pulled(shared, tmp_path / "d")
    assert str(told.value).isprintable()
    assert not (tmp_path / "d").exists()
    send(folder, shared, again=True)
    assert content(pulled(shared, tmp_path / "d")) == content(folder)


def test_two_processes_fetch_once(folder, shared, tmp_path):
    send(folder, shared)
    code = f"""
import json, time
from pathlib import Path
from data.remote import push_pull as remote
fetch, fetched = remote._fetch_file, []
def slow(place, name, *rest):
    time.sleep(0.2)
    fetch(place, name, *rest)
    fetched.append([place.path, name])
remote._fetch_file = slow
remote.pull_dataset("toy", {shared!r}, Path({str(tmp_path / "d")!r}))
print(json.dumps(fetched))
"""
    run = [sys.executable, "-c", code]
    both = [subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [tuple(one) for process in both for one in json.loads(process.communicate(timeout=60)[0])]
    assert sorted(told) == [(f"{shared}/processed/toy", name) for name in sorted(content(folder))] + [
        (f"{shared}/splits/toy", name) for name in ("draws.npy", "meta.json")
    ]
    assert content(tmp_path / "d/processed/toy") == content(folder)


def test_a_full_disk_is_told(folder, shared, tmp_path, monkeypatch):
    send(folder, shared)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("data.atomic.os.fsync", full)
    with pytest.raises(UserError, match=r"cannot write .*No space left on device\. Free some space"):
        pulled(shared, tmp_path / "d")


@pytest.mark.parametrize("method", ["read", "__exit__"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EIO, "Input/output error"), r"processed/toy: .*Input/output error: check that place"),
        (ConnectionResetError("reset by peer"), r"processed/toy: no connection \(reset by peer\)"),
    ],
)
def test_a_place_that_fails_midway_is_not_told_as_this_disk(folder, shared, tmp_path, monkeypatch, method, error, told):
    send(folder, shared)
    done = getattr(LocalFileOpener, method)

    def broken(file, *arguments):
        if "images" in file.path and method == "read" and file.tell() > 0:
            raise error
        result = done(file, *arguments)
        if "images" in file.path and method == "__exit__":
            raise error
        return result

    monkeypatch.setattr(remote, "PIECE", 1000)
    monkeypatch.setattr(LocalFileOpener, method, broken)
    with pytest.raises(UserError, match="^" + re.escape(f"{shared}/") + told):
        pulled(shared, tmp_path / "d")


def test_a_path_is_a_folder(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for base in (f"{tmp_path}/shared folder", "mnt/shared", "."):
        there = tmp_path / base
        assert push_dataset("toy", dataset, base) > 0
        assert push_dataset("toy", dataset, f"file://{there}") == 0
        target = tmp_path / "two" / str(len(base))
        assert pull_dataset("toy", base, target)
        for kind in ("processed", "splits"):
            assert content(target / kind / "toy") == content(dataset / kind / "toy")
            assert set(content(there / kind / "toy")) == {*content(dataset / kind / "toy"), "sums.json"}


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("nowhere://x/toy", r"nowhere://x/toy: unknown protocol nowhere://"),
        ("s3:/images/toy", r"s3:/images/toy is not a URI such as s3://BUCKET/FOLDER"),
    ],
)
def test_what_is_no_place_is_told(folder, uri, told):
    with pytest.raises(UserError, match=told):
        push(folder, uri)


def test_a_package_that_is_lacking_is_named(folder, monkeypatch):
    far = {"class": "farfs.FarFileSystem", "err": "-"}
    monkeypatch.setitem(sys.modules["fsspec.registry"].known_implementations, "far", far)
    with pytest.raises(UserError, match=r"far:// needs the Python package farfs: pip install farfs"):
        push(folder, "far://x/toy")


def test_a_folder_without_meta_json_is_not_sent(tmp_path):
    with pytest.raises(UserError, match=r"has no meta\.json"):
        push(tmp_path, "memory://there/toy")


def test_a_bucket_that_does_not_exist_is_told(s3, folder, tmp_path):
    with pytest.raises(UserError, match=r"s3://imagse/toy: does not exist .*bucket.*make the bucket"):
        push(folder, "s3://imagse/toy")
    with pytest.raises(UserError, match="s3://imagse/processed/toy does not exist"):
        pulled("s3://imagse", tmp_path / "d")


def test_no_credentials_are_told(s3, folder, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(UserError, match=r"no credentials .*AWS_ACCESS_KEY_ID"):
        push(folder, "s3://images/toy")


def test_where_nobody_answers_is_told(s3, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"no connection .*AWS_ENDPOINT_URL"):
        send(folder, "s3://images")
    with pytest.raises(UserError, match=r"s3://images/processed/toy: no connection"):
        pulled("s3://images", tmp_path / "d")


def test_a_dataset_goes_and_comes_with_its_splits(toy, dataset, empty, tmp_path):
    there = tmp_path / "two"
    with pytest.raises(UserError, match=r"run `python -m data (prepare|split) toy"):
        push_dataset("toy", tmp_path / "nothing", empty)
    sent = push_dataset("toy", dataset, empty)
    assert sent == sum(len(content(dataset / kind / "toy")) for kind in ("processed", "splits"))
    assert push_dataset("toy", dataset, empty) == 0
    assert pull_dataset("toy", empty, there)
    assert not pull_dataset("toy", empty, there)
    for kind in ("processed", "splits"):
        assert content(there / kind / "toy") == content(dataset / kind / "toy")
    fingerprint = ImageStore.open(there / "processed/toy").fingerprint
    assert Splits.open(there / "splits/toy").data == fingerprint
    with pytest.raises(UserError, match="processed/other does not exist"):
        pull_dataset("other", empty, there)
    split(toy.dataset, 3, dataset)
    push_dataset("toy", dataset, empty)
    assert pull_dataset("toy", empty, there)
    assert Splits.open(there / "splits/toy").repetitions == 3


def test_splits_of_other_images_are_not_sent(dataset, tmp_path):
    folder = dataset / "splits/toy"
    meta = read_meta(folder)
    write_meta(folder, {**meta, "data": "other"}, meta["files"])
    with pytest.raises(UserError, match="was cut from other images"):
        push_dataset("toy", dataset, f"file://{tmp_path}/there")


def test_a_place_that_may_not_be_written_is_told(folder, tmp_path, monkeypatch):
    def refused(*_arguments, **_options):
        raise PermissionError(errno.EACCES, "Forbidden")

    monkeypatch.setattr(LocalFileSystem, "put_file", refused)
    with pytest.raises(UserError, match=r"access is refused .*Forbidden"):
        push(folder, f"file://{tmp_path}/there/toy")
