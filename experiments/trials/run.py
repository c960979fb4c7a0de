"""Runs one trial, from a learner's first weights to a result in the trial store. Knows neither Ray nor MLflow."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from experiments.learning.caption_batches import Captions
from experiments.learning.contract import Learner, Task
from experiments.learning.device import release_memory
from experiments.learning.ranks import ALONE, Ranks
from experiments.provenance import revision, versions
from experiments.trial_store import schema
from experiments.trial_store.folders import TrialFolder
from experiments.trial_store.layout import Layout
from experiments.trials.failures import reason_of_error
from experiments.trials.grid import Trial
from experiments.trials.training import Row, Training, TrialFailed, epoch_means


@lru_cache(maxsize=1)
def _opened(processed: Path, splits: Path, device: torch.device) -> tuple[ImageStore, Splits]:
    """Opens images, on the device where they fit, and splits: once per process, not once per trial."""
    return ImageStore.open(processed).near(device), Splits.open(splits)


def data_of(trial: Trial, layout: Layout, device: torch.device) -> tuple[ImageStore, Splits]:
    """Returns the images and splits that a trial reads. UserError where they are missing."""
    return _opened(layout.processed(trial.dataset).absolute(), layout.splits(trial.dataset).absolute(), device)


@lru_cache(maxsize=1)
def _captions(store: ImageStore, splits: Splits) -> Captions:
    return Captions(store, splits)


def close_data(device: torch.device) -> None:
    """Releases the images that this process has opened, and their memory on the device."""
    _opened.cache_clear()
    _captions.cache_clear()
    release_memory(device)


def prepare(trial: Trial, layout: Layout, device: torch.device, ranks: Ranks = ALONE) -> tuple[Task, Learner]:
    """Returns the trial's task and a learner at epoch 0.

    Raises what opening the data or making the learner raises.
    """
    store, splits = data_of(trial, layout, device)
    task = Task(
        store=store,
        train=splits.train,
        labelled=splits.labelled(trial.seed, trial.proportion),
        validation=splits.validation,
        proportion=trial.proportion,
        xi=trial.xi,
        seed=trial.seed,
        axes={
            "dataset": trial.dataset,
            "system": trial.system,
            "proportion": trial.proportion,
            "repetition": trial.seed,
        },
        device=device,
        ranks=ranks,
        captions=_captions(store, splits) if store.captioned else None,
    )
    return task, trial.learned_by.learner(task, trial.settings)


def begin_training(
    trial: Trial, layout: Layout, folder: TrialFolder, device: torch.device, ranks: Ranks = ALONE
) -> Training:
    """Returns the trial's training, at the folder's checkpoint where there is one, or else at the start.

    Raises what `prepare` raises, and what restoring the checkpoint raises.
    """
    folder.begin(trial.config)
    release_memory(device)  # of what earlier trials have left, above all one that ran out of memory
    task, learner = prepare(trial, layout, device, ranks)
    training = Training(task, learner, folder)
    training.resume()
    if ranks.count > 1:
        ranks.broadcast((len(training.rows), learner.state()))
    return training


def epochs(
    trial: Trial,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    validation_only: bool = False,
    ranks: Ranks = ALONE,
) -> Generator[Row]:
    """Runs the trial, from its checkpoint where it has one, and yields a row for each epoch.

    The result is in the folder when the generator ends; closed early, it leaves a checkpoint of the last whole epoch.
    A trial that is done yields nothing.

    A row holds `epoch`, `loss` and the other scalars of the learner's steps (means weighted by images);
    `validation_accuracy` (percent), or `validation_cider` and others for captions; `validation_elbo` and the other
    terms of the bound, where the learner has one; `seconds` of training, `images_per_second` and `time` (Unix).

    Args:
        trial: what to run.
        layout: where the data are.
        folder: the trial's folder.
        device: where to train.
        validation_only: whether the result is that of `Training.validated`, so that the test part is never read.
        ranks: the processes that train the trial together. The first one runs this, the others `follow` it.

    Raises:
        TrialFailed: whatever went wrong; the reason is in the folder.
    """
    with folder.locked(), failures_noted(folder):
        if folder.result() is not None:
            return
        training = begin_training(trial, layout, folder, device, ranks)
        while ranks.broadcast(not training.over):
            row = training.epoch()
            try:
                yield row
            except GeneratorExit:
                training.save(at_once=True)
                raise
            training.save()
        if validation_only:
            _finish(trial, training, training.validated())
        else:
            conclude(trial, training, layout)


def follow(trial: Trial, layout: Layout, device: torch.device, ranks: Ranks) -> Generator[None]:
    """Trains along with the first rank, which runs `epochs` on the same trial; yields after each epoch.

    Raises what making the learner or its steps raise.
    """
    task, learner = prepare(trial, layout, device, ranks)
    done, state = ranks.broadcast(None)
    learner.restore(state)
    while ranks.broadcast(None):
        epoch_means(task, learner, done)
        done += 1
        yield


@contextmanager
def failures_noted(folder: TrialFolder) -> Iterator[None]:
    """Turns every error in the block into a TrialFailed and writes its reason to the folder."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, TrialFailed) else reason_of_error(error, folder.path)
        folder.fail(reason, traceback.format_exc())
        raise TrialFailed(reason) from error


def conclude(trial: Trial, training: Training, layout: Layout, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Tests a trial whose epochs are over and writes its result, `facts` included."""
    result = training.result(data_of(trial, layout, training.task.device)[1].test)
    training.folder.save_weights(training.learner.model.state_dict())
    if description := training.learner.captioner():
        training.folder.save_captioner(description)
    _finish(trial, training, {**result, **facts})


def _finish(trial: Trial, training: Training, measured: Mapping[str, Any]) -> None:
    """Writes the result. TrialFailed where it does not hold, as where a number in it is not finite."""
    result = {
        "identity": trial.identity,
        "trial": trial.mapping,
        "labelled": trial.labelled,
        **measured,
        "operations": training.operations(),
        **revision(),
        "versions": versions(),
        "finished_at": time.time(),
    }
    if fault := schema.fault_of(result, schema.Result):
        raise TrialFailed(f"its result does not hold: {fault}")
    training.folder.finish(result)


def run_trial(
    trial: Trial, layout: Layout, folder: TrialFolder, device: torch.device, report: Callable[[Row], None]
) -> dict[str, Any]:
    """Runs the trial to its end in this process, calls `report` after each epoch, and returns the result."""
    for row in epochs(trial, layout, folder, device):
        report(row)
    result = folder.result()
    assert result is not None
    return result
