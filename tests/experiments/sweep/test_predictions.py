"""predictions.csv.gz: the predictions of all done trials in one table."""

import gzip
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments.sweep.predictions import write_predictions
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.predictions import Predictions, fingerprint
from tests.experiments.stored import label_result

TEST = np.array([1, 3, 4, 7])
IMAGES = SimpleNamespace(labels=np.arange(8) % 3, classes=("cat", "dog", "=1+1"), fingerprint="images")
PART = fingerprint("images", TEST)
LABELS = [1, 0, 1, 1]


@pytest.fixture
def store(tmp_path):
    return TrialStore(tmp_path / "store")


def finish(store, number, guesses, part=PART, top1=None):
    """Stores a done trial with these predictions, or without any; returns it."""
    folder = store.folder(f"{number:016x}")
    folder.begin({})
    if guesses is not None:
        folder.save_predictions(Predictions(part, np.array(guesses), np.zeros(len(guesses))))
        top1 = 100 * np.mean(np.array(guesses) == LABELS[: len(guesses)]) if top1 is None else top1
    folder.finish(label_result(top1=float(top1 or 0.0), top5=100.0))
    return SimpleNamespace(identity=f"{number:016x}")


def test_a_row_is_an_image_and_a_column_a_done_trial(store, tmp_path):
    trials = [finish(store, 1, [1, 0, 2, 1]), finish(store, 2, None), finish(store, 3, [0, 0, 0, 0])]
    trials.append(SimpleNamespace(identity="never-run"))
    path = tmp_path / "predictions.csv.gz"
    assert write_predictions(path, trials, store, IMAGES, TEST) == []
    table = pd.read_csv(path)
    assert list(table) == ["image", "label", "class", f"{1:016x}", f"{3:016x}"]
    assert table["image"].tolist() == TEST.tolist()
    assert table["label"].tolist() == LABELS
    assert table["class"].tolist() == ["dog", "cat", "dog", "dog"]
    assert table[f"{1:016x}"].tolist() == [1, 0, 2, 1]
    before = path.read_bytes()
    write_predictions(path, trials, store, IMAGES, TEST)
    assert path.read_bytes() == before


def test_predictions_of_other_images_or_another_result_are_left_out_and_told(store, tmp_path):
    trials = [
        finish(store, 1, [1, 0, 2, 1]),
        finish(store, 2, [1, 0, 2, 1], part=fingerprint("images", TEST[::-1])),
        finish(store, 3, [1, 0, 2, 1], top1=50.0),
        finish(store, 4, [1, 0, 2, 1]),
    ]
    damaged = store.folder(trials[3].identity).path / "predictions.json"
    damaged.write_text("{}")
    said = write_predictions(tmp_path / "predictions.csv.gz", trials, store, IMAGES, TEST)
    assert list(pd.read_csv(tmp_path / "predictions.csv.gz"))[3:] == [f"{1:016x}"]
    assert said == [
        f"{store}/{2:016x}: its predictions are of another test part: they are left out",
        f"{store}/{3:016x}: its predictions are not those of its result: they are left out",
        f"{damaged}: test is missing: they are left out",
    ]


def test_without_predictions_there_is_a_head_alone(store, tmp_path):
    assert write_predictions(tmp_path / "predictions.csv.gz", [finish(store, 1, None)], store, IMAGES, TEST) == []
    assert gzip.decompress((tmp_path / "predictions.csv.gz").read_bytes()) == b"image,label,class\n"


def test_a_sweep_of_500_trials_fits_into_git(store, tmp_path):
    """500 trials of 1,000 images, of which each is wrong about 12 %, in less than a megabyte."""
    rng = np.random.default_rng(0)
    labels, test = rng.integers(0, 10, 1000), np.arange(1000)
    images = SimpleNamespace(labels=labels, classes=tuple("0123456789"), fingerprint="images")
    trials = []
    for number in range(50):  # a tenth, which compresses no better
        guesses = np.where(rng.random(1000) < 0.12, rng.integers(0, 10, 1000), labels)
        folder = store.folder(f"{number:016x}")
        folder.save_predictions(Predictions(fingerprint("images", test), guesses, np.zeros(1000)))
        top1 = 100 * float(np.mean(guesses == labels))
        folder.finish(label_result(top1=top1, top5=100.0))
        trials.append(SimpleNamespace(identity=f"{number:016x}"))
    path = tmp_path / "predictions.csv.gz"
    assert write_predictions(path, trials, store, images, test) == []
    assert path.stat().st_size < 100_000
