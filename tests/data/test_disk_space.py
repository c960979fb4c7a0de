from __future__ import annotations

import shutil

import pytest

from data.disk_space import check_space, readable
from data.errors import UserError


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (147_897_477_120, "147.9 GB"), (2.5e15, "2500.0 TB")],
)
def test_sizes_are_readable(size, text):
    assert readable(size) == text


def test_need_and_room_are_compared_on_the_disk_of_a_folder_to_be_made(tmp_path, monkeypatch):
    usage, asked = type(shutil.disk_usage(tmp_path)), []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or usage(9000, 1000, 8000))
    check_space(tmp_path / "a" / "b", 8000, "files")
    with pytest.raises(UserError, match=r"a/b needs 8.0 kB for files, its disk has 8.0 kB free. Free some space"):
        check_space(tmp_path / "a" / "b", 8001, "files")
    assert asked == [tmp_path, tmp_path]
