"""Folders that go to another place and come back: memory, files, and S3 as a server of moto's speaks it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from data import remote
from data.download import download
from data.errors import DataError
from data.prepare import prepare
from data.remote import local, pull_dataset, push, push_dataset
from data.splits import Splits, split
from data.store import ImageStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    """Six files, the last of them a whole meta.json."""
    return make(tmp_path / "here" / "toy")


def make(path, fingerprint="first"):
    path.mkdir(parents=True, exist_ok=True)
    for number in range(5):
        (path / f"images-{number:05d}.npy").write_bytes(f"{fingerprint} {number}".encode() * (1000 + number))
    (path / "meta.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (path / ".hidden").write_text("not ours")
    return path


@pytest.fixture(params=["memory", "file", "s3"])
def uri(request, tmp_path):
    """An empty place on each kind of filesystem."""
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]
        return "memory://there/toy"
    if request.param == "file":
        return f"file://{tmp_path}/there/toy"
    return f"s3://{request.getfixturevalue('bucket')}/there/toy"


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server on this machine."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto.server")
    started = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def s3(server, monkeypatch):
    """The environment of someone with an account at the server."""
    import s3fs

    for name, value in (("ENDPOINT_URL", server), ("ACCESS_KEY_ID", "someone"), ("SECRET_ACCESS_KEY", "secret")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3):
    import boto3

    boto3.client("s3").create_bucket(Bucket="images")
    yield "images"
    found = boto3.resource("s3").Bucket("images")
    found.objects.all().delete()
    found.delete()


def content(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name[0] != "."}


@pytest.fixture
def sends(monkeypatch):
    """Names of the files that were sent, in order; those in its `broken` break off."""
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
            raise DataError("the line broke")
        send(place, path)
        sent.append(path.name)

    monkeypatch.setattr(remote, "_send_file", spied)
    return sent


def test_what_was_pushed_comes_back_and_is_not_sent_or_fetched_twice(folder, uri, tmp_path, sends):
    assert push(folder, uri) == 6
    assert sends.taken()[-1] == "meta.json"
    assert push(folder, uri) == 0
    assert sends.taken() == []
    found = local(uri, tmp_path / "cache")
    assert content(found) == content(folder)
    assert found.is_relative_to(tmp_path / "cache")
    before = {file.name: file.stat().st_mtime_ns for file in found.iterdir()}
    assert local(uri + "/", tmp_path / "cache") == found
    assert {file.name: file.stat().st_mtime_ns for file in found.iterdir()} == before


def test_a_push_that_broke_off_sends_only_what_is_missing(folder, uri, tmp_path, sends):
    sends.broken = {"images-00002.npy"}
    with pytest.raises(DataError, match="the line broke"):
        push(folder, uri)
    sent = sends.taken()
    assert "meta.json" not in sent
    with pytest.raises(DataError, match="does not hold all that belongs there"):
        local(uri, tmp_path / "cache")
    sends.broken = set()
    assert push(folder, uri) == 6 - len(sent)
    again = sends.taken()
    assert sorted(sent + again) == sorted(content(folder))
    assert again[-1] == "meta.json"
    assert content(local(uri, tmp_path / "cache")) == content(folder)


def test_other_content_of_the_same_size_is_sent_and_makes_a_new_entry(folder, uri, tmp_path, sends):
    push(folder, uri)
    first = local(uri, tmp_path / "cache")
    make(folder, "other")
    sends.clear()
    sends.broken = {"images-00004.npy"}  # broken off half-way, what is left of the first is not taken for the other
    with pytest.raises(DataError):
        push(folder, uri)
    with pytest.raises(DataError, match="does not hold all"):
        local(uri, tmp_path / "cache")
    sends.broken = set()
    push(folder, uri)
    assert sorted(sends.taken()) == sorted(content(folder))
    second = local(uri, tmp_path / "cache")
    assert second != first
    assert content(second) == content(folder) != content(first)


def test_one_changed_file_is_sent_alone_with_meta_json(folder, sends, tmp_path):
    uri = f"file://{tmp_path}/there/toy"
    push(folder, uri)
    (folder / "images-00001.npy").write_bytes(b"x" * (folder / "images-00001.npy").stat().st_size)
    (folder / "images-00003.npy").unlink()
    sends.clear()
    assert push(folder, uri) == 2
    assert sends.taken() == ["images-00001.npy", "meta.json"]
    assert set(content(tmp_path / "there/toy")) == {*content(folder), "sums.json"}


def test_what_nobody_pushed_there_is_left_alone(folder, tmp_path):
    there = tmp_path / "there/toy"
    there.mkdir(parents=True)
    (there / "thesis.txt").write_text("ten years' work")
    (there / "images-00001.npy").write_bytes(b"x" * (folder / "images-00001.npy").stat().st_size)
    push(folder, f"file://{there}")
    make(folder, "other")
    push(folder, f"file://{there}")
    assert (there / "thesis.txt").read_text() == "ten years' work"
    assert content(there).items() >= content(folder).items()
    assert content(local(f"file://{there}", tmp_path / "cache")) == content(folder)


def test_a_fetch_that_broke_off_fetches_only_what_is_missing(folder, uri, tmp_path, monkeypatch):
    push(folder, uri)
    fetch, fetched, broken = remote._fetch_file, [], {"images-00003.npy"}

    def spied(place, name, *rest):
        if name in broken:
            raise DataError("the line broke")
        fetch(place, name, *rest)
        fetched.append(name)

    monkeypatch.setattr(remote, "_fetch_file", spied)
    with pytest.raises(DataError, match="the line broke"):
        local(uri, tmp_path / "cache")
    first = list(fetched)
    broken.clear()
    found = local(uri, tmp_path / "cache")
    assert len(fetched) == 6
    assert sorted(fetched) == sorted(content(found))
    assert first == fetched[: len(first)]
    assert content(found) == content(folder)


def test_what_changed_on_its_way_is_not_taken(folder, tmp_path):
    uri = f"file://{tmp_path}/there/toy"
    push(folder, uri)
    changed = tmp_path / "there/toy/images-00002.npy"
    changed.write_bytes(changed.read_bytes()[::-1])
    with pytest.raises(DataError, match=r"images-00002\.npy is not what sums\.json says"):
        local(uri, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("toy-*"))


def test_names_that_lead_elsewhere_are_not_followed(folder, tmp_path):
    uri = f"file://{tmp_path}/there/toy"
    push(folder, uri)
    path = tmp_path / "there/toy/sums.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "../../evil": [1, "0"]}))
    with pytest.raises(DataError, match="does not hold all"):
        local(uri, tmp_path / "cache")


def test_two_processes_fetch_once(folder, tmp_path):
    uri = f"file://{tmp_path}/there/toy"
    push(folder, uri)
    code = f"""
