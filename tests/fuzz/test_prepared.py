"""Changed files of prepared images and splits: each is refused in one line, or the content is what it was."""

import copy
import io
import json
import math
import os
import random
import shutil

import numpy as np
import pytest

from data.errors import UserError
from data.labelled.splits import Splits, split
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from tests.data import official_files as official
from tests.data.word2vec import as_text
from tests.fuzz.hanging import Hanging, in_time

ODD = (
    None, True, False, 0, -1, 1, 3.5, 1e308, 10**30, -(10**30), 10**400, math.nan, math.inf, "", "x", "two\nlines",
    "../../x", "\ud800", "y" * 5000, [], {}, [1], [[]], {"a": 1}, [None],
)  # fmt: skip


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    """Two data folders: images with labels in several shards, and images with captions and word vectors."""
    made = {}
    for name in ("cifar-10", "emoji"):
        base = tmp_path_factory.mktemp(name)
        row, root = official.make(name, base / "official"), base / "d"
        vectors = base / "vectors.txt"
        vectors.write_bytes(as_text({"dog": [0.5, 0.25], "horse": [1.0, -1.0], "loudly": [0.0, 2.0]}))
        download(row, root, base / "official")
        prepare(row, root)
        split(row, 2, root, 1, vectors if name == "emoji" else None)
        made[name] = root
    return made


def content(root, name):
    """Everything that trials read of a dataset, opened as they open it."""
    store, splits = ImageStore.open(root / "processed" / name), Splits.open(root / "splits" / name)
    if splits.data != store.fingerprint:
        raise UserError("the splits were cut from other images")
    plain = [store.dataset, store.classes, dict(store.parts), store.origin, store.skipped, store.layout]
    arrays = [store.images[np.arange(len(store.labels))], store.labels, splits.train, splits.validation, splits.test]
    plain += [store.fingerprint, splits.classes, splits.repetitions, splits.layout, splits.word_vectors]
    for repetition in range(splits.repetitions):
        plain.append(splits.fingerprint(repetition, 0.5))
        arrays.append(splits.labelled(repetition, 0.5))
    if store.captioned:
        plain += [store.captions, splits.vocabulary]
        arrays += [splits.texts.numbers, splits.texts.captions, splits.texts.images]
        arrays += [splits.vectors.values, splits.vectors.known]
    return plain, [(array.dtype.str, array.shape, np.ascontiguousarray(array).tobytes()) for array in arrays]


