"""A file is written whole, or the old one stays."""

from __future__ import annotations

import os

import pytest

from reports.errors import UserError
from reports.files import write_all


def test_a_folder_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "taken").write_text("kept")
    with pytest.raises(UserError, match=r"cannot write .*taken.* name another folder with --out"):
        write_all(tmp_path / "taken", {"index.html": b"new"})
    assert (tmp_path / "taken").read_text() == "kept"


def test_a_write_that_breaks_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    write_all(tmp_path, {"tables/a.csv": b"old"})

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(UserError, match=r"a\.csv \(No space left on device\)"):
        write_all(tmp_path, {"tables/a.csv": b"new"})
    assert [path.read_bytes() for path in (tmp_path / "tables").iterdir()] == [b"old"]
