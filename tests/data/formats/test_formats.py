"""Readers of official formats, compared with files written with `struct` and `gzip` alone."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from data.errors import UserError
from data.formats import contract as formats


def _files(toy, folder=None):
    return {file.role: (folder or toy.folder) / file.name for file in toy.dataset.files}


def _read(row, files, unpacked):
    """Returns what a format finds: (parts and counts of its shards, images, labels)."""
    contents = formats.FORMATS.get(row.format)(row, files, unpacked)
    examples = [example for shard in contents.shards for example in shard.examples()]
    images, labels = np.stack([example.image for example in examples]), [example.label for example in examples]
    return [(shard.part, shard.count) for shard in contents.shards], images, labels


def test_unknown_format_lists_the_known_and_a_second_of_one_name_is_an_error():
    with pytest.raises(UserError, match=r"'jpeg2000'.*csv.gz, .*idx"):
        formats.FORMATS.get("jpeg2000")
    with pytest.raises(ValueError, match="two formats are named 'idx'"):
        formats.register("idx")(lambda dataset, files: None)


@pytest.mark.parametrize("compressed", [True, False])
def test_idx_round_trip(toy, tmp_path, compressed):
    files = _files(toy)
    if not compressed:
        for role, path in files.items():
            files[role] = tmp_path / path.stem
            files[role].write_bytes(gzip.decompress(path.read_bytes()))
    shards, images, labels = _read(toy.dataset, files, tmp_path)
    assert shards == [("train", 60), ("test", 15)]
    assert images.dtype == np.uint8
    assert images.shape == (75, 4, 4, 1)
    assert images.tobytes() == toy.pixels["train"] + toy.pixels["test"]
    assert labels == list(toy.labels["train"] + toy.labels["test"])


def _rewrite(path, change):
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        ("train-images", lambda c: b"<htm" + c[4:], "not an IDX file.*3c 68 74 6d instead of 00 00 08 03"),
        ("train-images", lambda c: c[:2] + b"\x0d" + c[3:], "not an IDX file.*00 00 0d 03"),  # floats
        ("train-labels", lambda c: c[:3] + b"\x03" + c[4:], "not an IDX file.*1 dimension"),
        ("train-images", lambda c: c[:9], "truncated: 7 bytes are missing"),
        ("test-images", lambda c: c[:-5], "truncated: 5 bytes are missing"),
        ("test-labels", lambda c: c[:-1], "truncated: 1 bytes are missing"),
        ("train-images", lambda c: c + b"\0", "more than it should"),
        ("train-labels", lambda c: c + b"\0", "more than it should"),
        ("train-images", lambda c: c[:8] + struct.pack(">2I", 8, 2) + c[16:], "images of 8×2, toy's are 4×4"),
        ("train-labels", lambda c: struct.pack(">HBBI", 0, 8, 1, 61) + c[8:] + b"\0", "60 images.*61 labels"),
    ],
)
def test_malformed_idx_is_named(toy, tmp_path, role, change, message):
    path = _files(toy)[role]
    _rewrite(path, change)
    with pytest.raises(UserError, match=message) as caught:
        _read(toy.dataset, _files(toy), tmp_path)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "truncated: its compressed data ends early"),
        (lambda data: data[:-8] + b"\0\0\0\0" + data[-4:], "corrupt.*CRC"),
        (lambda data: data[:200] + bytes(40) + data[240:], "corrupt|truncated|more than it should"),
        (lambda data: b"<html>no such file</html>", "corrupt, or is not a gzip file"),
        (lambda data: b"", "truncated"),
    ],
)
def test_broken_compression_is_named(toy, tmp_path, change, message):
    path = _files(toy)["train-images"]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=message) as caught:
        _read(toy.dataset, _files(toy), tmp_path)
    assert path.name in str(caught.value)


def test_a_gzip_bomb_is_not_inflated(toy, tmp_path):
    # 60 labels by its header, then 64 MiB of zeros in 300 KB
    path = _files(toy)["train-labels"]
    bomb = gzip.compress(gzip.decompress(path.read_bytes()) + bytes(1 << 26), compresslevel=1)
    path.write_bytes(bomb)
    tracemalloc.start()
    with pytest.raises(UserError, match="more than it should"):
        _read(toy.dataset, _files(toy), tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.fixture
def rows(toy):
    return replace(toy.dataset, images=4, shape=(1, 2, 1), format="csv.gz")


def _read_rows(row, tmp_path, text):
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(text))
    return _read(row, {"rows": path}, tmp_path)


def test_rows_round_trip(rows, tmp_path):
    shards, images, labels = _read_rows(rows, tmp_path, b"0,255,0\n1,2,1\n3,4,2\n5,6,1\n")
    assert shards == [("train", 4)]
    assert images.shape == (4, 1, 2, 1)
    assert images.dtype == np.uint8
    assert images.ravel().tolist() == [0, 255, 1, 2, 3, 4, 5, 6]
    assert labels == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"0,255,0\n1,2,1\n", "truncated: it holds 2 rows, expected 4"),
        (b"0,1,0\n" * 5, "more than it should"),
        (b"0,1,0\n0,256,0\n0,1,0\n0,1,0\n", "line 2: a value is not within"),
        (b"0,1,0\n0,-1,0\n0,1,0\n0,1,0\n", "line 2: a value is not within"),
        (b"0,1,0\n0,x,0\n0,1,0\n0,1,0\n", "lines 1 to 4.*'x'"),
        (b"0,1\n" * 4, "expected 4 of 3"),
        (b"0,1,0\n0,1\n0,1,0\n0,1,0\n", "lines 1 to 4"),
        (b"0,1," + b"0" * 100_000 + b"\n", "lines 1|truncated"),
    ],
)
def test_malformed_rows_are_named(rows, tmp_path, text, message):
    with pytest.raises(UserError, match=message) as caught:
        _read_rows(rows, tmp_path, text)
    assert "rows.csv.gz" in str(caught.value)
