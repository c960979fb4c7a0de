"""Running one trial: from a learner's first weights to a result in the store. Knows neither Ray nor MLflow."""

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
from experiments.learning.contract import Learner, System, Task
from experiments.learning.device import let_go
from experiments.learning.ranks import ALONE, Ranks
from experiments.provenance import revision, versions
from experiments.trial_store.folders import TrialFolder
from experiments.trial_store.layout import Layout
from experiments.trials.failures import of_error
from experiments.trials.grid import Trial
from experiments.trials.training import Row, Training, TrialFailed, epoch_means


@lru_cache(maxsize=1)
def _opened(processed: Path, splits: Path, device: torch.device) -> tuple[ImageStore, Splits]:
    """Images, on the device where they fit, and splits: opened by path once per process, not once per trial."""
    return ImageStore.open(processed).near(device), Splits.open(splits)


def data_of(trial: Trial, layout: Layout, device: torch.device) -> tuple[ImageStore, Splits]:
    """The images and splits that a trial reads. UserError where they are not there."""
    return _opened(layout.processed(trial.dataset).absolute(), layout.splits(trial.dataset).absolute(), device)


@lru_cache(maxsize=1)
def _captions(store: ImageStore, splits: Splits) -> Captions:
    return Captions(store, splits)


def close_data(device: torch.device) -> None:
    """Lets go of the images that this process has opened, where they are on a device."""
    _opened.cache_clear()
    _captions.cache_clear()
    let_go(device)


def prepare(
    trial: Trial, system: System, layout: Layout, device: torch.device, ranks: Ranks = ALONE
) -> tuple[Task, Learner]:
    """The trial's task and a learner at epoch 0. Raises what opening the data or making the learner raises."""
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
    return task, system.learner(task, system.Settings.model_validate(trial.settings))


def epochs(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    validation_only: bool = False,
    ranks: Ranks = ALONE,
) -> Generator[Row]:
    """Runs the trial, from its checkpoint where it has one, giving each epoch's row; its result is in the
    folder when the iterator ends. Closed early, it leaves a checkpoint of its last whole epoch.

    A row has `epoch`, `loss` and whatever else the learner's steps tell (means weighted by images),
    `validation_accuracy` (percent), or `validation_cider` and others of captions, `validation_elbo` and the bound's
    other terms where there is one, `seconds` of training, `images_per_second` and `time` (Unix). With
    `validation_only` the test part is never read, and the result is that of `Training.validated`. The first of
    several `ranks` runs this, the others `follow` it.
    Raises TrialFailed, with its reason in the folder, whatever went wrong.
    """
    with folder.alone(), failures_noted(folder):
        if folder.result() is None:
            yield from _run(trial, system, layout, folder, device, validation_only, ranks)


@contextmanager
def failures_noted(folder: TrialFolder) -> Iterator[None]:
    """Whatever goes wrong within it is a TrialFailed, its reason in the folder."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, TrialFailed) else of_error(error, folder.path)
        folder.fail(reason, traceback.format_exc())
        raise TrialFailed(reason) from error


def follow(trial: Trial, system: System, layout: Layout, device: torch.device, ranks: Ranks) -> Generator[None]:
    """Trains along with the first rank, which runs `epochs` on the same trial; an epoch each time, until it is over.

    Raises what making the learner or its steps raise.
    """
    task, learner = prepare(trial, system, layout, device, ranks)
    done, state = ranks.told(None)
    learner.restore(state)
    while ranks.told(None):
        epoch_means(task, learner, done)
        done += 1
        yield


def begun(
    trial: Trial, system: System, layout: Layout, folder: TrialFolder, device: torch.device, ranks: Ranks = ALONE
) -> Training:
    """The trial at its start, or at its checkpoint where it has one."""
    folder.begin({**trial.mapping, "identity": trial.identity, "labelled": trial.labelled})
    let_go(device)  # of what the trials before it have left, one that was short of memory above all
    task, learner = prepare(trial, system, layout, device, ranks)
    training = Training(task, learner, folder)
    training.resume()
    if ranks.count > 1:
        ranks.told((len(training.rows), learner.state()))
    return training


def _run(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    validation_only: bool,
    ranks: Ranks,
) -> Generator[Row]:
    training = begun(trial, system, layout, folder, device, ranks)
    while ranks.told(not training.over):
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


def conclude(trial: Trial, training: Training, layout: Layout, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Tests a trial whose epochs are over and writes its result, with those facts in it."""
    result = training.result(data_of(trial, layout, training.task.device)[1].test)
    training.folder.save_weights(training.learner.model.state_dict())
    if description := training.learner.captioner():
        training.folder.save_captioner(description)
    _finish(trial, training, {**result, **facts})


def _finish(trial: Trial, training: Training, result: Mapping[str, Any]) -> None:
    training.folder.finish(
        {
            "identity": trial.identity,
            "trial": trial.mapping,
            "labelled": trial.labelled,
            **result,
            **revision(),
            "versions": versions(),
            "finished_at": time.time(),
        }
    )


def run(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    report: Callable[[Row], None],
) -> dict[str, Any]:
    """Runs the trial to its end in this process, calling `report` after each epoch; returns its result."""
    for row in epochs(trial, system, layout, folder, device):
        report(row)
    result = folder.result()
    assert result is not None
    return result
