"""What `experiments` writes and `reports` reads: both know the columns and names, and neither imports the other."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.learning.contract import SYSTEMS
from experiments.sweep import predictions as written_predictions
from experiments.sweep import results as written
from experiments.trial_store.contents import STATUSES
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.predictions import Predictions, fingerprint
from experiments.trials.caption_scores import SCORES as WRITTEN_SCORES
from reports.inputs import averaging, captions, gallery, predictions, results, subsets
from reports.inputs.score_columns import SCORE_COLUMNS
from reports.names import SYSTEMS as NAMES
from reports.scores import SCORES as READ_SCORES
from tests.experiments.stored import label_result


@pytest.mark.parametrize(
    ("columns", "required"),
    [
        (written.COLUMNS, {**results.COLUMNS, **results.LATER}),
        (written.CAPTIONED, {**results.COLUMNS, **results.LATER, **SCORE_COLUMNS}),
        (written.AVERAGING, averaging.COLUMNS),
        (written.SUBSETS, subsets.COLUMNS),
    ],
    ids=["results.csv", "results.csv of captions", "averaging.csv", "subsets.csv"],
)
def test_a_file_has_the_columns_that_a_report_reads(columns, required):
    assert len(set(columns)) == len(columns)
    assert set(columns) == set(required)


def test_the_scores_of_captions_are_the_same():
    assert list(READ_SCORES) == [*WRITTEN_SCORES, "perplexity"]


def test_every_system_has_a_name_in_the_report():
    # Other tests may have registered systems of their own in this process.
    shipped = [name for name in SYSTEMS.names() if SYSTEMS.get(name).__module__.startswith("experiments.systems.")]
    with NAMES.open(encoding="utf-8", newline="") as file:
        assert sorted(row["system"] for row in csv.DictReader(file)) == shipped


def test_results_know_every_status_but_running():
    """A trial that runs while the results are written is missing from them."""
    assert set(results.STATUSES) == set(STATUSES) - {"running"}


@pytest.fixture
def done_trial(tmp_path):
    """A done trial in a store, with a picture and a caption of the only test image."""
    store = TrialStore(tmp_path / "store")
    folder = store.folder("0123456789abcdef")
    folder.begin({"system": "caption"})
    (folder.path / "pictures").mkdir()
    Image.new("L", (4, 4)).save(folder.path / "pictures" / "samples.png")
    folder.save_captions([{"image": 0, "subset": "unseen", "text": "a dog", "log_likelihood": -3.5, "words": 3}])
    folder.finish(label_result())
    trial = SimpleNamespace(identity="0123456789abcdef", system="caption", proportion=0.1, xi="auto", order=0)
    return trial, store


def test_a_report_reads_the_captions_and_pictures_that_a_sweep_writes(done_trial, tmp_path):
    trial, store = done_trial
    gallery_folder = tmp_path / "gallery"
    written.write_gallery(gallery_folder, [trial], store, {})
    (picture,) = json.loads((gallery_folder / "sweep.json").read_text(encoding="utf-8"))["pictures"]
    assert gallery.Picture.model_validate(picture).model_dump(exclude_unset=True) == picture
    images = SimpleNamespace(images=np.zeros((1, 4, 4, 3), np.uint8), captions=[["A dog."]])
    written.write_captions(gallery_folder, [trial], store, images)
    content = json.loads((gallery_folder / "captions.json").read_text(encoding="utf-8"))
    assert captions.Captions.model_validate(content).model_dump(exclude_unset=True) == content


def test_a_report_reads_the_predictions_that_a_sweep_writes(tmp_path):
    store, trial = TrialStore(tmp_path / "store"), SimpleNamespace(identity="0123456789abcdef")
    folder = store.folder(trial.identity)
    folder.save_predictions(Predictions(fingerprint("data", np.arange(4)), np.array([0, 1, 1, 2]), np.zeros(4)))
    folder.finish(label_result(top1=75.0, top5=100.0))
    images = SimpleNamespace(labels=np.array([0, 1, 2, 2]), classes=("a", "b", "c, d"), fingerprint="data")
    path = tmp_path / "predictions.csv.gz"
    assert written_predictions.write_predictions(path, [trial], store, images, np.arange(4)) == []
    done = pd.DataFrame({"trial_id": [trial.identity], "status": ["done"], "top1": [75.0]})
    found = predictions.read_predictions(path, done)
    assert found.names == images.classes
    assert found.labels.tolist() == [0, 1, 2, 2]
    assert found.guesses[trial.identity].tolist() == [0, 1, 1, 2]
