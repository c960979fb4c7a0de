from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import catalog
from data.errors import UserError
from data.labelled.splits import Splits, split
from data.official.download import download
from data.prepared.arrays import Arrays, fingerprint
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.verification import read_meta, write_meta

PROPORTIONS = st.floats(1e-6, 1.0)


RECORDED = {  # of a first run; they change only when somebody's results would
    "store": "1f75c140503b3082c96134f5593303f3133e59989a92e21f060c644c655c3722",
    "validation": [8, 12, 20, 29, 30],
    "test": [1, 5, 9, 18, 21],
    "order": [1156, 4452, 3496, 2524, 568, 481, 1514, 3922, 4718, 2295],
    "fingerprint": "1a14ca12b5365e4e8659b2f3de322813900854a6f8dd7555eff62de8f80c58a5",
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """mnist-5k, from its package to splits with three repetitions: (root, store, splits)."""
    root = tmp_path_factory.mktemp("digits")
    row = catalog.get("mnist-5k")
    download(row, root)
    prepare(row, root)
    split(row, 3, root)
    return root, ImageStore.open(root / "processed" / row.name), Splits.open(root / "splits" / row.name)


@pytest.fixture
def toy_root(toy, tmp_path):
    root = tmp_path / "d"
    download(toy.dataset, root, toy.folder)
    prepare(toy.dataset, root)
    return root


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_mnist_5k_has_500_a_class_and_is_cut_evenly(digits):
    _, store, splits = digits
    assert store.images.shape == (5000, 28, 28, 1)
    assert Counter(store.labels.tolist()) == dict.fromkeys(range(10), 500)
    assert store.images.max() == 255
    for part, each in ((splits.train, 350), (splits.validation, 50), (splits.test, 100)):
        assert Counter(store.labels[part].tolist()) == dict.fromkeys(range(10), each)
        assert part.dtype == np.int64
        assert np.all(np.diff(part) > 0)
    everything = np.concatenate([splits.train, splits.validation, splits.test])
    assert sorted(everything) == list(range(5000))


def test_the_digits_look_like_their_labels(digits):
    # nearest class mean: an error in the order of pixels or labels would leave 10 %
    _, store, splits = digits
    x, y = store.images.reshape(5000, -1).astype(np.float64), store.labels
    means = np.stack([x[splits.train][y[splits.train] == c].mean(axis=0) for c in range(10)])
    distance = ((x[splits.test][:, None] - means) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == y[splits.test]).mean() > 0.75


def test_mnist_5k_is_the_same_on_every_machine(digits):
    root, store, splits = digits
    assert store.fingerprint == RECORDED["store"]
    assert splits.validation[:5].tolist() == RECORDED["validation"]
    assert splits.test[:5].tolist() == RECORDED["test"]
    order = np.load(root / "splits" / "mnist-5k" / "order-000.npy")
    assert order[:10].tolist() == RECORDED["order"]
    assert splits.fingerprint(2, 0.05) == RECORDED["fingerprint"]


@given(small=PROPORTIONS, large=PROPORTIONS, repetition=st.integers(0, 2))
def test_labelled_subsets_are_nested_stratified_and_never_empty_of_a_class(digits, small, large, repetition):
    _, store, splits = digits
    small, large = sorted((small, large))
    few, many = splits.labelled(repetition, small), splits.labelled(repetition, large)
    assert set(few) <= set(many) <= set(splits.train)
    for subset in (few, many):
        assert np.all(np.diff(subset) > 0)
        counts = np.bincount(store.labels[subset], minlength=10)
        assert counts.min() >= 1
        assert np.abs(counts - len(subset) / 10).max() < 1  # equal classes: within one of stratified
    assert len(few) == max(10, math.floor(Fraction(repr(small)) * 3500 + Fraction(1, 2)))


def test_all_labels_at_one(digits):
    _, _, splits = digits
    assert np.array_equal(splits.labelled(1, 1.0), splits.train)


def test_repetitions_differ_and_share_the_parts(digits):
    _, _, splits = digits
    assert splits.repetitions == 3
    subsets = [tuple(splits.labelled(r, 0.1)) for r in range(3)]
    assert len(set(subsets)) == 3


def test_more_repetitions_change_nothing_else(toy, toy_root, tmp_path):
    split(toy.dataset, 1, toy_root)
    folder = toy_root / "splits" / "toy"
    before = _bytes(folder)
    fingerprint = Splits.open(folder).fingerprint(0, 0.3)
    assert split(toy.dataset, 3, toy_root)
    after = _bytes(folder)
    assert after.keys() - before.keys() == {"order-001.npy", "order-002.npy"}
    assert all(after[name] == before[name] for name in before if name != "meta.json")
    assert Splits.open(folder).fingerprint(0, 0.3) == fingerprint


def test_a_second_time_touches_nothing(toy, toy_root):
    assert split(toy.dataset, 2, toy_root)
    folder = toy_root / "splits" / "toy"
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not split(toy.dataset, 2, toy_root)
    assert not split(toy.dataset, 1, toy_root)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    assert Splits.open(folder).repetitions == 2


def test_the_official_test_part_is_the_test_part(toy, toy_root):
    split(toy.dataset, 1, toy_root)
    splits = Splits.open(toy_root / "splits" / "toy")
    assert splits.test.tolist() == list(range(60, 75))
    labels = np.frombuffer(toy.labels["train"], dtype=np.uint8)
    assert np.bincount(labels[splits.validation]).tolist() == [6, 4, 2]  # 12 of 30 + 20 + 10
    assert np.bincount(labels[splits.train]).tolist() == [24, 16, 8]


def test_the_cut_depends_on_the_name_and_not_on_the_repetitions(toy, toy_root, monkeypatch):
    split(toy.dataset, 1, toy_root)
    first = Splits.open(toy_root / "splits" / "toy")
    other = replace(toy.dataset, name="other")
    download(other, toy_root, toy.folder)
    prepare(other, toy_root)
    split(other, 1, toy_root)
    second = Splits.open(toy_root / "splits" / "other")
    assert first.validation.tolist() != second.validation.tolist()


def test_other_images_make_other_splits(toy, toy_root):
    split(toy.dataset, 2, toy_root)
    folder = toy_root / "processed" / "toy"
    before = read_meta(folder)
    images = np.load(folder / "images-00001.npy")
    images[0] += 1
    np.save(folder / "images-00001.npy", images)
    digests = [before["digests"][0], Arrays.open(folder, before).digest(1)]
    write_meta(folder, {**before, "digests": digests, "fingerprint": fingerprint(digests)}, before["files"])
    assert split(toy.dataset, 1, toy_root)
    splits = Splits.open(toy_root / "splits" / "toy")
    assert (splits.data, splits.repetitions) == (fingerprint(digests), 1)
    assert splits.data != before["fingerprint"]


def test_the_fingerprint_is_of_the_parts_and_the_labelled_subset(digits):
    _, _, splits = digits
    digest = hashlib.sha256()
    for part in (splits.train, splits.validation, splits.test, splits.labelled(0, 0.01)):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(b"".join(int(i).to_bytes(8, "little") for i in part))
    assert splits.fingerprint(0, 0.01) == digest.hexdigest()
    assert splits.fingerprint(1, 0.01) != splits.fingerprint(0, 0.01) != splits.fingerprint(0, 0.02)


def test_bad_wishes(digits, toy, toy_root):
    _, _, splits = digits
    with pytest.raises(UserError, match=r"repetition 3: .*has 3.*split mnist-5k --repetitions 4"):
        splits.labelled(3, 0.1)
    with pytest.raises(UserError, match="repetition -1"):
        splits.labelled(-1, 0.1)
    with pytest.raises(UserError, match=r"proportion 1\.5: it must be above 0 and at most 1"):
        splits.labelled(0, 1.5)
    with pytest.raises(UserError, match="--repetitions 0: at least 1"):
        split(toy.dataset, 0, toy_root)


def test_before_prepare(toy, tmp_path):
    with pytest.raises(UserError, match="python -m data prepare toy"):
        split(toy.dataset, 1, tmp_path)
    with pytest.raises(UserError, match="python -m data split toy --repetitions R"):
        Splits.open(tmp_path / "splits" / "toy")


def test_fewer_repetitions_do_not_take_away_those_that_are_there(toy, toy_root, monkeypatch):
    split(toy.dataset, 3, toy_root)
    before = _bytes(toy_root / "splits" / "toy")
    monkeypatch.setattr("data.labelled.splits.LAYOUT", 99)  # whatever makes it be written again
    assert split(toy.dataset, 1, toy_root)
    after = _bytes(toy_root / "splits" / "toy")
    assert {name: data for name, data in after.items() if name != "meta.json"} == {
        name: data for name, data in before.items() if name != "meta.json"
    }
    assert Splits.open(toy_root / "splits" / "toy").repetitions == 3


def test_too_few_images(toy, toy_root):
    with pytest.raises(UserError, match="toy cannot be cut as the catalog asks: cannot take 58 of 60"):
        split(replace(toy.dataset, validation=58), 1, toy_root)
    with pytest.raises(UserError, match="own test part has 15 images, expected 16"):
        split(replace(toy.dataset, test=16), 1, toy_root)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("meta.json", lambda b: b"{"),
        ("meta.json", lambda b: b'{"repetitions": 1}'),
        ("parts.npz", lambda b: b[:100]),
        ("parts.npz", lambda b: b"hello"),
        ("parts.npz", lambda b: b""),
        ("order-001.npy", None),
    ],
)
def test_damage_is_told_and_mended(toy, toy_root, name, damage):
    split(toy.dataset, 2, toy_root)
    folder = toy_root / "splits" / "toy"
    before = _bytes(folder)
    path = folder / name
    if damage:
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(UserError, match=r"toy is damaged .*python -m data split toy"):
        Splits.open(folder)
    assert split(toy.dataset, 2, toy_root)
    assert _bytes(folder) == before


