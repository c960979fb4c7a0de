"""One file from a server that misbehaves in every known way: what is requested again, and what is kept."""

from __future__ import annotations

import email.utils
import hashlib
import random
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.dataset import File
from data.errors import UserError
from data.official import http_transfer as transfer
from data.official.mirrors import from_mirrors
from data.official.partial_files import PartialFile

MEGABYTE = 1 << 20


@dataclass
class One:
    """A file of three megabytes that the mirrors serve, and its folder."""

    file: File
    content: bytes
    folder: Path
    part: Path

    @property
    def size(self):
        return len(self.content)


@pytest.fixture
def one(mirrors, tmp_path):
    content = random.Random(3).randbytes(3 * MEGABYTE + 17)
    mirrors.content["big.tar"] = content
    file = File("all", "big.tar", len(content), "sha256:" + hashlib.sha256(content).hexdigest())
    folder = tmp_path / "raw" / "toy"
    return One(file, content, folder, tmp_path / "raw" / ".toy.partial" / "big.tar")


@pytest.fixture
def fetch(one, mirrors, toy):
    """Fetches the file from the two mirrors, as `download` does, with an event that counts the waits."""

    class Waits(threading.Event):
        seconds: list[float] = []  # noqa: RUF012

        def wait(self, timeout=None):
            self.seconds.append(timeout)
            return self.is_set()

    def go():
        from data import catalog

        path = from_mirrors(catalog.get("toy"), one.file, one.folder, 0, waits)
        assert path.read_bytes() == one.content
        assert not one.part.exists()

    waits = Waits()
    waits.seconds = []
    go.waits = waits
    return go


def _ranges(mirrors):
    return [(path[1], asked) for path, asked, _ in mirrors.asked]


def test_a_cut_transfer_goes_on_where_it_ended(one, mirrors, fetch):
    mirrors.answers["a"] = ["cut 1000003", "cut 500", "right"]
    fetch()
    assert _ranges(mirrors) == [("a", None), ("a", "bytes=1000003-"), ("a", "bytes=1000503-")]
    assert [condition for _, _, condition in mirrors.asked] == [None, '"1"', '"1"']
    assert mirrors.sent["/a/big.tar"] == one.size


def test_the_next_mirror_goes_on_too(one, mirrors, fetch):
    mirrors.answers["a"] = ["cut 1000", "404"]
    fetch()
    assert mirrors.asked[-1] == ("/b/big.tar", "bytes=1000-", None)  # a's sign means nothing to b
    assert mirrors.sent["/b/big.tar"] == one.size - 1000


def test_gains_make_up_for_failures(one, mirrors, fetch, monkeypatch):
    monkeypatch.setattr(transfer, "RETRIES", 0)
    mirrors.answers["a"] = [f"cut {MEGABYTE}", f"cut {MEGABYTE}", "right"]
    fetch()
    assert {mirror for mirror, _ in _ranges(mirrors)} == {"a"}


@pytest.mark.parametrize("answer", ["no range", "other range", "other version"])
def test_what_does_not_continue_ours_starts_over(one, mirrors, fetch, answer):
    mirrors.answers["a"] = ["cut 1000", answer, "right"]
    fetch()
    asked = _ranges(mirrors)
    assert asked[:2] == [("a", None), ("a", "bytes=1000-")]
    assert asked[2:] == ([] if answer == "no range" else [("a", None)])


def test_a_new_version_starts_over_by_the_servers_own_word(one, mirrors, fetch):
    mirrors.answers = {"a": ["cut 1000", "404"], "b": ["404"]}
    with pytest.raises(UserError):
        fetch()
    assert one.part.stat().st_size == 1000
    mirrors.etag, mirrors.answers["a"] = '"2"', ["right"]
    fetch()
    assert mirrors.asked[-1] == ("/a/big.tar", "bytes=1000-", '"1"')
    assert mirrors.sent["/a/big.tar"] == one.size + 1000


def test_a_weak_sign_is_not_used_as_a_condition(one, mirrors, fetch):
    mirrors.etag, mirrors.answers["a"] = 'W/"1"', ["cut 1000", "right"]
    fetch()
    assert mirrors.asked[-1] == ("/a/big.tar", "bytes=1000-", None)


def test_a_refused_range_starts_over(one, mirrors, fetch):
    # 416 from a mirror whose file is too short for the part that is here
    _leave(one, one.content[: 2 * MEGABYTE])
    mirrors.content["big.tar"] = one.content[:MEGABYTE]
    mirrors.answers["b"] = ["404"]
    with pytest.raises(UserError, match=f"it sends {MEGABYTE} bytes, the official file has {one.size}"):
        fetch()
    assert _ranges(mirrors)[:2] == [("a", f"bytes={2 * MEGABYTE}-"), ("a", None)]
    assert not one.part.exists()


