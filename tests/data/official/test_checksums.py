"""A file is read once for its checksum, until it changes."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from data.errors import UserError
from data.official import checksums, download


@pytest.fixture
def read(monkeypatch):
    """The names of the files that were read for their checksum."""
    names = []
    digest = checksums.digest
    monkeypatch.setattr(checksums, "digest", lambda path, checksum: names.append(path.name) or digest(path, checksum))
    return names


@pytest.fixture
def raw(toy, tmp_path):
    download.download(toy.dataset, tmp_path / "d", toy.folder)
    return tmp_path / "d" / "raw" / "toy"


def test_what_was_checked_as_it_was_written_is_not_read_again(toy, raw, read, tmp_path):
    for _ in range(2):
        download.official_files(toy.dataset, tmp_path / "d")
    assert read == []
    assert os.listdir(raw.parent) != ["toy"]
    assert sorted(os.listdir(raw)) == sorted(file.name for file in toy.dataset.files)


def test_a_file_that_was_touched_is_read_once(toy, raw, read, tmp_path):
    victim = raw / toy.dataset.files[1].name
    os.utime(victim, ns=(1, 1))
    for _ in range(2):
        download.official_files(toy.dataset, tmp_path / "d")
    assert read == [victim.name]


def test_a_file_that_was_written_to_is_found_out(toy, raw, read, tmp_path):
    victim = raw / toy.dataset.files[1].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=f"holds {victim.name} damaged"):
        download.official_files(toy.dataset, tmp_path / "d")
    assert read == [victim.name]


def test_another_checksum_in_the_catalog_is_another_file(toy, raw, read, tmp_path):
    first, *others = toy.dataset.files
    row = replace(toy.dataset, files=(replace(first, checksum="sha256:" + "0" * 64), *others))
    with pytest.raises(UserError, match=first.name):
        download.official_files(row, tmp_path / "d")
    assert read == [first.name]


@pytest.mark.parametrize("damage", ["gone", "no JSON", "not a mapping", "cannot be written"])
def test_without_a_record_everything_is_read(toy, raw, read, tmp_path, damage, monkeypatch):
    path = raw.parent / ".toy.verified.json"
    path.unlink()
    if damage == "no JSON":
        path.write_text("{")
    elif damage == "not a mapping":
        path.write_text("[1]")
    elif damage == "cannot be written":
        path.mkdir()
    download.official_files(toy.dataset, tmp_path / "d")
    assert read == [file.name for file in toy.dataset.files]
    assert not [name for name in os.listdir(raw.parent) if name.startswith(".toy.verified.json.")]


def test_presence_is_judged_by_name_and_size(toy, raw):
    file = toy.dataset.files[0]
    assert checksums.on_disk(file, raw) == [(raw / file.name, file.checksum)]
    (raw / file.content_name).write_bytes(b"?" * file.content.size)
    assert [path.name for path, _ in checksums.on_disk(file, raw)] == [file.name, file.content_name]
    assert [path.name for path, _ in checksums.on_disk(replace(file, content=None), raw)] == [file.name]
    (raw / file.name).write_bytes(b"short")
    assert [path.name for path, _ in checksums.on_disk(file, raw)] == [file.content_name]