def places(value, at=()):
    """Yields the place of each value within a plain value."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


def edited_json(draw, data):
    """A JSON file with one value replaced, taken away, or exchanged for another one."""
    value = copy.deepcopy(json.loads(data))
    found = list(places(value))
    holders = []
    for *above, key in draw.sample(found, min(2, len(found))):
        holder = value
        for step in above:
            holder = holder[step]
        holders.append((holder, key))
    (holder, key), (other, place) = holders[0], holders[-1]
    match draw.randrange(4):
        case 0:
            del holder[key]
        case 1:
            holder[key], other[place] = copy.deepcopy(other[place]), copy.deepcopy(holder[key])
        case 2 if isinstance(holder[key], int | float):
            holder[key] = holder[key] + draw.choice([1, -1, 10**30])
        case _:
            holder[key] = draw.choice(ODD)
    return json.dumps(value).encode()


def edited_array(draw, array):
    """An array of another type, shape, order or content."""
    wider = np.concatenate([array, array[:1]]) if array.ndim else array
    at = draw.randrange(max(1, array.size))
    odd = array.copy()
    odd.flat[at : at + 1] = draw.choice([0, 1, np.iinfo(odd.dtype).max if odd.dtype.kind in "iu" else 1])
    swapped = array.copy()
    swapped.flat[[0, at]] = swapped.flat[[at, 0]]
    huge = array.astype(object)
    huge.flat[at : at + 1] = 10**30
    return draw.choice(
        [
            *(array.astype(kind) for kind in ("<f8", "<i4", ">i8", "<U3", bool, object, "<M8[s]")),
            *(array[::-1], np.roll(array, 1, axis=0), wider, array[:-1], array[:0], array[None], array.reshape(-1)),
            *(np.asfortranarray(array), odd, swapped, huge, np.float64(3.5), np.zeros((3,)), np.array([None])),
        ]
    )


def edited_numpy(draw, name, data):
    """A file of arrays, one of which is another one, or has another header."""
    out = io.BytesIO()
    with np.errstate(all="ignore"):
        if name.endswith(".npy"):
            if draw.random() < 0.2:
                old = draw.choice([b"False", b"True", b"|u1", b"<i8", b"(", b"0", b"1", b",", b"descr"])
                return data.replace(old, draw.choice([b"True", b"9", b"<f8", b"|O8", b"[" * 50, b"-1", b""]), 1)
            np.save(out, edited_array(draw, np.load(io.BytesIO(data))))
        else:
            with np.load(io.BytesIO(data)) as file:
                arrays = dict(file)
            key = draw.choice(sorted(arrays))
            array = arrays.pop(key)
            if draw.random() < 0.8:
                arrays[draw.choice([key, key, key, "x"])] = edited_array(draw, array)
            np.savez(out, **arrays)
    return out.getvalue()


def edited_bytes(draw, data):
    """Bytes that were flipped, cut, doubled, emptied, or that zeros were written over."""
    at, count = draw.randrange(max(1, len(data))), draw.choice([1, 2, 8, 512])
    ways = [data[:at], data[at:], data + data[:count], b"", data[:at] + data[at + count :], data[:at] * 2]
    flipped = bytes(byte ^ draw.randrange(1, 256) for byte in data[at : at + count])
    ways += [data[:at] + other + data[at + count :] for other in (flipped, flipped, flipped, bytes(count), b"\n\xff[")]
    return draw.choice(ways)


def no_file(draw, path):
    """Puts something else in the place of a file: nothing, a folder, a link to itself, a pipe that nobody writes to."""
    path.unlink()
    match draw.randrange(4):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(path)
        case 2:
            os.mkfifo(path)


def change(draw, path, others):
    """Changes a file, or exchanges it for another one; returns what was done."""
    data, way = path.read_bytes(), draw.random()
    if way < 0.05:
        no_file(draw, path)
        return "no file"
    if way < 0.1:
        other = draw.choice(others)
        path.write_bytes(other.read_bytes())
        return f"the content of {other.name}"
    if way < 0.35 or path.suffix not in (".json", ".npy", ".npz"):
        path.write_bytes(edited_bytes(draw, data))
        return "bytes"
    path.write_bytes(edited_json(draw, data) if path.suffix == ".json" else edited_numpy(draw, path.name, data))
    return "values"


def put_back(path, data):
    """Makes a path a file with its former content again."""
    if path.is_symlink() or not path.is_file():
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_changed_files_are_refused_or_do_no_harm(roots, attempts, tally, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no attempt ends in a power cut
    counts = tally("changed files of prepared images and splits")
    before = {name: content(root, name) for name, root in roots.items()}
    files = {name: sorted(root.glob(f"[ps]*/{name}/*")) for name, root in roots.items()}
    for number in range(attempts(200, 5000)):
        draw = random.Random(f"prepared {number}")
        name = draw.choice(sorted(roots))
        path = draw.choice(files[name])
        data = path.read_bytes()
        done, outcome, why = "", "wrong", ""
        try:
            done = change(draw, path, files[draw.choice(sorted(roots))])
            with in_time():
                same = content(roots[name], name) == before[name]
            outcome, why = ("survived", "") if same else ("wrong", "other content was accepted")
        except UserError as error:
            outcome, why = ("refused in one line", "") if "\n" not in str(error) else ("wrong", f"lines: {error}")
        except (Exception, Hanging) as error:
            why = repr(error)
        finally:
            put_back(path, data)
        counts.count(outcome)
        if why:
            print(f"attempt {number}, {done} of {path.parent.name}/{path.name}: {why}")
    assert counts.harm == 0
    assert all(content(root, name) == before[name] for name, root in roots.items())
