"""Official files from the user's folder: as published, compressed again or not at all; links; refusals."""

from __future__ import annotations

import gzip
import os
import shutil
from dataclasses import replace

import pytest

from data.errors import UserError
from data.official import download
from data.official import source_folder as taking


def _take(toy, root):
    return download.download(toy.dataset, root, toy.folder)


def _kept(root):
    raw = root / "raw" / "toy"
    return sorted(os.listdir(raw)) if raw.is_dir() else []


def _names(toy):
    return [file.name for file in toy.dataset.files]


@pytest.mark.parametrize("how", ["published", "compressed anew", "decompressed"])
def test_every_form_is_taken(toy, tmp_path, how):
    source = tmp_path / "source"
    source.mkdir()
    contents = {}
    for file in toy.dataset.files:
        published = (toy.folder / file.name).read_bytes()
        content = gzip.decompress(published)
        name, data = {
            "published": (file.name, published),
            "compressed anew": (file.name, gzip.compress(content, compresslevel=1, mtime=2)),
            "decompressed": (file.content_name, content),
        }[how]
        (source / name).write_bytes(data)
        contents[file.name if how == "published" else file.content_name] = published if how == "published" else content
    assert len(download.download(toy.dataset, tmp_path / "d", source)) == 4
    assert {path.name: path.read_bytes() for path in (tmp_path / "d" / "raw" / "toy").iterdir()} == contents
    assert download.download(toy.dataset, tmp_path / "d", source) == []
    official = download.official_files(toy.dataset, tmp_path / "d")
    assert set(official.files) == {file.role for file in toy.dataset.files}
    _take(toy, tmp_path / "e")
    assert download.official_files(toy.dataset, tmp_path / "e").origin == official.origin


def test_a_published_file_is_linked(toy, tmp_path):
    for path in _take(toy, tmp_path / "d"):
        assert path.samefile(toy.folder / path.name)
    assert _kept(tmp_path / "d") == sorted(_names(toy))
    victim = toy.folder / toy.dataset.files[0].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")  # ours is that file, and is found damaged
    with pytest.raises(UserError, match=f"holds {victim.name} damaged"):
        download.official_files(toy.dataset, tmp_path / "d")


def test_it_is_copied_where_links_are_refused(toy, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    for path in _take(toy, tmp_path / "d"):
        assert not path.samefile(toy.folder / path.name)
        assert path.read_bytes() == (toy.folder / path.name).read_bytes()
    assert _kept(tmp_path / "d") == sorted(_names(toy))


def test_a_link_of_the_users_leads_to_the_file_itself(toy, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in _names(toy):
        (source / name).symlink_to(toy.folder / name)
    for path in download.download(toy.dataset, tmp_path / "d", source):
        assert not path.is_symlink()
        assert path.samefile(toy.folder / path.name)


def test_copies_that_do_not_fit_are_refused_and_links_need_no_room(toy, tmp_path, monkeypatch):
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 10, 0))
    assert len(_take(toy, tmp_path / "d")) == 4
    monkeypatch.setattr(taking, "_same_disk", lambda path, folder: False)
    with pytest.raises(UserError, match=r"needs .* for the copies of 4 files from .*, its disk has 0 bytes free"):
        _take(toy, tmp_path / "e")
    assert _kept(tmp_path / "e") == []


def _damage(data, how):
    content = gzip.decompress(data)
    return {
        "same size": lambda: data[:-1] + bytes([data[-1] ^ 1]),
        "other pixels": lambda: gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "too long": lambda: gzip.compress(content + b"\0"),
        "too short": lambda: gzip.compress(content[:-1]),
        "truncated": lambda: data[:-20],
        "not gzip": lambda: b"<html>",
    }[how]()


def test_a_decompressed_copy_mends_a_damaged_compressed_one(toy, tmp_path):
    _take(toy, tmp_path / "d")
    file = toy.dataset.files[0]
    victim = tmp_path / "d" / "raw" / "toy" / file.name
    path = toy.folder / file.name
    (toy.folder / file.content_name).write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    mended = victim.with_name(file.content_name)
    assert _take(toy, tmp_path / "d") == [mended]
    assert download.official_files(toy.dataset, tmp_path / "d").files[file.role] == mended


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("same size", "corrupt"),
        ("other pixels", "is not the official file"),
        ("too long", "more than it should"),
        ("too short", "truncated"),
        ("truncated", "truncated"),
        ("not gzip", "not a gzip file"),
    ],
)
def test_a_wrong_file_is_named_and_not_kept_and_the_others_are(toy, tmp_path, how, message):
    victim = toy.folder / toy.dataset.files[0].name
    victim.write_bytes(_damage(victim.read_bytes(), how))
    with pytest.raises(UserError, match=message) as caught:
        _take(toy, tmp_path / "d")
    assert str(victim) in str(caught.value)
    assert _kept(tmp_path / "d") == sorted(_names(toy)[1:])


@pytest.mark.parametrize("size", [0, 1])
def test_an_archive_has_one_form_only(toy, tmp_path, size):
    files = tuple(replace(file, content=None) for file in toy.dataset.files)
    archive = replace(toy, dataset=replace(toy.dataset, files=files))
    victim = toy.folder / files[0].name
    data = victim.read_bytes()
    victim.write_bytes(b"?" * (len(data) + size))
    with pytest.raises(UserError, match=r"is not the official file: .* expected ") as caught:
        _take(archive, tmp_path / "d")
    assert str(victim) in str(caught.value)
    victim.write_bytes(data)
    assert [path.name for path in _take(archive, tmp_path / "d")] == [victim.name]


def test_what_is_there_is_taken_and_the_rest_is_named(toy, tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a folder: --source"):
        download.download(toy.dataset, tmp_path / "d", tmp_path / "nowhere")
    lacking = _names(toy)[1:3]
    kept = {name: (toy.folder / name).read_bytes() for name in lacking}
    for name in lacking:
        (toy.folder / name).unlink()
    with pytest.raises(UserError, match=f"lacks {lacking[0]}, {lacking[1]} ") as caught:
        _take(toy, tmp_path / "d")
    assert str(toy.folder) in str(caught.value)
    assert _kept(tmp_path / "d") == sorted({*_names(toy)} - {*lacking})
    for name, data in kept.items():
        (toy.folder / name).write_bytes(data)
    assert [path.name for path in _take(toy, tmp_path / "d")] == lacking


def test_what_the_licence_lets_a_program_fetch_is_fetched(toy, mirrors, tmp_path, monkeypatch):
    by_hand, other = toy.dataset.files[0], toy.dataset.files[1:]
    address = f"{mirrors.address}a/"
    files = (by_hand, *(replace(file, mirrors=(address,)) for file in other))
    row = replace(toy.dataset, files=files, mirrors=(), manual="Ask for the images.")
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(UserError, match=rf"lacks {by_hand.name}"):
        download.download(row, tmp_path / "d", source)
    (source / by_hand.name).write_bytes((toy.folder / by_hand.name).read_bytes())
    made = download.download(row, tmp_path / "d", source)
    assert {path.name for path in made} == {file.name for file in files}
    assert sorted(mirrors.paths()) == sorted(f"/a/{file.name}" for file in other)
