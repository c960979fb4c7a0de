"""Content is read once and again after any change; what was verified is kept outside the folder, wherever one can."""

from __future__ import annotations

import json
import os

import pytest

from data import verification
from data.errors import UserError
from data.verification import read_meta, verify, write_meta


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of two files that changed long ago, and a cache folder of its own."""
    monkeypatch.setattr(verification, "UNSETTLED", -(10**12))
    monkeypatch.setattr(verification, "_remembered", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "d" / "toy"
    path.mkdir(parents=True)
    (path / "one").write_bytes(b"1" * 1000)
    (path / "two").write_bytes(b"2" * 1000)
    write_meta(path, {"layout": 1}, ["one", "two"])
    return path


@pytest.fixture
def reads(monkeypatch):
    """The names of the files that are read to compute a digest."""
    names = []
    digest = verification.file_digest
    monkeypatch.setattr(
        verification, "file_digest", lambda path, report: names.append(path.name) or digest(path, report)
    )
    return names


def another_process(monkeypatch):
    monkeypatch.setattr(verification, "_remembered", {})


def test_content_is_read_once_and_again_where_it_changed(folder, reads, monkeypatch):
    expected = read_meta(folder)["files"]
    verify(folder, expected)
    assert reads == ["one", "two"]
    another_process(monkeypatch)
    verify(folder, expected)
    assert reads == ["one", "two"]
    status = (folder / "two").stat()
    (folder / "two").write_bytes(b"2" * 999 + b"3")
    os.utime(folder / "two", ns=(status.st_atime_ns, status.st_mtime_ns))  # as a copy that keeps times leaves it
    for _ in range(2):
        with pytest.raises(ValueError, match="the content of two is not what was written"):
            verify(folder, expected)
    assert reads == ["one", "two", "two", "two"]
    (folder / "two").write_bytes(b"2" * 1000)
    verify(folder, expected)


def test_what_changed_a_moment_ago_is_read_again(folder, reads, monkeypatch):
    monkeypatch.setattr(verification, "UNSETTLED", 10**12)
    for _ in range(2):
        verify(folder, read_meta(folder)["files"])
    assert reads == ["one", "two"] * 2
    assert [path.name for path in folder.parent.iterdir()] == ["toy"]


def test_the_folder_itself_stays_as_it_is(folder):
    before = {path.name: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]}
    verify(folder, read_meta(folder)["files"])
    assert {path.name: path.stat().st_mtime_ns for path in [folder, *folder.iterdir()]} == before
    assert [path.name for path in folder.parent.iterdir() if path != folder] == [".toy.verified.json"]


@pytest.mark.parametrize("cache", ["cache", "", "one/cache"], ids=["a cache folder", "none", "one that is no folder"])
def test_a_place_that_cannot_be_written(folder, reads, monkeypatch, tmp_path, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / cache if "one" in cache else tmp_path / cache) if cache else "")
    monkeypatch.setenv("HOME", str(folder / "one"))
    written = []
    replaced = verification.replaced

    def read_only(path):
        if path.parent == folder.parent:
            raise OSError(30, "Read-only file system", str(path))
        written.append(path)
        return replaced(path)

    monkeypatch.setattr(verification, "replaced", read_only)
    expected = read_meta(folder)["files"]
    for _ in range(2):  # this process knows
        verify(folder, expected)
    assert reads == ["one", "two"]
    another_process(monkeypatch)
    verify(folder, expected)
    assert reads == ["one", "two"] * (1 if cache == "cache" else 2)
    assert len({path.parent for path in written}) == 1


def test_what_is_no_file_is_told_and_not_waited_for(folder):
    (folder / "one").unlink()
    os.mkfifo(folder / "one")
    with pytest.raises(ValueError, match="one is not a file"):
        verify(folder, read_meta(folder)["files"])


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"one": 3}', '{"one": [1000, 0, 0, 0, "x"]}', "[" * 10**5])
def test_a_memory_that_is_damaged_is_no_memory(folder, reads, content):
    (folder.parent / ".toy.verified.json").write_text(content)
    verify(folder, read_meta(folder)["files"])
    assert reads == ["one", "two"]
    assert json.loads((folder.parent / ".toy.verified.json").read_text()).keys() == {"one", "two"}


def test_values_of_meta_json(folder):
    path = folder / "meta.json"
    whole = path.read_text()
    assert read_meta(folder)["layout"] == 1
    path.write_text(json.dumps(json.loads(whole)))  # written otherwise, the same values
    assert read_meta(folder)["layout"] == 1
    path.write_text(whole.replace('"layout": 1', '"layout": 1.0'))
    with pytest.raises(ValueError, match=r"the values in meta\.json are not those that were written"):
        read_meta(folder)
    path.write_text('{"layout": 1}')
    assert read_meta(folder) is None


def test_a_full_disk_is_told(folder, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("data.atomic.replaced", full)
    with pytest.raises(UserError, match=r"cannot write .*meta\.json: No space left on device"):
        write_meta(folder, {"layout": 1}, ["one"])