def _leave(one, data):
    one.part.parent.mkdir(parents=True)
    one.part.write_bytes(data)


def test_a_whole_part_is_not_asked_for(one, mirrors, fetch):
    _leave(one, one.content)
    fetch()
    assert mirrors.asked == []


@pytest.mark.parametrize("spoilt", [b"?" * 1000, b"?" * (3 * MEGABYTE + 17), b"?" * (4 * MEGABYTE)])
def test_a_spoilt_part_is_fetched_again_from_the_same_mirror(one, mirrors, fetch, spoilt):
    _leave(one, spoilt)
    fetch()
    assert _ranges(mirrors)[-1] == ("a", None)
    assert {mirror for mirror, _ in _ranges(mirrors)} == {"a"}


def test_wrong_bytes_are_not_asked_for_twice(one, mirrors, fetch):
    mirrors.answers["a"] = ["wrong"]
    fetch()
    assert _ranges(mirrors) == [("a", None), ("b", None)]


def test_wrong_bytes_after_a_break_are_asked_for_once_more(one, mirrors, fetch):
    mirrors.answers["a"] = ["cut 1000", "wrong", "right"]
    fetch()
    assert _ranges(mirrors) == [("a", None), ("a", "bytes=1000-"), ("a", None)]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("403", "it answers 403 Forbidden"),
        ("404", "it answers 404 Not Found"),
        ("410", "it answers 410 Gone"),
        ("wrong", "the checksum of what it sends is wrong"),
        ("long", "it sends 3145746 bytes, the official file has 3145745"),
        ("short", "it sends 3145744 bytes, the official file has 3145745"),
        ("endless", "it sends more than the 3.1 MB of the file"),
        ("503 301", "it answers 503 Service Unavailable and wants us back in 301 seconds"),
    ],
)
def test_final_answers_go_to_the_next_mirror_at_once_and_keep_nothing(one, mirrors, fetch, answer, reason):
    mirrors.answers = {"a": [answer], "b": [answer]}
    with pytest.raises(UserError, match=re.escape(f"{mirrors.address}a/big.tar: {reason}")):
        fetch()
    assert _ranges(mirrors) == [("a", None), ("b", None)]
    assert fetch.waits.seconds == []
    assert not one.part.exists()
    assert not one.folder.exists()


def test_never_more_bytes_than_the_file_has(one, mirrors, fetch, monkeypatch):
    seen = []
    append = PartialFile.append
    monkeypatch.setattr(
        PartialFile, "append", lambda part, piece: (append(part, piece), seen.append(part.path.stat().st_size))
    )
    mirrors.answers["a"] = ["endless"]
    fetch()
    assert max(seen) == one.size


@pytest.mark.parametrize("status", ["429", "500", "502", "503", "504"])
def test_passing_trouble_is_tried_again_and_then_given_up(one, mirrors, fetch, status):
    mirrors.answers["a"] = [status]
    fetch()
    assert [mirror for mirror, _ in _ranges(mirrors)] == ["a"] * (1 + transfer.RETRIES) + ["b"]


def test_a_mirror_may_ask_us_to_wait(one, mirrors, fetch):
    later = email.utils.formatdate(time.time() + 100, usegmt=True)
    mirrors.answers["a"] = ["503 7", f"429 {later}", "503 soon", "right"]
    fetch()
    assert fetch.waits.seconds[0] == 7
    assert 97 <= fetch.waits.seconds[1] <= 100
    assert fetch.waits.seconds[2:] == [0]


def test_cut_and_stalled_transfers_are_told_apart_and_kept(one, mirrors, fetch, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.1)
    monkeypatch.setattr(transfer, "RETRIES", 0)
    mirrors.answers = {"a": ["cut 1000"], "b": ["stall"]}
    with pytest.raises(UserError, match=r"(?s)/a/.*the transfer broke off.*/b/.*no answer within 0.1 seconds"):
        fetch()
    assert one.part.read_bytes() == one.content[:1000]
    mirrors.answers = {"a": ["hold 5000"], "b": ["404"]}
    with pytest.raises(UserError, match=r"/a/.*no answer within 0.1 seconds"):
        fetch()
    assert one.part.read_bytes() == one.content[:6000]


def test_a_pause_grows_at_random_up_to_a_minute(monkeypatch):
    for failures in range(12):
        longest = min(60, 2**failures)
        pauses = [transfer._pause(failures) for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 40


def test_a_request_asks_for_the_bytes_as_they_are(one, mirrors, fetch):
    # a server that compresses on the way would otherwise have its gzip files decompressed, checksum lost
    fetch()
    assert all(headers["Accept-Encoding"] == "identity" for headers in mirrors.headers)
