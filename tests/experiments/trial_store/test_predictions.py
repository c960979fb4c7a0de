"""A trial's predictions: kept in a few kilobytes, read back as they were, and refused where they do not hold."""

import base64
import json
import zlib

import numpy as np
import pytest

from experiments.trial_store.folders import TrialStore
from experiments.trial_store.predictions import Predictions, fingerprint

PART = fingerprint("images", np.arange(1000))


@pytest.fixture
def folder(tmp_path):
    return TrialStore(tmp_path).folder("0123456789abcdef")


def made(images=1000, classes=10):
    rng = np.random.default_rng(images)
    return Predictions(PART, rng.integers(0, classes, images), np.log(rng.beta(8, 1, images)))


def test_they_are_read_back_as_they_were(folder):
    predictions = made(classes=70_000)
    folder.save_predictions(predictions)
    found = folder.predictions()
    assert found.test == PART
    assert np.array_equal(found.classes, predictions.classes)
    assert found.log_probabilities == pytest.approx(predictions.log_probabilities, rel=1e-3, abs=1e-7)
    assert folder.predictions_fault() == ""


def test_a_thousand_images_take_a_few_kilobytes(folder):
    folder.save_predictions(made())
    assert (folder.path / "predictions.json").stat().st_size < 4096


def test_without_a_file_there_are_none(folder):
    assert folder.predictions() is None
    assert folder.predictions_fault() == ""


def packed(values, kind="<u4"):
    return base64.b64encode(zlib.compress(np.array(values, kind).tobytes())).decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"images": 999}, "classes: does not hold 999 values"),
        ({"images": 0}, "images = 0: "),
        ({"test": "x"}, "test = 'x': "),
        ({"classes": "%%%"}, "classes: "),
        ({"classes": base64.b64encode(b"no").decode()}, "classes: is no compressed data"),
        ({"classes": packed([0] * 10**6)}, "classes: does not hold 1000 values"),
        ({"log_probabilities": packed([-0.5] * 999 + [0.5], "<f2")}, "a log-probability is above 0 or very low"),
        ({"log_probabilities": packed([-0.5] * 999 + [np.nan], "<f2")}, "a log-probability is above 0 or very low"),
        ({"log_probabilities": None}, "log_probabilities = None: "),
    ],
)
def test_what_does_not_hold_counts_as_absent_and_is_told(folder, change, said):
    folder.save_predictions(made())
    path = folder.path / "predictions.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert folder.predictions() is None
    assert f"{folder.path}/predictions.json: {said}" in folder.predictions_fault()
    assert folder.faults() == [folder.predictions_fault()]


def test_a_file_that_is_cut_short_counts_as_absent(folder):
    folder.save_predictions(made())
    path = folder.path / "predictions.json"
    path.write_bytes(path.read_bytes()[:100])
    assert folder.predictions() is None
    assert "is no JSON" in folder.predictions_fault()


def test_a_fingerprint_is_that_of_images_and_order():
    assert len({PART, fingerprint("others", np.arange(1000)), fingerprint("images", np.arange(1000)[::-1])}) == 3
