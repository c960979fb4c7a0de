"""Images of an earlier version get digests, if they are what their fingerprint says; the images themselves stay."""

from __future__ import annotations

import json

import numpy as np
import pytest

from data.errors import UserError
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.verification import read_meta


@pytest.fixture
def earlier(toy, tmp_path):
    """The folder of images as an earlier version prepared them, and all of its files before that."""
    download(toy.dataset, tmp_path / "d", toy.folder)
    prepare(toy.dataset, tmp_path / "d")
    folder = tmp_path / "d" / "processed" / "toy"
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    meta = {key: value for key, value in read_meta(folder).items() if key not in ("files", "sum", "digests")}
    (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")
    return folder, whole


def test_digests_are_added_and_nothing_is_made_again(toy, earlier, tmp_path):
    folder, whole = earlier
    with pytest.raises(UserError, match=r"toy was prepared by an earlier version, .*python -m data prepare toy"):
        ImageStore.open(folder)
    assert not prepare(toy.dataset, tmp_path / "d")
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name: found[name] for name in found if name != "meta.json"} == {
        name: whole[name] for name in whole if name != "meta.json"
    }
    assert json.loads(found["meta.json"]) == json.loads(whole["meta.json"])
    ImageStore.open(folder)


def test_what_is_not_as_its_fingerprint_says_is_made_again(toy, earlier, tmp_path):
    folder, whole = earlier
    np.save(folder / "labels.npy", np.roll(np.load(folder / "labels.npy"), 1))
    assert prepare(toy.dataset, tmp_path / "d")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
