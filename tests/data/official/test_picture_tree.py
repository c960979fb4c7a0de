"""A folder of pictures in place of official files: registered by its listing, read in place."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace

import pytest

from data.errors import UserError
from data.official import download
from data.official import picture_tree as tree

PICTURES = {"b/1.png": b"12345", "a/2.png": b"1", "a-b/3.png": b"", "a/deep/ü.png": b"123"}
HIDDEN = (".DS_Store", "a/._2.png", ".thumbs/1.png")


@pytest.fixture(autouse=True)
def any_folder(monkeypatch, request):
    """Lets every format accept any folder, unless a test is about that."""
    if "another_kind" not in request.node.name:
        monkeypatch.setattr("data.formats.contract.FORMATS.get", lambda name: lambda dataset, files, unpacked: None)


@pytest.fixture
def own(toy):
    """The user's own dataset, which has no official files."""
    return replace(toy.dataset, files=(), tree="folder", manual="Name your folder.")


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    for name, data in [*PICTURES.items(), *((name, b"hidden") for name in HIDDEN)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _written(root):
    return json.loads((root / "raw" / "toy" / "tree.json").read_text())


def test_a_folder_is_taken_in_once(own, pictures, tmp_path):
    root = tmp_path / "d"
    assert download.download(own, root, pictures) == [root / "raw" / "toy" / "tree.json"]
    changed = {name: os.stat(pictures / name).st_mtime_ns for name in PICTURES}
    names = sorted(PICTURES, key=str.encode)
    lines = "".join(f"{len(PICTURES[name])} {changed[name]} {name}\n" for name in names)
    listing = hashlib.sha256(lines.encode()).hexdigest()
    assert _written(root) == {"folder": str(pictures), "files": 4, "bytes": 9, "listing": listing}
    official = download.official_files(own, root)
    assert (official.format, dict(official.files)) == ("folder", {"tree": pictures})
    assert official.origin == f"tree:{listing}"
    assert download.download(own, root, pictures) == []
    assert download.download(own, root) == []
    assert tree.registered_tree(own, root).files == 4
    assert sorted(path.name for path in (root / "raw" / "toy").iterdir()) == ["tree.json"]


def test_a_relative_folder_is_remembered_as_an_absolute_one(own, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    download.download(own, tmp_path / "d", pictures.relative_to(tmp_path))
    assert _written(tmp_path / "d")["folder"] == str(pictures)


@pytest.mark.parametrize("change", ["a new one", "one less", "another size", "other bytes", "another name"])
def test_a_changed_folder_is_refused_until_it_is_taken_in_again(own, pictures, tmp_path, change):
    download.download(own, tmp_path / "d", pictures)
    before = download.official_files(own, tmp_path / "d").origin
    victim = pictures / "a" / "2.png"
    {
        "a new one": lambda: (pictures / "new.png").write_bytes(b""),
        "one less": lambda: victim.unlink(),
        "another size": lambda: victim.write_bytes(b"12"),
        "other bytes": lambda: victim.write_bytes(b"2"),
        "another name": lambda: victim.rename(pictures / "b" / "2.png"),
    }[change]()
    message = "has changed since it was taken in: run `python -m data download toy --source FOLDER` again"
    for refused in (download.official_files, download.download):
        with pytest.raises(UserError, match=message):
            refused(own, tmp_path / "d")
    assert len(download.download(own, tmp_path / "d", pictures)) == 1
    assert download.official_files(own, tmp_path / "d").origin != before


def test_hidden_files_may_change(own, pictures, tmp_path):
    download.download(own, tmp_path / "d", pictures)
    (pictures / ".DS_Store").write_bytes(b"more")
    (pictures / "b" / ".new").write_bytes(b"")
    assert download.official_files(own, tmp_path / "d").origin.startswith("tree:")


def test_a_folder_that_is_gone(own, pictures, tmp_path):
    download.download(own, tmp_path / "d", pictures)
    pictures.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"pictures, the folder with toy's pictures, is gone.*--source FOLDER"):
        download.official_files(own, tmp_path / "d")
    download.download(own, tmp_path / "d", tmp_path / "elsewhere")
    assert download.official_files(own, tmp_path / "d").files["tree"] == tmp_path / "elsewhere"


@pytest.mark.parametrize("to", ["file", "folder", "nothing"])
def test_a_link_that_leads_out_is_refused(own, pictures, tmp_path, to):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.png").write_bytes(b"x")
    target = {"file": "outside/x.png", "folder": "outside", "nothing": "nowhere"}[to]
    link = pictures / "a" / "link"
    link.symlink_to(tmp_path / target)
    with pytest.raises(UserError, match="is a link that leads out of the folder") as caught:
        download.download(own, tmp_path / "d", pictures)
    assert str(link) in str(caught.value)
    assert tree.registered_tree(own, tmp_path / "d") is None


def test_links_within_are_followed_to_files_but_not_round_in_circles(own, pictures, tmp_path):
    (pictures / "b" / "same.png").symlink_to("1.png")
    (pictures / "b" / "round").symlink_to("..")
    (tmp_path / "alias").symlink_to(pictures)  # the folder itself may be reached by one
    download.download(own, tmp_path / "d", tmp_path / "alias")
    assert (_written(tmp_path / "d")["files"], _written(tmp_path / "d")["bytes"]) == (5, 14)


def test_an_empty_folder_is_refused(own, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no files"):
        download.download(own, tmp_path / "d", tmp_path / "empty")


def test_without_a_folder_it_is_asked_for(own, tmp_path):
    for refused in (download.official_files, download.download):
        with pytest.raises(UserError, match=r"(?s)(Name your folder.*)?download toy --source FOLDER"):
            refused(own, tmp_path / "d")


def test_official_files_and_a_folder_take_each_others_place(toy, pictures, tmp_path):
    row = replace(toy.dataset, tree="folder")
    download.download(row, tmp_path / "d", pictures)
    assert download.official_files(row, tmp_path / "d").format == "folder"
    assert len(download.download(row, tmp_path / "d", toy.folder)) == 4
    assert download.official_files(row, tmp_path / "d").format == "idx"
    download.download(row, tmp_path / "d", pictures)
    assert download.official_files(row, tmp_path / "d").format == "folder"
    assert download.download(row, tmp_path / "d", toy.folder) == []
    assert download.official_files(row, tmp_path / "d").format == "idx"


def test_a_folder_with_some_official_files_is_no_folder_of_pictures(toy, tmp_path):
    (toy.folder / toy.dataset.files[0].name).unlink()
    row = replace(toy.dataset, tree="folder")
    with pytest.raises(UserError, match=f"lacks {toy.dataset.files[0].name}"):
        download.download(row, tmp_path / "d", toy.folder)
    assert tree.registered_tree(row, tmp_path / "d") is None


@pytest.mark.parametrize("written", ["", "[]", '{"folder": 1, "files": 2, "bytes": 3, "listing": "4"}'])
def test_a_damaged_note_counts_for_nothing(own, pictures, tmp_path, written):
    (path,) = download.download(own, tmp_path / "d", pictures)
    path.write_text(written)
    assert tree.registered_tree(own, tmp_path / "d") is None
    assert download.download(own, tmp_path / "d", pictures) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look anywhere")
def test_a_folder_that_may_not_be_looked_into(own, pictures, tmp_path):
    (pictures / "a").chmod(0)
    with pytest.raises(UserError, match=f"cannot look through {pictures / 'a'}"):
        download.download(own, tmp_path / "d", pictures)
    (pictures / "a").chmod(0o700)


def test_a_folder_of_another_kind_is_refused_at_once(toy, tmp_path):
    row = replace(toy.dataset, files=(), tree="imagenet-tree", manual="Name your folder.")
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="train"):
        download.download(row, tmp_path / "d", tmp_path)
    assert not (tmp_path / "d" / "raw" / "toy" / "tree.json").exists()
