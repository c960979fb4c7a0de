"""A small dataset in the official IDX format, its catalog row, and a real HTTP server that can misbehave.

The dataset is written with `struct` alone. The server runs on this machine.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import random
import re
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from data import catalog
from data.dataset import Content, Dataset, File

SIZE = 4
CLASSES = ("ant", "bee", "cat")
COUNTS = {"train": 60, "test": 15}
NAMES = {
    "train-images": "train-images-idx3-ubyte.gz",
    "train-labels": "train-labels-idx1-ubyte.gz",
    "test-images": "t10k-images-idx3-ubyte.gz",
    "test-labels": "t10k-labels-idx1-ubyte.gz",
}


@dataclass(frozen=True)
class Toy:
    """The catalog row, the folder with its official files, and by part the pixels and labels written there."""

    dataset: Dataset
    folder: Path
    pixels: dict[str, bytes]
    labels: dict[str, bytes]


def idx(dimensions: tuple[int, ...], values: bytes) -> bytes:
    """An IDX file of unsigned bytes."""
    return struct.pack(f">HBB{len(dimensions)}I", 0, 8, len(dimensions), *dimensions) + values


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The dataset `toy`: three classes, 60 training images (30, 20 and 10) and 15 test images of 4×4."""
    chance = random.Random(7)
    folder = tmp_path / "official"
    folder.mkdir()
    pixels = {part: chance.randbytes(count * SIZE * SIZE) for part, count in COUNTS.items()}
    train = [0] * 30 + [1] * 20 + [2] * 10
    chance.shuffle(train)
    labels = {"train": bytes(train), "test": bytes([0, 1, 2] * 5)}
    files = []
    for role, name in NAMES.items():
        part, kind = role.split("-")
        if kind == "images":
            content = idx((COUNTS[part], SIZE, SIZE), pixels[part])
        else:
            content = idx((COUNTS[part],), labels[part])
        published = gzip.compress(content, mtime=1)
        (folder / name).write_bytes(published)
        files.append(
            File(
                role=role,
                name=name,
                size=len(published),
                checksum="md5:" + hashlib.md5(published).hexdigest(),
                content=Content(len(content), "sha256:" + hashlib.sha256(content).hexdigest()),
            )
        )
    row = Dataset(
        name="toy",
        shape=(SIZE, SIZE, 1),
        classes=CLASSES,
        images=sum(COUNTS.values()),
        validation=12,
        test=COUNTS["test"],
        official=("test",),
        format="idx",
        files=tuple(files),
        mirrors=(),
        licence="none",
        citation="none",
    )
    monkeypatch.setitem(catalog.CATALOG, "toy", row)
    return Toy(row, folder, pixels, labels)


@dataclass
class Mirrors:
    """One server with two mirrors. `answers[mirror]` lists what each file gets, request by request, the last for ever.

    `right` obeys Range and If-Range. `cut`, or `cut N`, breaks off after half of the bytes, or N of them. `hold N`
    waits for `release` after N bytes. `meet` waits until `meeting` requests have arrived. `no range`, `other range` and
    `other version` do not obey Range as they should. `wrong`, `long`, `endless` and `short` send other bytes, `stall`
    sends none. A number is a status; `503 7` has a Retry-After.
    `asked` lists the requests: path, Range, If-Range. `sent` counts body bytes by path.
    """

    address: str
    content: dict[str, bytes]
    answers: dict[str, list[str]]
    etag: str | None = '"1"'
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    release: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)

    def paths(self) -> list[str]:
        return [path for path, _, _ in self.asked]


class _Handler(http.server.BaseHTTPRequestHandler):
    mirrors: Mirrors

    def do_GET(self) -> None:
        told, (_, mirror, name) = self.mirrors, self.path.split("/")
        answers = told.answers[mirror]
        answer, _, number = answers[min(told.turns[self.path], len(answers) - 1)].partition(" ")
        told.turns[self.path] += 1
        told.asked.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        told.headers.append(dict(self.headers))
        if answer.isdecimal():
            self.send_response(int(answer))
            if number:
                self.send_header("Retry-After", number)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        if answer == "stall":
            told.release.wait(1.0)
            return None
        if answer == "meet":
            told.meeting.wait(60.0)
        return self._send(answer, number, told.content[name])

    def _send(self, answer: str, number: str, content: bytes) -> None:
        told = self.mirrors
        start = self._start(answer, number, len(content))
        if start is None:
            return
        if answer == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        elif answer in ("long", "endless"):
            content += b"!"
        elif answer == "short":
            content = content[:-1]
        body = content[start:]
        if answer != "endless":
            self.send_header("Content-Length", str(len(body)))
        if told.etag:
            self.send_header("ETag", '"2"' if (answer, number) == ("other", "version") else told.etag)
        self.end_headers()
        most = (int(number) if number else len(body) // 2) if answer in ("cut", "hold") else len(body)
        told.sent[self.path] += most
        with contextlib.suppress(ConnectionError):  # from a client that had enough
            self.wfile.write(body[:most])
        if answer == "hold":
            told.release.wait(60.0)

    def _start(self, answer: str, number: str, size: int) -> int | None:
        """Sends the status; the byte at which the body starts, None where that was all."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        fresh = self.headers["If-Range"] in (None, self.mirrors.etag) or (answer, number) == ("other", "version")
        if asked is None or not fresh or (answer, number) == ("no", "range"):
            self.send_response(200)
            return 0
        start = int(asked[1])
        if start >= size:
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        said = start + ((answer, number) == ("other", "range"))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {said}-{size - 1}/{size}")
        return start

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Dataset, Path], Mirrors]]:
    """Returns a function that serves the files in a folder as a dataset's mirrors, under /a/ and /b/ of one server.

    The mirrors enter the dataset's row in the catalog. There is no pause between two tries.
    """
    from data.official import http_transfer as transfer

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.block_on_close = False
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(transfer, "_pause", lambda failures: 0.0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def go(row: Dataset, folder: Path) -> Mirrors:
        content = {file.name: (folder / file.name).read_bytes() for file in row.files}
        _Handler.mirrors = Mirrors(address, content, {"a": ["right"], "b": ["right"]})
        files = tuple(replace(file, mirrors=()) for file in row.files)
        served = replace(row, files=files, mirrors=(address + "a/", address + "b/"))
        monkeypatch.setitem(catalog.CATALOG, row.name, served)
        return _Handler.mirrors

    yield go
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mirrors(toy: Toy, serve: Callable[[Dataset, Path], Mirrors]) -> Iterator[Mirrors]:
    """Mirrors that serve the official files of `toy`."""
    told = serve(toy.dataset, toy.folder)
    yield told
    told.release.set()
