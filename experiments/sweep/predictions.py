"""predictions.csv.gz: what each done trial says about every test image, in one table for the report.

A row is a test image, with its index among the prepared images, its class and that class's name; a column is a trial.
Most trials are right about most images, so that compression takes a row to about a bit a trial.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.prepared.store import ImageStore
from experiments.files import write_whole
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.predictions import fingerprint
from experiments.trials.grid import Trial

COLUMNS = ("image", "label", "class")  # before those of the trials


def write_predictions(
    path: Path, trials: Sequence[Trial], store: TrialStore, images: ImageStore, test: np.ndarray
) -> list[str]:
    """Writes the table; the same predictions give the same bytes.

    A trial has no column where it was run before predictions were kept. Returns a line for each trial whose predictions
    are left out, since they do not hold, or are not those of its result.

    Args:
        path: the file.
        trials: whose predictions are wanted.
        store: the trial store.
        images: the prepared images; no predictions are of captioned ones.
        test: indices of the test images [n].
    """
    labels = images.labels[test]
    found, left_out = _read(trials, store, labels, fingerprint(images.fingerprint, test))
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, *found])
    if found:
        names = [images.classes[label] for label in labels]
        table.writerows(zip(test.tolist(), labels.tolist(), names, *found.values(), strict=True))
    content = gzip.compress(text.getvalue().encode(), 9, mtime=0)
    write_whole(path, lambda stream: stream.write(content))
    return left_out


def _read(
    trials: Sequence[Trial], store: TrialStore, labels: np.ndarray, part: str
) -> tuple[dict[str, list[int]], list[str]]:
    """Returns the classes that done trials predict, by identity, and a line for each trial that is left out."""
    found: dict[str, list[int]] = {}
    left_out = []
    for trial in trials:
        folder = store.folder(trial.identity)
        result, predictions = folder.result(), folder.predictions()
        if result is None:
            continue
        fault = folder.predictions_fault()
        if predictions is not None:
            if predictions.test != part or len(predictions.classes) != len(labels):
                fault = f"{folder.place}: its predictions are of another test part"
            elif abs(100 * np.mean(predictions.classes == labels) - result["top1"]) > 1e-6:
                fault = f"{folder.place}: its predictions are not those of its result"
            else:
                found[trial.identity] = predictions.classes.tolist()
        left_out += [f"{fault}: they are left out"] if fault else []
    return found, left_out
