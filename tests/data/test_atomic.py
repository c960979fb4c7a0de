from __future__ import annotations

import errno
import os
import threading

import pytest

from data.atomic import alone, replaced, whole_file, whole_folder
from data.errors import UserError


def fail_after(_):
    raise KeyError


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file"
    with whole_file(path) as out:
        out.write(b"first")
        assert not path.exists()
    with pytest.raises(KeyError), whole_file(path) as out:
        fail_after(out.write(b"second"))
    assert path.read_bytes() == b"first"
    assert os.listdir(path.parent) == ["file"]


def test_a_failed_write_raises_what_the_system_says(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"first")
    with pytest.raises(OSError, match="full"), replaced(path):
        raise OSError(errno.ENOSPC, "full")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def test_several_writers_at_once_leave_the_last_one_s_file(tmp_path):
    path = tmp_path / "new" / "file"
    with replaced(path) as one, replaced(path) as other:
        one.write(b"one")
        other.write(b"other")
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["file"]


def test_partial_files_of_killed_processes_are_removed(tmp_path):
    for name in (".file.k3_x9a2b.partial", ".file.npy.k3_x9a2b.partial", ".other.k3_x9a2b.partial"):
        (tmp_path / name).write_bytes(b"half")
    with whole_file(tmp_path / "file") as out:
        out.write(b"whole")
    assert sorted(os.listdir(tmp_path)) == [".file.npy.k3_x9a2b.partial", ".other.k3_x9a2b.partial", "file"]


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder"
    with whole_folder(path) as folder:
        (folder / "a").write_text("1")
        assert not path.exists()
    with pytest.raises(KeyError), whole_folder(path) as folder:
        fail_after((folder / "b").write_text("2"))
    assert os.listdir(path) == ["a"]
    with whole_folder(path) as folder:
        (folder / "b").write_text("2")
    assert os.listdir(path) == ["b"]
    assert os.listdir(tmp_path) == ["folder"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    left = tmp_path / ".folder.partial"
    left.mkdir()
    (left / "half").write_text("")
    with whole_folder(tmp_path / "folder") as folder:
        assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(errno.ENOSPC, "Free some space"), (errno.EACCES, "Make it writable"), (errno.EIO, "Check its disk")],
)
def test_what_the_system_refuses_is_told_with_a_remedy(tmp_path, code, remedy):
    with pytest.raises(UserError) as caught, whole_folder(tmp_path / "folder"):
        raise OSError(code, os.strerror(code))
    message = str(caught.value)
    assert message.startswith(f"cannot write {tmp_path / 'folder'}: {os.strerror(code)}. {remedy}")
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_told(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"Permission denied\. Make it writable"), alone(tmp_path / "folder"):
        pass
    tmp_path.chmod(0o700)


def test_one_at_a_time(tmp_path, capsys):
    log = []

    def second():
        with alone(tmp_path / "thing"):
            log.append("second")

    with alone(tmp_path / "thing"):
        thread = threading.Thread(target=second)
        thread.start()
        told = ""
        while f"waiting for another process that is making {tmp_path / 'thing'}" not in told:
            told += capsys.readouterr().err
        log.append("first")
    thread.join(timeout=60)
    assert log == ["first", "second"]