def test_an_order_that_is_damaged_after_opening_is_told(toy, toy_root):
    split(toy.dataset, 1, toy_root)
    folder = toy_root / "splits" / "toy"
    splits, path = Splits.open(folder), folder / "order-000.npy"
    order = np.load(path)
    others = (order.astype(np.float64), order[:-1], order.astype(object), np.roll(splits.train, 1) + 1, order[:, None])
    for other in others:
        np.save(path, other)
        with pytest.raises(UserError, match=r"order-000\.npy is damaged"):
            splits.labelled(0, 0.5)
        with pytest.raises(UserError, match=r"order-000\.npy is not what was written.*data split toy"):
            Splits.open(folder)


@pytest.mark.parametrize("name", ["parts.npz", "order-001.npy", "meta.json"])
def test_a_change_of_the_same_size_is_told_and_mended(toy, toy_root, name):
    split(toy.dataset, 2, toy_root)
    folder = toy_root / "splits" / "toy"
    before = _bytes(folder)
    if name == "meta.json":
        (folder / name).write_bytes(before[name].replace(b'"classes": 3', b'"classes": 4'))
    elif name == "parts.npz":
        with np.load(folder / name) as stored:
            parts = dict(stored)
        parts["test"][0], parts["train"][0] = parts["train"][0], parts["test"][0]
        np.savez(folder / name, **parts)
    else:
        np.save(folder / name, np.load(folder / name)[::-1])
    with pytest.raises(UserError, match=rf"toy is damaged .*{name} .*: delete it and run `python -m data split toy"):
        Splits.open(folder)
    assert split(toy.dataset, 2, toy_root)
    assert _bytes(folder) == before


def test_splits_without_digests_are_made_again(toy, toy_root):
    split(toy.dataset, 2, toy_root)
    folder = toy_root / "splits" / "toy"
    before, meta = _bytes(folder), read_meta(folder)
    kept = {key: value for key, value in meta.items() if key not in ("files", "sum")}
    (folder / "meta.json").write_text(json.dumps(kept))
    with pytest.raises(UserError, match=r"toy was split by an earlier version, .*python -m data split toy"):
        Splits.open(folder)
    assert split(toy.dataset, 2, toy_root)
    assert _bytes(folder) == before


def test_one_class_alone_is_refused(toy, toy_root):
    folder = toy_root / "processed" / "toy"
    meta = read_meta(folder)
    np.save(folder / "labels.npy", np.zeros(75, np.int64))
    arrays = Arrays.open(folder, meta)
    digests = [arrays.digest(number) for number in range(2)]
    changed = {"classes": ["ant"], "digests": digests, "fingerprint": fingerprint(digests)}
    write_meta(folder, {**meta, **changed}, meta["files"])
    with pytest.raises(UserError, match="toy has one class alone, 'ant', so that there is nothing to tell apart"):
        split(toy.dataset, 1, toy_root)