import time
from pathlib import Path
from data import remote
fetch, count = remote._fetch_file, []
def slow(*all):
    time.sleep(0.2)
    fetch(*all)
    count.append(1)
remote._fetch_file = slow
found = remote.local({uri!r}, Path({str(tmp_path / "cache")!r}))
print(len(count), found)
"""
    run = [sys.executable, "-c", code]
    both = [subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [process.communicate(timeout=60)[0].split() for process in both]
    assert sorted(count for count, _ in told) == ["0", "6"]
    assert told[0][1] == told[1][1]
    assert content(Path(told[0][1])) == content(folder)


def test_a_path_is_given_back_as_it_is(tmp_path):
    assert local(tmp_path / "data", tmp_path / "cache") == tmp_path / "data"
    assert local("data", tmp_path / "cache") == Path("data")


def test_a_full_disk_is_told(folder, tmp_path, monkeypatch):
    push(folder, f"file://{tmp_path}/there/toy")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("data.atomic.os.fsync", full)
    with pytest.raises(DataError, match=r"cannot write .*No space left on device\. Free some space"):
        local(f"file://{tmp_path}/there/toy", tmp_path / "cache")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("nowhere://x/toy", r"nowhere://x/toy: unknown protocol nowhere://"),
        ("there/toy", r"there/toy is not a URI: write it as PROTOCOL://PLACE"),
    ],
)
def test_what_is_no_place_is_told(folder, uri, told):
    with pytest.raises(DataError, match=told):
        push(folder, uri)


def test_a_package_that_is_lacking_is_named(folder, monkeypatch):
    far = {"class": "farfs.FarFileSystem", "err": "-"}
    monkeypatch.setitem(sys.modules["fsspec.registry"].known_implementations, "far", far)
    with pytest.raises(DataError, match=r"far:// needs the Python package farfs: pip install farfs"):
        push(folder, "far://x/toy")


def test_a_folder_without_meta_json_is_not_sent(tmp_path):
    with pytest.raises(DataError, match=r"has no meta\.json"):
        push(tmp_path, "memory://there/toy")


def test_a_bucket_that_does_not_exist_is_told(s3, folder, tmp_path):
    with pytest.raises(DataError, match=r"s3://imagse/toy: does not exist .*bucket.*make the bucket"):
        push(folder, "s3://imagse/toy")
    with pytest.raises(DataError, match="s3://imagse/toy does not exist"):
        local("s3://imagse/toy", tmp_path / "cache")


def test_no_credentials_are_told(s3, folder, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    with pytest.raises(DataError, match=r"no credentials .*AWS_ACCESS_KEY_ID"):
        push(folder, "s3://images/toy")


def test_where_nobody_answers_what_was_fetched_before_will_do(bucket, folder, tmp_path, monkeypatch, capsys):
    import s3fs

    uri, cache = f"s3://{bucket}/toy", tmp_path / "cache"
    push(folder, uri)
    found = local(uri, cache)
    with monkeypatch.context() as gone:
        gone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(DataError, match=r"no connection .*AWS_ENDPOINT_URL"):
            push(folder, uri)
        with pytest.raises(DataError, match="no connection"):
            local(uri, tmp_path / "empty")
        capsys.readouterr()
        assert local(uri, cache) == found
        assert f"using what was fetched from there before, {found}" in capsys.readouterr().err
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_dataset_goes_and_comes_with_its_splits(toy, uri, tmp_path):
    here, there = tmp_path / "one", tmp_path / "two"
    base = uri.removesuffix("/toy")
    with pytest.raises(DataError, match=r"run `python -m data (prepare|split) toy"):
        push_dataset("toy", here, base)
    download(toy.dataset, here, toy.folder)
    prepare(toy.dataset, here)
    split(toy.dataset, 2, here)
    sent = push_dataset("toy", here, base)
    assert sent == sum(len(content(here / kind / "toy")) for kind in ("processed", "splits"))
    assert push_dataset("toy", here, base) == 0
    assert pull_dataset("toy", base, there)
    assert not pull_dataset("toy", base, there)
    for kind in ("processed", "splits"):
        assert content(there / kind / "toy") == content(here / kind / "toy")
    fingerprint = ImageStore.open(there / "processed/toy").fingerprint
    assert Splits.open(there / "splits/toy").data == fingerprint
    with pytest.raises(DataError, match="processed/other does not exist"):
        pull_dataset("other", base, there)
    split(toy.dataset, 3, here)
    push_dataset("toy", here, base)
    assert pull_dataset("toy", base, there)
    assert Splits.open(there / "splits/toy").repetitions == 3


def test_splits_of_other_images_are_not_sent(toy, tmp_path):
    download(toy.dataset, tmp_path, toy.folder)
    prepare(toy.dataset, tmp_path)
    split(toy.dataset, 1, tmp_path)
    path = tmp_path / "splits/toy/meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "other"}))
    with pytest.raises(DataError, match="was cut from other images"):
        push_dataset("toy", tmp_path, f"file://{tmp_path}/there")


def test_a_place_that_may_not_be_written_is_told(folder, tmp_path, monkeypatch):
    def refused(*_arguments, **_options):
        raise PermissionError(errno.EACCES, "Forbidden")

    monkeypatch.setattr(LocalFileSystem, "put_file", refused)
    with pytest.raises(DataError, match=r"access is refused .*Forbidden"):
        push(folder, f"file://{tmp_path}/there/toy")
