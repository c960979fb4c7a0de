"""Every dataset of the catalog, from official files to one step of training.

The files come from a server that breaks off, from a folder of the user's, or there are none. They become arrays and
labelled or captioned splits; the model has the architecture of the dataset in Table 2.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from data import catalog
from data.labelled.splits import Splits, split
from data.official.download import download
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.tokens import words
from experiments.learning.caption_batches import Captions
from tests.data import official_files as official
from vae.architecture import architecture_for
from vae.caption_model import CaptionModel
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.labels import Softmax
from vae.model import Batch, Labelled, VariationalAutoencoder
from vae.training import Trainer

EVERY = (*official.NAMES, *official.DRAWN)
ONE_EACH = [name for name in EVERY if not name.startswith("imagenet-2012-")]  # its other layouts have the same network
HERE = ("mnist-5k", "mnist", "fashion-mnist")  # carried by a package; of the toy's format


def test_no_dataset_is_left_out():
    assert {name.removesuffix("-tree").removesuffix("-kaggle").removesuffix("-captions") for name in EVERY} == (
        set(catalog.CATALOG) - set(HERE)
    )


def whole_way(row, folder, root, serve, tree):
    """Makes everything from official files to splits; returns the store and the splits."""
    if tree:
        download(row, root, folder)
    elif row.drawn is not None:
        assert download(row, root) == []
    else:
        told = serve(row, folder)
        told.answers["a"] = ["cut", "503", "right"]
        download(catalog.get(row.name), root)
        assert any(byte for _, byte, _ in told.asked), "the transfer that broke off went on where it was"
    assert prepare(row, root)
    assert split(row, 2, root, minimum=1)
    return ImageStore.open(root / "processed" / row.name), Splits.open(root / "splits" / row.name)


@pytest.mark.parametrize("name", EVERY)
def test_from_official_files_to_splits(name, tmp_path, serve):
    row = official.make(name, tmp_path / "official")
    root = tmp_path / "d"
    store, splits = whole_way(row, tmp_path / "official", root, serve, name in official.TREES)
    written = official.truth(name)
    assert len(store.labels) == len(written)
    assert store.skipped == 0
    assert store.shape == (row.shape[2], *row.shape[:2])
    # Parts: disjoint, together everything, the official ones as the files have them.
    parts = {part: getattr(splits, part) for part in ("train", "validation", "test")}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(written)))
    for part in row.official:
        assert {i for i, one in enumerate(written) if one.part == part} == set(parts[part])
    # Labelled subsets: nested, of the training part; every class among them.
    few, many = splits.labelled(1, 0.25), splits.labelled(1, 0.75)
    assert set(few) < set(many) < set(parts["train"])
    assert set(store.labels[few]) == set(store.labels)
    if store.captioned:
        assert_captions(store, splits, written)
    assert not prepare(row, root)
    assert not split(row, 2, root, minimum=1)


def assert_captions(store, splits, written):
    assert store.captions == [one.captions for one in written]
    known = {word for i in splits.train for caption in written[i].captions for word in words(caption)}
    assert set(splits.vocabulary.words[2:]) == known
    for image in (0, len(written) - 1):
        said = [splits.vocabulary.decode(caption) for caption in splits.texts.of_image(image)]
        expected = [" ".join(w if w in known else "<unknown>" for w in words(c)) for c in written[image].captions]
        assert said == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ONE_EACH)
def test_to_one_step_of_training(name, tmp_path, serve):
    row = official.make(name, tmp_path / "official")
    store, splits = whole_way(row, tmp_path / "official", tmp_path / "d", serve, name in official.TREES)
    architecture = architecture_for(row.name)
    torch.manual_seed(0)
    model = VariationalAutoencoder(
        architecture,
        Encoder(architecture, "relu", 4, 4),
        Decoder(architecture, log_alpha=2.3),
        CaptionModel(math.prod(architecture.code_shape), len(splits.vocabulary.words))
        if store.captioned
        else Softmax(math.prod(architecture.code_shape), len(store.classes), precision=1.0),
        estimator_named("exact")(architecture),
        "factorised",
    )
    rates = {"learning_rate": 1e-3, "noise_learning_rate": 1e-3}
    trainer = Trainer(model, total_steps=10, **rates, warmup=0.0, switch_warmup=0.0, weight_decay=0.0, clip=1e9)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    labelled = splits.labelled(0, 0.5)[:2]
    known = (
        Captions(store, splits).drawn(labelled, np.zeros(len(labelled))) if store.captioned else store.labels[labelled]
    )
    told = Labelled(store.batch(labelled), torch.from_numpy(known), len(labelled), 1.0)
    parts = trainer.step(Batch(store.batch(splits.train[:2]), told))
    assert torch.isfinite(parts["loss"])
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert {key.split(".")[0] for key in moved} >= {"encoder", "decoder", "label_model"}
    assert json.loads((tmp_path / "d" / "splits" / row.name / "meta.json").read_text())["data"] == store.fingerprint
